// SPDX-License-Identifier: Apache-2.0
// The last scan and the last copy: in the freeze, so what they find is the program at one moment.
// Signal time: safe. Runs in the scribe while every thread is parked; all the pause that depends on memory is here.
#include "engine.h"

#define STACK_PAGES_MAX 256u

static const struct ckpt_mapping *mapping_at(struct ckpt_checkpoint *c, uint64_t address) {
    for (uint32_t i = 0; i < c->mapping_count; i++)
        if (c->mappings[i].start <= address && address < c->mappings[i].end) return &c->mappings[i];
    return NULL;
}

// A page that is in every image, clean or not.
static int add_always(struct ckpt_checkpoint *c, uint64_t address) {
    uint64_t start = address & ~(uint64_t)(CKPT_PAGE_SIZE - 1);
    const struct ckpt_mapping *m = mapping_at(c, start);
    const struct ckpt_page *page = ckpt_ledger_find(c, start);
    if (!m || ckpt_treatment(m) == CKPT_TREAT_SKIP || !page || page->place == CKPT_PLACE_NONE || page->place & CKPT_PLACE_HOT) return 0;
    int64_t copied = ckpt_copy_to_arena(c, m, start, start + CKPT_PAGE_SIZE);
    return copied < 0 ? (int)copied : 0;
}

static uint64_t word_at(struct ckpt_checkpoint *c, uint64_t address) {
    uint64_t word = 0;
    if (add_always(c, address) < 0 || ckpt_pread(c->memory, &word, 8, address) != 8) return 0;
    return word;
}

// The loader's list of libraries, by which a debugger finds them: the dynamic section's DT_DEBUG leads to struct r_debug
// (version, link_map *), each struct link_map is l_addr, l_name, l_ld, l_next, l_prev (link.h).
static void add_link_map(struct ckpt_checkpoint *c) {
    const uint64_t *auxv = (const uint64_t *)c->auxv;
    uint64_t headers = 0, count = 0, bias = 0, dynamic = 0, debug = 0;
    for (uint32_t i = 0; i + 1 < c->auxv_byte_count / 8; i += 2) {
        if (auxv[i] == 3 /* AT_PHDR */) headers = auxv[i + 1];
        if (auxv[i] == 5 /* AT_PHNUM */) count = auxv[i + 1];
    }
    for (uint64_t i = 0; headers && i < count && i < 64; i++) {
        uint64_t at = headers + i * 56, type = word_at(c, at) & 0xffffffff;
        if (type == 6 /* PT_PHDR */) bias = headers - word_at(c, at + 16);
        if (type == 2 /* PT_DYNAMIC */) dynamic = word_at(c, at + 16);
    }
    for (uint64_t i = 0, tag; dynamic && i < 128 && (tag = word_at(c, bias + dynamic + i * 16)) != 0; i++)
        if (tag == 21 /* DT_DEBUG */) debug = word_at(c, bias + dynamic + i * 16 + 8);
    uint64_t map = debug ? word_at(c, debug + 8) : 0;
    for (int i = 0; map && i < 4096; i++) {
        uint64_t name = word_at(c, map + 8);
        word_at(c, map + 16);
        if (name) { word_at(c, name); word_at(c, name + 255); }
        map = word_at(c, map + 24);
    }
}

// Stacks, thread control blocks and the loader's list are in every image, so that a debugger opens an increment too: as long as
// there is room, because a restart has them from the parent.
static int add_for_debuggers(struct ckpt_checkpoint *c) {
    for (uint32_t i = 0; i < c->thread_count; i++) {
        const struct ckpt_thread *thread = &c->threads[i];
        if (thread->flags & CKPT_THREAD_ENDED) continue;
        // The frame lies below the interrupted stack, or on an alternate one.
        const uint64_t stacks[2] = {thread->ucontext, ((const uint64_t *)(thread->ucontext + 40))[15]};
        for (int s = 0; s < 2; s++) {
            const struct ckpt_mapping *m = mapping_at(c, stacks[s]);
            for (uint64_t page = 0, at = stacks[s] & ~4095ull; m && page < STACK_PAGES_MAX && at < m->end; page++, at += CKPT_PAGE_SIZE) {
                int error = add_always(c, at);
                if (error < 0) return error == -CKPT_ENOSPC ? 0 : error;
            }
        }
        for (uint64_t at = thread->fs_base; thread->fs_base && at < thread->fs_base + 0x1000; at += 0x800) {
            int error = add_always(c, at);
            if (error < 0) return error == -CKPT_ENOSPC ? 0 : error;
        }
    }
    add_link_map(c);
    return 0;
}

// Of the spans from this one on: pages that will not be copied.
static uint64_t dead_pages(struct ckpt_checkpoint *c, uint32_t first) {
    uint64_t count = 0;
    for (uint32_t s = first; s < c->span_count; s++)
        for (uint64_t at = c->spans[s].start, next; at < c->spans[s].end; at = next) {
            uint32_t exclusion;
            next = ckpt_exclusion_stretch(at, c->spans[s].end, &exclusion);
            if (exclusion == CKPT_PAGE_DEAD) count += (next - at) / CKPT_PAGE_SIZE;
        }
    return count;
}

static int scan(struct ckpt_checkpoint *c, uint64_t *page_count) {
    int looks_for_guards = !ckpt_guard_is_open();
    c->span_count = 0;
    *page_count = 0;
    if (looks_for_guards) ckpt_begin_guard_pages(c);
    for (uint32_t i = 0; i < c->mapping_count; i++) {
        const struct ckpt_mapping *m = &c->mappings[i];
        enum ckpt_treatment treatment = ckpt_treatment(m);
        if (treatment == CKPT_TREAT_SKIP) {
            int error = looks_for_guards ? ckpt_find_guard_pages(c, m->start, m->end) : 0;
            if (error < 0) return error;
            continue;
        }
        int state = treatment == CKPT_TREAT_ALL ? -1 : ckpt_track(c, m);
        uint32_t first = c->span_count;
        // A mapping that is new since the last round: whatever the ledger says of its addresses is of another.
        if (state == 0) {
            ckpt_ledger_forget(c, m->start, m->end);
            if (ckpt_state.tracks_exclusions && ckpt_has_exclusions(m->start, m->end)) ckpt_forget_exclusion(m->start, m->end);
        } else if (state == 1 && ckpt_is_doubted(c, m)) {
            ckpt_ledger_forget(c, m->start, m->end);
            state = 0;
        }
        // With direct I/O there were no rounds: this scan is the first.
        if (state == 1 && ckpt_state.direct_io && c->increment) {
            int error = ckpt_mark_clean(c, m);
            if (error < 0) return error;
        }
        int error = ckpt_find_dirty(c, m, state, ckpt_state.direct_io && !c->increment, 0);
        // What is compared with what is populated is searched for guard pages too.
        int is_compared = state == 1 && treatment == CKPT_TREAT_MEMORY && m->kind != CKPT_MAPPING_FILE && !ckpt_guard_is_open();
        if (error == 0 && is_compared) error = ckpt_compare_populated(c, m, first);
        else if (error == 0 && looks_for_guards) error = ckpt_find_guard_pages(c, m->start, m->end);
        if (error == 0 && state == 1) error = ckpt_find_owed(c, m);
        if (error < 0) return error;
        for (uint32_t s = first; s < c->span_count; s++) {
            c->spans[s].categories = i; // whose pages they are
            *page_count += (c->spans[s].end - c->spans[s].start) / CKPT_PAGE_SIZE;
        }
        if (ckpt_has_exclusions(m->start, m->end)) *page_count -= dead_pages(c, first);
    }
    ckpt_state.tracks_exclusions = 1;
    return 0;
}

// Finds what must be copied, without copying or protecting it: the spans, and how many pages they have.
//
// Kernel: up to some releases of 6.18 the short way of PAGEMAP_SCAN takes a bit of a swapped page's entry for the tracker's
// (pte_uffd_wp of a swap entry), so a page that was written and swapped out can look clean. The long way is right. Nothing comes
// back while every thread is parked, so what is swapped out after the scan was there during it.
int ckpt_final_scan(struct ckpt_checkpoint *c, uint64_t *page_count) {
    int error = scan(c, page_count);
    uint64_t swapped = 0;
    char *text = (char *)(ckpt_arena + CKPT_SCRATCH_OFFSET);
    if (error < 0 || ckpt_guard_is_open() || ckpt_read_text(-100, "/proc/self/status", text, 8192) < 0) return error;
    ckpt_find_field(text, "VmSwap:", 10, &swapped);
#ifdef CKPT_TEST_HOOKS
    swapped += ckpt_test_swapped.end - ckpt_test_swapped.start;
#endif
    c->is_swapped = swapped > 0;
    return c->is_swapped ? scan(c, page_count) : 0;
}

// The engine's own state is changed in its copy (scribe.c): it is copied, clean or not.
static int add_own_state(struct ckpt_checkpoint *c) {
    for (uint64_t at = (uint64_t)&ckpt_state & ~4095ull; at < (uint64_t)(&ckpt_state + 1); at += CKPT_PAGE_SIZE) {
        const struct ckpt_mapping *m = mapping_at(c, at);
        int64_t copied = m ? ckpt_copy_to_arena(c, m, at, at + CKPT_PAGE_SIZE) : -CKPT_EINVAL_ERRNO;
        if (copied < 0) return (int)copied;
    }
    return 0;
}

// Pages that have been copied, and are excluded now.
static int leave(struct ckpt_checkpoint *c, uint64_t start, uint64_t end) {
    for (uint64_t at = start, next; at < end; at = next) {
        next = (at / CKPT_PAGE_SIZE / CKPT_BLOCK_PAGES + 1) * CKPT_BLOCK_PAGES * CKPT_PAGE_SIZE;
        if (next > end) next = end;
        struct ckpt_page *page = ckpt_ledger_find(c, at);
        for (uint64_t k = 0; page && k < (next - at) / CKPT_PAGE_SIZE; k++) {
            int error = ckpt_leave(c, &page[k]);
            if (error < 0) return error;
        }
    }
    return 0;
}

// Dead pages have no content any more, clean or not.
static int settle_exclusions(struct ckpt_checkpoint *c) {
    int is_late = ckpt_exclusions_version() != c->exclusion_version;
    uint32_t count;
    const struct ckpt_excluded *ranges = ckpt_exclusions(&count);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t end = (ranges[i].end + CKPT_PAGE_SIZE - 1) & ~4095ull, next;
        for (uint64_t at = ranges[i].start & ~4095ull; at < end; at = next) {
            uint32_t exclusion;
            next = ckpt_exclusion_stretch(at, end, &exclusion);
            if (exclusion != CKPT_PAGE_DEAD) continue;
            int error = is_late ? leave(c, at, next) : 0;
            if (error < 0) return error;
            ckpt_ledger_forget(c, at, next);
            c->report.excluded_byte_count += next - at;
        }
    }
    return 0;
}

// Copies the spans into the arena and protects their pages: from here on they are clean. What a copy-on-write child will
// write is not protected: it stays dirty, which is never wrong.
int ckpt_final_copy(struct ckpt_checkpoint *c, int by_child) {
    int error = by_child ? 0 : add_own_state(c);
    for (uint32_t i = 0; error == 0 && i < c->span_count; i++) {
        const struct ckpt_region *span = &c->spans[i];
        const struct ckpt_mapping *m = &c->mappings[span->categories];
        // Nobody runs: the order of protecting and copying does not matter here. What cannot be protected stays dirty.
        // With direct I/O this is the only time when pages are protected.
        if (ckpt_treatment(m) != CKPT_TREAT_ALL && (!by_child || ckpt_state.direct_io)) ckpt_protect(c, m, span->start, span->end);
        if (by_child) continue;
        int64_t copied = ckpt_copy_to_arena(c, m, span->start, span->end);
        if (copied < 0) return (int)copied;
        if (span->start == m->start && span->end == m->end) ckpt_note_readable(c, m, (uint64_t)copied);
        c->report.frozen_byte_count += (uint64_t)copied * CKPT_PAGE_SIZE;
    }
    if (error == 0) error = settle_exclusions(c);
    return error < 0 ? error : add_for_debuggers(c);
}
