// SPDX-License-Identifier: Apache-2.0
// Copies pages of the program: into the file while it runs, into the arena while it is frozen.
// Signal time: safe. Runs in the scribe and in the copy-on-write child; a page that goes away meanwhile is a page that could
// not be read, never a crash (copy.S).
//
// A page that was copied before and was written again since is copied again, to the same place: the last copy counts, and
// the last is made while the program is frozen.
#include "engine.h"
#include "ckpt/crc32c.h"

#define SIGNAL_SEGV 11
#define SIGNAL_BUS 7

int ckpt_copy_begin(struct ckpt_checkpoint *c) {
    struct ckpt_kernel_action ours = {
        (uint64_t)ckpt_fault_entry, CKPT_SA_SIGINFO | CKPT_SA_RESTORER | 0x40000000u /* SA_NODEFER */, (uint64_t)ckpt_signal_return, 0,
    };
    uint64_t faults = 1ull << (SIGNAL_SEGV - 1) | 1ull << (SIGNAL_BUS - 1);
    ckpt_sigaction(SIGNAL_SEGV, &ours, NULL);
    ckpt_sigaction(SIGNAL_BUS, &ours, NULL);
    ckpt_call(__NR_rt_sigprocmask, 1 /* SIG_UNBLOCK */, &faults, NULL, 8);
    // The same memory as the program's in the scribe, its copy in the child.
    if (c->memory < 0) c->memory = (int)ckpt_open("/proc/self/mem", 02000000, 0);
    if (c->map < 0) c->map = (int)ckpt_open("/proc/self/pagemap", 02000000, 0);
    if (c->memory < 0 || c->map < 0) { c->step = CKPT_STEP_PROC; return c->memory < 0 ? c->memory : c->map; }
    return 0;
}

enum ckpt_treatment ckpt_treatment(const struct ckpt_mapping *m) {
    if (m->flags & CKPT_MAPPING_DROPPABLE) return CKPT_TREAT_SKIP; // that it may be empty at any time is its meaning
    switch (m->kind) {
    case CKPT_MAPPING_ANONYMOUS: case CKPT_MAPPING_STACK: case CKPT_MAPPING_HEAP: return CKPT_TREAT_MEMORY;
    case CKPT_MAPPING_FILE:
        // Others can write it: no tracker sees that.
        if (m->flags & CKPT_MAPPING_SHARED) return CKPT_TREAT_ALL;
        // A gap between the segments of a library is mapped from the file without access: nothing of the file is content.
        return m->protection == 0 ? CKPT_TREAT_MEMORY : CKPT_TREAT_FILE;
    case CKPT_MAPPING_VDSO: return CKPT_TREAT_ALL;
    // The content of shared objects is found and copied by shared.c; the beacon is made anew.
    default: return CKPT_TREAT_SKIP;
    }
}

static int is_zero(const uint8_t *page) {
    const uint64_t *word = (const uint64_t *)page;
    for (unsigned i = 0; i < CKPT_PAGE_SIZE / 8; i += 8)
        if (word[i] | word[i + 1] | word[i + 2] | word[i + 3] | word[i + 4] | word[i + 5] | word[i + 6] | word[i + 7]) return 0;
    return 1;
}

// One page, from wherever it can be read: /proc/self/mem ignores protections.
static int read_page(struct ckpt_checkpoint *c, const struct ckpt_mapping *m, uint8_t *to, uint64_t address) {
    if ((m->protection & 1) && ckpt_copy_page(to, (const void *)address) == 0) return 0;
    return ckpt_pread(c->memory, to, CKPT_PAGE_SIZE, address) == CKPT_PAGE_SIZE ? 0 : -1;
}

#define NO_MAPPING (~0u)

// The next free page of the file. In a full image, pages that follow each other in a mapping keep their distance, so that
// one program header describes them and zero pages between them are holes.
static uint32_t next_place(struct ckpt_checkpoint *c, uint32_t mapping, uint64_t address) {
    uint64_t gap = address - c->next_address;
    if (!c->increment && mapping != NO_MAPPING && mapping == c->next_mapping && address >= c->next_address && gap < CKPT_SEGMENT_GAP) c->file_end += gap;
    uint32_t place = CKPT_PLACE_FILE + (uint32_t)(c->file_end / CKPT_PAGE_SIZE);
    c->file_end += CKPT_PAGE_SIZE;
    c->next_address = address + CKPT_PAGE_SIZE;
    c->next_mapping = mapping;
    return place;
}

static int has_place(const struct ckpt_page *page) { return page->place >= CKPT_PLACE_FILE && page->place < CKPT_PLACE_HOT; }

static int leave_place(struct ckpt_checkpoint *c, uint32_t place) {
    if (place == CKPT_PLACE_NONE || c->append_only) return 0; // what was given to a sink stays there
    struct ckpt_left *left = ckpt_take(&c->ledger.memory, sizeof *left);
    if (!left) { c->step = CKPT_STEP_ARENA; return -CKPT_ENOMEM; }
    *left = (struct ckpt_left){c->left, place};
    c->left = left;
    return 0;
}

// A copy in the arena may have had a place before.
static uint32_t place_of(struct ckpt_checkpoint *c, const struct ckpt_page *page) {
    return page->place & CKPT_PLACE_HOT ? c->hot_places[page->place & ~CKPT_PLACE_HOT] : has_place(page) ? page->place : CKPT_PLACE_NONE;
}

int ckpt_leave(struct ckpt_checkpoint *c, struct ckpt_page *page) {
    uint32_t place = place_of(c, page);
    page->place = CKPT_PLACE_NONE;
    return leave_place(c, place);
}

// The page is in the output's buffer.
static void keep_page(struct ckpt_checkpoint *c, struct ckpt_page *page, const uint8_t *bytes) {
    page->crc = ckpt_crc32c(0, bytes, CKPT_PAGE_SIZE);
    ckpt_output_keep(c);
}

// What the program has excluded is not copied: dead pages have no content, read-only ones stay as the parent has them.
static int is_excluded(struct ckpt_checkpoint *c, uint64_t at, struct ckpt_page *page) {
    uint32_t exclusion = ckpt_exclusion_of_page(at);
    if (exclusion == CKPT_PAGE_READ_ONLY) return page->place == CKPT_PLACE_PARENT;
    if (exclusion != CKPT_PAGE_DEAD) return 0;
    c->dead_count++;
    if (!c->tracked) c->report.excluded_byte_count += CKPT_PAGE_SIZE; // else the freeze counts (final.c)
    // Excluded since it was copied: its bytes are to be in no image, and not in the gaps of its file either.
    int error = ckpt_leave(c, page);
    return error < 0 ? error : 1;
}

// One page to its place in the file, from `source` or (NULL) from the program's memory. Returns 1, or 0 when it cannot be read.
// `number`: of the mapping; pages of one that follow each other lie so in the file.
static int copy_one(struct ckpt_checkpoint *c, const struct ckpt_mapping *m, uint32_t number, uint64_t at, const uint8_t *source) {
    struct ckpt_page *page = ckpt_ledger_page(c, at);
    if (!page) return -CKPT_ENOMEM;
    int error = is_excluded(c, at, page);
    if (error) return error;
    uint32_t kept = place_of(c, page);
    int again = kept != CKPT_PLACE_NONE && !c->append_only;
    uint64_t file_end = c->file_end, next_address = c->next_address;
    uint32_t next_mapping = c->next_mapping, place = again ? kept : next_place(c, number, at);
    uint8_t *to = ckpt_output_page(c, (uint64_t)(place - CKPT_PLACE_FILE) * CKPT_PAGE_SIZE, &error);
    if (!to) return error;
    int readable = 1;
    if (source) ckpt_memcpy(to, source, CKPT_PAGE_SIZE); else readable = read_page(c, m, to, at) == 0;
    ckpt_clear_dead_bytes(at, to);
    if (!readable || is_zero(to)) {
        page->place = readable ? CKPT_PLACE_ZERO : CKPT_PLACE_NONE;
        if (!again) c->file_end = file_end, c->next_address = next_address, c->next_mapping = next_mapping;
        // It may be zero because a part of it is excluded now.
        else if ((error = leave_place(c, kept)) < 0) return error;
        return readable;
    }
    page->place = place;
    keep_page(c, page, to);
    return 1;
}

// A page that cannot be read: a guard, behind which the mapping goes on, or the end of the file, behind which nothing comes.
// Kernel: file mappings have guards (MADV_GUARD_INSTALL) since 6.15, and since then the pagemap tells them (bit 58).
static int ends_at(struct ckpt_checkpoint *c, const struct ckpt_mapping *m, uint64_t at, uint64_t end) {
    uint64_t entry = 0;
    if (m->kind != CKPT_MAPPING_FILE) return 0;
    if (ckpt_pread(c->map, &entry, 8, at / CKPT_PAGE_SIZE * 8) == 8 && entry & 1ull << 58) return 0;
    // Whatever was there before the file became shorter.
    ckpt_ledger_forget(c, at, end);
    return 1;
}

int64_t ckpt_copy_to_file(struct ckpt_checkpoint *c, const struct ckpt_mapping *m, uint64_t start, uint64_t end) {
    int64_t copied = 0;
    for (uint64_t at = start; at < end; at += CKPT_PAGE_SIZE) {
        int result = copy_one(c, m, (uint32_t)(m - c->mappings), at, NULL);
        if (result < 0) return result;
        if (result == 0 && ends_at(c, m, at, end)) break;
        copied += result || m->kind == CKPT_MAPPING_FILE; // a guard counts: it is not the end
    }
    return copied;
}

int ckpt_copy_shadow(struct ckpt_checkpoint *c, const struct ckpt_mapping *m, const struct ckpt_shadow *shadow) {
    int error = 0;
    // A range that is known from before may reach over several of today's mappings.
    for (uint64_t i = 0, at = shadow->address; i < shadow->page_count && error >= 0; i++, at += CKPT_PAGE_SIZE)
        if (m->start <= at && at < m->end) error = copy_one(c, m, (uint32_t)(m - c->mappings), at, shadow->copy + i * CKPT_PAGE_SIZE);
    return error < 0 ? error : 0;
}

static uint8_t *hot_page(uint32_t index) { return (uint8_t *)(ckpt_arena + CKPT_HOT_OFFSET) + (uint64_t)index * CKPT_PAGE_SIZE; }

int64_t ckpt_copy_to_arena(struct ckpt_checkpoint *c, const struct ckpt_mapping *m, uint64_t start, uint64_t end) {
    int64_t copied = 0;
    for (uint64_t at = start; at < end; at += CKPT_PAGE_SIZE) {
        struct ckpt_page *page = ckpt_ledger_page(c, at);
        if (!page) return -CKPT_ENOMEM;
        int excluded = is_excluded(c, at, page);
        if (excluded < 0) return excluded;
        if (excluded) { copied++; continue; }
        uint32_t index = page->place & CKPT_PLACE_HOT ? page->place & ~CKPT_PLACE_HOT : c->hot_count;
        if (index == CKPT_HOT_PAGES) return -CKPT_ENOSPC;
        if (read_page(c, m, hot_page(index), at) < 0) {
            page->place = CKPT_PLACE_NONE;
            if (ends_at(c, m, at, end)) break;
            copied += m->kind == CKPT_MAPPING_FILE;
            continue;
        }
        ckpt_clear_dead_bytes(at, hot_page(index));
        if (index == c->hot_count) c->hot_places[c->hot_count++] = has_place(page) ? page->place : CKPT_PLACE_NONE;
        page->place = CKPT_PLACE_HOT | index;
        copied++;
    }
    return copied;
}

#define FIRST_OBJECT 0x80000000u // behind the numbers of mappings
int ckpt_copy_object(struct ckpt_checkpoint *c, uint32_t object, uint64_t at, const uint8_t *source, int to_arena) {
    if (!to_arena) return copy_one(c, NULL, FIRST_OBJECT + object, at, source);
    struct ckpt_page *page = ckpt_ledger_page(c, at);
    if (!page) return -CKPT_ENOMEM;
    uint32_t index = page->place & CKPT_PLACE_HOT ? page->place & ~CKPT_PLACE_HOT : c->hot_count;
    if (index == CKPT_HOT_PAGES) return -CKPT_ENOSPC;
    ckpt_memcpy(hot_page(index), source, CKPT_PAGE_SIZE);
    if (index == c->hot_count) c->hot_places[c->hot_count++] = has_place(page) ? page->place : CKPT_PLACE_NONE;
    page->place = CKPT_PLACE_HOT | index;
    return 1;
}

// Changes a field of the engine's own state in the copy that goes into the image. It may lie across two pages.
void ckpt_patch_hot(struct ckpt_checkpoint *c, const void *field, const void *value, size_t byte_count) {
    for (size_t i = 0; i < byte_count; i++) {
        uint64_t address = (uint64_t)field + i;
        struct ckpt_page *page = ckpt_ledger_find(c, address);
        if (page && page->place & CKPT_PLACE_HOT) hot_page(page->place & ~CKPT_PLACE_HOT)[address % CKPT_PAGE_SIZE] = ((const uint8_t *)value)[i];
    }
}

// Order: behind the freeze, before which all that was queued for these places is written. None of them is used again.
static int clear_left(struct ckpt_checkpoint *c) {
    for (; c->left; c->left = c->left->next) {
        int error = 0;
        uint8_t *to = ckpt_output_page(c, (uint64_t)(c->left->place - CKPT_PLACE_FILE) * CKPT_PAGE_SIZE, &error);
        if (!to) return error;
        ckpt_memset(to, 0, CKPT_PAGE_SIZE);
        ckpt_output_keep(c);
    }
    return 0;
}

int ckpt_flush_hot(struct ckpt_checkpoint *c) {
    ckpt_ledger_sort(c);
    for (uint32_t i = 0; i < c->ledger.count; i++) {
        const struct ckpt_block *block = &c->ledger.blocks[c->ledger.order[i]];
        for (uint32_t k = 0; k < CKPT_BLOCK_PAGES; k++) {
            struct ckpt_page *page = &block->pages[k];
            if (!(page->place & CKPT_PLACE_HOT)) continue;
            uint32_t index = page->place & ~CKPT_PLACE_HOT, before = c->hot_places[index];
            const uint8_t *bytes = hot_page(index);
            int error = 0;
            if (is_zero(bytes)) {
                page->place = CKPT_PLACE_ZERO;
                if ((error = leave_place(c, before)) < 0) return error;
                continue;
            }
            page->place = before && !c->append_only ? before : next_place(c, NO_MAPPING, (block->number * CKPT_BLOCK_PAGES + k) * CKPT_PAGE_SIZE);
            uint8_t *to = ckpt_output_page(c, (uint64_t)(page->place - CKPT_PLACE_FILE) * CKPT_PAGE_SIZE, &error);
            if (!to) return error;
            ckpt_memcpy(to, bytes, CKPT_PAGE_SIZE);
            keep_page(c, page, to);
        }
    }
    c->hot_count = 0;
    return clear_left(c);
}
