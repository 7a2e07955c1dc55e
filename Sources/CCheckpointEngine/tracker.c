// SPDX-License-Identifier: Apache-2.0
// The tracker: which pages the program has written since they were last protected. What its two makers, userfaultfd
// (tracker_uffd.c) and mprotect (tracker_mprotect.c), have in common: what is treated how, and what is known of files.
// Signal time: safe. Runs in the scribe, which shares the memory and scans it through its own /proc/self/pagemap.
//
// Invariants
//   T1  A page is clean only when its maker proves it: userfaultfd when its mapping is registered, the page is populated, and
//       the kernel does not call it written; mprotect when the table says so, the mapping has no write access, and the page is
//       populated and not the zero page. Everything else is copied.
//   T2  A page is protected before it is copied, so a write that the copy may have missed makes it written again.
//   T3  What is clean is as in the image `ckpt_state.base`; that is forgotten before the first page is protected for another
//       image, and set when that image is committed.
//
// Kernel (6.7 and later, fs/proc/task_mmu.c, mm/userfaultfd.c):
//   - PAGEMAP_SCAN for WRITTEN alone takes a short way, 0.2 ms for 1 GiB of small pages; with more categories it is 8–12 ms.
//   - Pages that are not populated count as written in the short way; and a protecting scan leaves markers in their place. So
//     anonymous memory is protected only where it is populated: a reservation of terabytes costs nothing.
//   - mremap that moves, and a new mapping at an old place, are not registered: the scan says EPERM.
//   - In a private file mapping a marker also stands for a private page that was protected and then dropped
//     (MADV_DONTNEED): clean to the kernel, also when the page of the file has been read in again, but its content is the
//     file's. So there a page that is not private is clean only when it had not been private at the base.
#include "engine.h"

#define ALL_CATEGORIES (CKPT_REGION_WRITTEN | CKPT_REGION_FILE | CKPT_REGION_POPULATED | CKPT_REGION_ZERO)

int ckpt_tracker_is_open(void) { return ckpt_guard_is_open() || ckpt_uffd_is_open(); }

void ckpt_tracker_open(void) {
    if (ckpt_state.plan.tracker == CKPT_TRACKER_MPROTECT) {
        if (!ckpt_guard_is_open()) { ckpt_uffd_close(); ckpt_guard_open(); }
        else ckpt_guard_install();
        return;
    }
    if (ckpt_guard_is_open()) ckpt_guard_close();
    ckpt_uffd_open();
}

void ckpt_tracker_close(void) {
    ckpt_guard_close();
    ckpt_uffd_close();
}

uint32_t ckpt_tracker_kind(void) { return ckpt_guard_is_open() ? CKPT_TRACKER_MPROTECT : CKPT_TRACKER_UFFD; }

int ckpt_track(struct ckpt_checkpoint *c, const struct ckpt_mapping *m) {
    return ckpt_guard_is_open() ? ckpt_guard_track(c, m) : ckpt_uffd_track(c, m);
}

int ckpt_is_tracked(struct ckpt_checkpoint *c, const struct ckpt_mapping *m) {
    return ckpt_guard_is_open() || ckpt_uffd_has(c, m); // what mprotect tracks says the same of old and new mappings
}

// A thread of the program has excluded memory here: with this, a mapping that replaces it later is told from it.
void ckpt_track_exclusion(uint64_t start, uint64_t end) {
    if (ckpt_uffd_is_open()) ckpt_uffd_register(start & ~4095ull, (end + 4095) & ~4095ull);
}

int ckpt_protect(struct ckpt_checkpoint *c, const struct ckpt_mapping *m, uint64_t start, uint64_t end) {
    return ckpt_guard_is_open() ? ckpt_guard_protect(c, m, start, end) : ckpt_uffd_protect(c, m, start, end);
}

#define NO_MAPPING (~0ull) // the caller says later whose pages the spans are

int ckpt_add_span(struct ckpt_checkpoint *c, uint64_t start, uint64_t end) {
    struct ckpt_region *last = c->span_count ? &c->spans[c->span_count - 1] : NULL;
    if (last && last->end == start && last->categories == NO_MAPPING) {
        last->end = end;
        return 0;
    }
    if (c->span_count == CKPT_SPANS_BYTES / sizeof *c->spans) { c->step = CKPT_STEP_ARENA; return -CKPT_ENOMEM; }
    c->spans[c->span_count++] = (struct ckpt_region){start, end, NO_MAPPING};
    return 0;
}

// Populated pages of memory in this range, to the spans; what is between them has no content.
int ckpt_add_populated(struct ckpt_checkpoint *c, uint64_t start, uint64_t end, int protect) {
    struct ckpt_region *found = ckpt_regions(1);
    uint64_t flags = protect ? CKPT_SCAN_PROTECT | CKPT_SCAN_CHECK : 0, known = start;
    while (start < end) {
        uint64_t next;
        long count = ckpt_scan(c, flags, start, end, 0, CKPT_REGION_POPULATED, ALL_CATEGORIES, found, CKPT_REGION_ROOM, &next);
        if (count < 0) return (int)count;
        for (long i = 0; i < count; i++) {
            // Only in a mapping without access: a page of the file is no content there.
            if (found[i].categories & CKPT_REGION_FILE) continue;
            ckpt_ledger_forget(c, known, found[i].start);
            known = found[i].end;
            int error = ckpt_add_span(c, found[i].start, found[i].end);
            if (error < 0) return error;
        }
        start = next;
    }
    ckpt_ledger_forget(c, known, end);
    return 0;
}

// What is known of a file mapping at the base: struct tracked.
struct tracked {
    uint64_t start, end, device, inode, file_offset;
    int64_t modified_ns, changed_ns;    // of the file
    uint64_t readable_end;              // behind the last page that the file has; 0: not known, so nothing is proven
    uint32_t has_private;               // private pages may have been there
    uint32_t bits;                      // where in this half a bit for each page begins that says which; 0: any
};
#define HALF_BYTES (1u << 19)
static struct tracked *tracked(uint32_t half) { return (struct tracked *)(ckpt_arena + CKPT_TRACKED_OFFSET + (half & 1) * (uint64_t)HALF_BYTES); }

// Records grow upwards in their half, the bits downwards.
static int has_room(const struct ckpt_checkpoint *c, uint64_t byte_count) {
    return (uint64_t)(c->tracked_count + 1) * sizeof(struct tracked) + c->tracked_bits + byte_count <= HALF_BYTES;
}
static uint8_t *bits_of(uint32_t half, const struct tracked *t) { return (uint8_t *)tracked(half) + t->bits; }
static void set_private(struct tracked *t, uint64_t start, uint64_t end) {
    for (uint64_t page = (start - t->start) / CKPT_PAGE_SIZE; t->bits && page < (end - t->start) / CKPT_PAGE_SIZE; page++)
        bits_of(ckpt_state.tracked_half + 1, t)[page / 8] |= (uint8_t)(1u << page % 8);
    t->has_private = 1;
}
static int was_private(const struct tracked *t, uint64_t address) {
    uint64_t page = (address - t->start) / CKPT_PAGE_SIZE;
    return !t->bits || bits_of(ckpt_state.tracked_half + 1, t)[page / 8] >> page % 8 & 1;
}

static struct tracked *find_tracked(struct tracked *table, uint32_t count, const struct ckpt_mapping *m) {
    for (uint32_t i = 0; i < count; i++)
        if (table[i].start == m->start && table[i].end == m->end && table[i].device == m->device && table[i].inode == m->inode
            && table[i].file_offset == m->file_offset) return &table[i];
    return NULL;
}

#define BITS_MAPPING_MAX (64ull << 20)
#define SETTLED_NS 100000000ll // a file that was changed this short ago may be changed again with the same time

// A restarted program has its text mapped from an image, which nobody changes, whatever names it has by now.
static int is_own_image(const char *path) {
    const char *own = ckpt_state.live.restart.image_path;
    return ckpt_state.live.restart.restart_count && own[0] == '/' && ckpt_same(path, own, ckpt_length(own));
}

static int stat_file(struct ckpt_checkpoint *c, const struct ckpt_mapping *m, struct tracked *t) {
    struct ckpt_stat stat;
    const char *path = (const char *)c->strings.base + m->name;
    if (is_own_image(path)) return 0;
    if (m->flags & CKPT_MAPPING_DELETED || path[0] != '/' || ckpt_call(__NR_newfstatat, -100, path, &stat, 0) < 0) return -1;
    if (stat.inode != m->inode) return -1; // another file has the name now
    t->modified_ns = stat.modified.seconds * 1000000000ll + stat.modified.nanoseconds;
    t->changed_ns = stat.changed.seconds * 1000000000ll + stat.changed.nanoseconds;
    return 0;
}

// The record of this mapping in the table that this checkpoint makes; NULL: nothing can be proven of it.
static struct tracked *note_file(struct ckpt_checkpoint *c, const struct ckpt_mapping *m) {
    struct tracked *table = tracked(ckpt_state.tracked_half + 1), *t = find_tracked(table, c->tracked_count, m);
    if (t || !has_room(c, 0)) return t;
    t = &table[c->tracked_count];
    *t = (struct tracked){m->start, m->end, m->device, m->inode, m->file_offset, 0, 0, 0, (m->protection & 2) != 0, 0};
    if (stat_file(c, m, t) < 0 || t->changed_ns + SETTLED_NS > (int64_t)ckpt_clock(CKPT_CLOCK_REALTIME)) return NULL;
    uint32_t bit_bytes = (uint32_t)((m->end - m->start) / CKPT_PAGE_SIZE + 7) / 8;
    if (m->end - m->start <= BITS_MAPPING_MAX && has_room(c, bit_bytes)) {
        c->tracked_bits += bit_bytes;
        t->bits = HALF_BYTES - c->tracked_bits;
        ckpt_memset(bits_of(ckpt_state.tracked_half + 1, t), 0, bit_bytes);
    }
    c->tracked_count++;
    // What a later round sees for the first time is nowhere yet, clean or not (ckpt_mark_clean).
    if (!c->increment || c->report.round_count > 0) return t;
    // Is it as it was at the base? Then what was known then holds.
    const struct tracked *before = find_tracked(tracked(ckpt_state.tracked_half), ckpt_state.tracked_count, m);
    if (before && before->modified_ns == t->modified_ns && before->changed_ns == t->changed_ns) {
        t->readable_end = before->readable_end;
        t->has_private |= before->has_private;
        if (t->bits && before->bits) ckpt_memcpy(bits_of(ckpt_state.tracked_half + 1, t), bits_of(ckpt_state.tracked_half, before), bit_bytes);
        else if (before->has_private) t->bits = 0;
    } else if (ckpt_state.tracked_count == 0 && t->changed_ns == 0) {
        t->readable_end = m->end; // the restart armed the tracker: this is the image's text, whole and without private pages
    }
    return t;
}

// Others may have changed the file while it was copied.
static int is_as_noted(struct ckpt_checkpoint *c, const struct ckpt_mapping *m, const struct tracked *t) {
    struct tracked now = {0};
    return stat_file(c, m, &now) == 0 && now.modified_ns == t->modified_ns && now.changed_ns == t->changed_ns;
}

static int add_dirty(struct ckpt_checkpoint *c, const struct ckpt_mapping *m, uint64_t start, uint64_t end, int protect) {
    int error = protect && start < end ? ckpt_protect(c, m, start, end) : 0;
    return error < 0 ? error : start < end ? ckpt_add_span(c, start, end) : 0;
}

// With private pages: clean are these, when they are present and not written, and pages that had not been private at the
// base: a page of the file, or a marker, may be where a private one was then, which was dropped.
static int find_dirty_private(struct ckpt_checkpoint *c, const struct ckpt_mapping *m, struct tracked *t, int protect) {
    struct ckpt_region *found = ckpt_regions(0);
    uint64_t known = m->start, next;
    int error;
    for (uint64_t at = m->start; at < m->end; at = next) {
        long count = ckpt_scan(c, CKPT_SCAN_CHECK, at, m->end, 0, CKPT_REGION_POPULATED, ALL_CATEGORIES, found, CKPT_REGION_ROOM, &next);
        if (count < 0) return (int)count;
        for (long i = 0; i < count; i++) {
            uint64_t categories = found[i].categories;
            if (categories & CKPT_REGION_WRITTEN) {
                if (!(categories & CKPT_REGION_FILE)) set_private(t, found[i].start, found[i].end);
                continue;
            }
            int is_private = (categories & (CKPT_REGION_PRESENT | CKPT_REGION_FILE)) == CKPT_REGION_PRESENT;
            if (is_private) set_private(t, found[i].start, found[i].end);
            for (uint64_t page = found[i].start; page < found[i].end; page += CKPT_PAGE_SIZE) {
                if (!is_private && was_private(t, page)) continue;
                if ((error = add_dirty(c, m, known, page, protect)) < 0) return error;
                known = page + CKPT_PAGE_SIZE;
            }
        }
    }
    return add_dirty(c, m, known, m->end, protect);
}

// Whether a private page is in this range: present and not of the file, or swapped out. Marks them in the record.
static int has_private(struct ckpt_checkpoint *c, struct tracked *t, uint64_t start, uint64_t end) {
    struct ckpt_region *found = ckpt_regions(1);
    int any = 0;
    for (uint64_t next; start < end; start = next) {
        long count = ckpt_scan(c, 0, start, end, 0, CKPT_REGION_POPULATED, ALL_CATEGORIES, found, CKPT_REGION_ROOM, &next);
        for (long i = 0; i < count; i++) {
            if (found[i].categories & CKPT_REGION_FILE) continue;
            set_private(t, found[i].start, found[i].end);
            any = 1;
        }
    }
    return any;
}

static int find_dirty_file(struct ckpt_checkpoint *c, const struct ckpt_mapping *m, int state, int all, int protect) {
    struct tracked *t = note_file(c, m);
    struct ckpt_region *found = ckpt_regions(0);
    if (t && c->frozen && !is_as_noted(c, m, t)) t->readable_end = 0;
    if (all || state == 0 || !t || !t->readable_end || c->is_swapped) {
        // Order: looked at before the protection, whose markers would be taken for pages that are swapped out. Where there are
        // markers already, any page may have been private.
        if (t && state != 0 && !ckpt_guard_is_open()) t->has_private = 1, t->bits = 0;
        else if (t) has_private(c, t, m->start, m->end);
        return add_dirty(c, m, m->start, m->end, protect);
    }
    // mprotect leaves files alone: what is the file's alone is clean, and the few private pages of a library are copied each time.
    if (ckpt_guard_is_open() && !has_private(c, t, m->start, m->end) && !t->has_private) return 0;
    if (ckpt_guard_is_open()) return ckpt_add_span(c, m->start, m->end);
    if (t->has_private) return find_dirty_private(c, m, t, protect);
    for (uint64_t at = m->start, next; at < m->end; at = next) {
        long count = ckpt_scan(c, CKPT_SCAN_CHECK, at, m->end, CKPT_REGION_WRITTEN, 0, CKPT_REGION_WRITTEN, found, CKPT_REGION_ROOM, &next);
        if (count < 0) return (int)count;
        for (long i = 0; i < count; i++) {
            has_private(c, t, found[i].start, found[i].end);
            int error = add_dirty(c, m, found[i].start, found[i].end, protect);
            if (error < 0) return error;
        }
    }
    return 0;
}

// Kernel: the short way counts what is not populated as written, as most of each thread's stack and of malloc's arenas: so the
// long way.
uint64_t ckpt_written_pages(struct ckpt_checkpoint *c, const struct ckpt_mapping *m) {
    struct ckpt_region *found = ckpt_regions(0);
    uint64_t written = 0;
    if (ckpt_treatment(m) != CKPT_TREAT_MEMORY) return 0;
    if (ckpt_guard_is_open()) return ckpt_guard_written_pages(c, m);
    for (uint64_t at = m->start, next; at < m->end; at = next) {
        long count = ckpt_scan(c, 0, at, m->end, CKPT_REGION_WRITTEN, CKPT_REGION_POPULATED, CKPT_REGION_WRITTEN, found, CKPT_REGION_ROOM, &next);
        for (long i = 0; i < count; i++) written += (found[i].end - found[i].start) / CKPT_PAGE_SIZE;
    }
    return written;
}

// The short way has found so many pieces that one long look (40 ns for each page) costs less than a look at each (1 µs).
static int is_scattered(const struct ckpt_region *found, long count) {
    return (found[count - 1].end - found[0].start) / CKPT_PAGE_SIZE < (uint64_t)count * 24;
}

// Written pages that have content, to the spans. What has none any more is found in the freeze (populated.c).
static int add_written(struct ckpt_checkpoint *c, uint64_t start, uint64_t end, int protect) {
    struct ckpt_region *found = ckpt_regions(1);
    for (uint64_t next; start < end; start = next) {
        long count = ckpt_scan(c, protect ? CKPT_SCAN_PROTECT | CKPT_SCAN_CHECK : CKPT_SCAN_CHECK, start, end, CKPT_REGION_WRITTEN,
                               CKPT_REGION_POPULATED, CKPT_REGION_WRITTEN, found, CKPT_REGION_ROOM, &next);
        if (count < 0) return (int)count;
        for (long i = 0; i < count; i++) {
            int error = ckpt_add_span(c, found[i].start, found[i].end);
            if (error < 0) return error;
        }
    }
    return 0;
}

int ckpt_find_dirty(struct ckpt_checkpoint *c, const struct ckpt_mapping *m, int state, int all, int protect) {
    enum ckpt_treatment treatment = ckpt_treatment(m);
    if (treatment == CKPT_TREAT_SKIP) return 0;
    if (treatment == CKPT_TREAT_ALL || (state < 0 && treatment == CKPT_TREAT_FILE)) return ckpt_add_span(c, m->start, m->end);
    if (treatment == CKPT_TREAT_FILE) return find_dirty_file(c, m, state, all, protect);
    if (state < 0) return ckpt_add_populated(c, m->start, m->end, 0);
    if (ckpt_guard_is_open()) return ckpt_guard_find_dirty(c, m, all);
    if (c->is_swapped && !all && state == 1 && m->kind != CKPT_MAPPING_FILE) return add_written(c, m->start, m->end, protect);
    // A mapping of a file without access: a marker cannot be told from a private page that is swapped out. Read, it tells.
    if (all || state == 0 || m->kind == CKPT_MAPPING_FILE) return ckpt_add_populated(c, m->start, m->end, protect);
    struct ckpt_region *found = ckpt_regions(0);
    for (uint64_t at = m->start, next; at < m->end; at = next) {
        long count = ckpt_scan(c, CKPT_SCAN_CHECK, at, m->end, CKPT_REGION_WRITTEN, 0, CKPT_REGION_WRITTEN, found, CKPT_REGION_ROOM, &next);
        if (count < 0) return (int)count;
        int error = 0;
        if (count > 0 && is_scattered(found, count)) error = add_written(c, found[0].start, found[count - 1].end, protect);
        else for (long i = 0; error == 0 && i < count; i++) error = ckpt_add_populated(c, found[i].start, found[i].end, protect);
        if (error < 0) return error;
    }
    return 0;
}

// Clean pages that this image must have all the same, because their exclusion has changed: to the spans. When it changed since the
// first round, what that has copied is wrong too, and what was dead then is nowhere.
int ckpt_find_owed(struct ckpt_checkpoint *c, const struct ckpt_mapping *m) {
    if (!ckpt_has_exclusions(m->start, m->end)) return 0;
    int is_late = c->frozen && ckpt_exclusions_version() != c->exclusion_version, is_file = ckpt_treatment(m) == CKPT_TREAT_FILE;
    for (uint64_t at = m->start, next; at < m->end; at = next) {
        uint32_t exclusion;
        next = ckpt_exclusion_stretch(at, m->end, &exclusion);
        while (exclusion == CKPT_PAGE_OWED && at < next) {
            uint64_t block_end = (at / CKPT_PAGE_SIZE / CKPT_BLOCK_PAGES + 1) * CKPT_BLOCK_PAGES * CKPT_PAGE_SIZE;
            if (block_end > next) block_end = next;
            const struct ckpt_page *page = ckpt_ledger_find(c, at);
            if (!page && !(is_late && is_file)) { at = block_end; continue; }
            for (; at < block_end; at += CKPT_PAGE_SIZE, page += page != NULL) {
                int wanted = page && page->place == CKPT_PLACE_PARENT;
                if (is_late) wanted |= is_file || page->place != CKPT_PLACE_NONE;
                int error = wanted ? ckpt_add_span(c, at, at + CKPT_PAGE_SIZE) : 0;
                if (error < 0) return error;
            }
        }
    }
    return 0;
}

// Pages that are clean now are those of the parent, unless they are written later. Order: before the first protecting scan.
int ckpt_mark_clean(struct ckpt_checkpoint *c, const struct ckpt_mapping *m) {
    struct ckpt_region *found = ckpt_regions(0);
    if (ckpt_treatment(m) == CKPT_TREAT_FILE) {
        const struct tracked *t = note_file(c, m);
        for (uint64_t at = m->start; t && at < t->readable_end; at += CKPT_PAGE_SIZE) {
            struct ckpt_page *page = ckpt_ledger_page(c, at);
            if (!page) return -CKPT_ENOMEM;
            if (page->place == CKPT_PLACE_NONE) page->place = CKPT_PLACE_PARENT;
        }
        return 0;
    }
    if (m->kind == CKPT_MAPPING_FILE) return 0; // without access: ckpt_find_dirty takes all that is there
    if (ckpt_guard_is_open()) return ckpt_guard_mark_clean(c, m);
    for (uint64_t start = m->start, next; start < m->end; start = next) {
        long count = ckpt_scan(c, CKPT_SCAN_CHECK, start, m->end, 0, CKPT_REGION_POPULATED, ALL_CATEGORIES, found, CKPT_REGION_ROOM, &next);
        if (count < 0) return (int)count;
        for (long i = 0; i < count; i++) {
            if (found[i].categories & CKPT_REGION_WRITTEN) continue;
            // A zero page that a read has brought in is not in the parent.
            uint32_t place = found[i].categories & CKPT_REGION_ZERO ? CKPT_PLACE_ZERO : CKPT_PLACE_PARENT;
            for (uint64_t at = found[i].start; at < found[i].end; at += CKPT_PAGE_SIZE) {
                struct ckpt_page *page = ckpt_ledger_page(c, at);
                if (!page) return -CKPT_ENOMEM;
                if (page->place == CKPT_PLACE_NONE) page->place = place;
            }
        }
    }
    return 0;
}

void ckpt_note_readable(struct ckpt_checkpoint *c, const struct ckpt_mapping *m, uint64_t page_count) {
    struct tracked *t = ckpt_treatment(m) == CKPT_TREAT_FILE ? find_tracked(tracked(ckpt_state.tracked_half + 1), c->tracked_count, m) : NULL;
    if (t) t->readable_end = m->start + page_count * CKPT_PAGE_SIZE;
}
