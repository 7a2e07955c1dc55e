// SPDX-License-Identifier: Apache-2.0
// The tracker: which pages the program has written since they were last protected. userfaultfd in asynchronous mode.
// Signal time: safe. The descriptor lives in the program's table, because the registrations end with it; the scribe, which
// shares the memory, registers and scans.
//
// Invariants
//   T1  A page is clean only when its mapping is registered with this userfaultfd, the page is populated, and the kernel does
//       not call it written. Everything else is copied.
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
//     file's. So there a page that is not private is clean only when the mapping had no private page at the base.
#include "engine.h"

#define PAGEMAP_SCAN_CALL 0xc0606610u   // _IOWR('f', 16, struct pm_scan_arg)
#define SCAN_PROTECT 1u                 // PM_SCAN_WP_MATCHING
#define SCAN_CHECK 2u                   // PM_SCAN_CHECK_WPASYNC
struct scan_argument {
    uint64_t byte_count, flags, start, end, walk_end, vector, vector_length, page_limit;
    uint64_t inverted, mask, any_of, returned;
};
#define CATEGORY_ALLOWED 1u             // PAGE_IS_WPALLOWED
_Static_assert(sizeof(struct scan_argument) == 96, "struct pm_scan_arg");

#define UFFDIO_API_CALL 0xc018aa3fu
#define UFFDIO_REGISTER_CALL 0xc020aa00u
#define UFFDIO_UNREGISTER_CALL 0x8010aa01u
#define UFFDIO_WRITEPROTECT_CALL 0xc018aa06u
#define FEATURE_WP_UNPOPULATED (1ull << 13)
#define FEATURE_WP_ASYNC (1ull << 15)
struct uffd_api { uint64_t api, features, calls; };
struct uffd_register { uint64_t start, byte_count, mode, calls; };
struct uffd_protect { uint64_t start, byte_count, mode; };

#define POPULATED (CKPT_REGION_PRESENT | CKPT_REGION_SWAPPED)
#define ALL_CATEGORIES (CKPT_REGION_WRITTEN | CKPT_REGION_FILE | POPULATED | CKPT_REGION_ZERO)

static int identify(int descriptor, uint64_t *device, uint64_t *inode) {
    uint64_t stat[18];
    if (descriptor < 0 || ckpt_call(__NR_fstat, descriptor, stat) < 0) return 0;
    *device = stat[0];
    *inode = stat[1];
    return 1;
}

int ckpt_tracker_is_open(void) {
    uint64_t device, inode;
    // Kernel: every userfaultfd has an inode of its own (since 5.12); a number that the program used again is not ours.
    return identify(ckpt_state.tracker_descriptor, &device, &inode)
        && device == ckpt_state.tracker_device && inode == ckpt_state.tracker_inode;
}

void ckpt_tracker_open(void) {
    struct ckpt_state *state = &ckpt_state;
    uint32_t wanted = state->plan.tracker;
    if ((wanted != CKPT_TRACKER_AUTO && wanted != CKPT_TRACKER_UFFD) || ckpt_tracker_is_open()) return;
    state->tracker_descriptor = -1;
    state->base = 0;
    state->tracks_exclusions = 0;
    // O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY: the last needs no privilege (since 5.11), and loses nothing here: in
    // asynchronous mode (since 6.7) the kernel itself resolves every fault, its own accesses included.
    long descriptor = ckpt_call(__NR_userfaultfd, 02004000 | 1);
    if (descriptor < 0) return;
    struct uffd_api api = {0xaa, FEATURE_WP_UNPOPULATED | FEATURE_WP_ASYNC, 0};
    // A high number: programs that count on the low ones, and select, are not disturbed.
    uint64_t limit[2] = {0, 0};
    ckpt_call(__NR_prlimit64, 0, 7 /* RLIMIT_NOFILE */, NULL, limit);
    uint64_t above = limit[0] > 1024 ? 1000 : limit[0] > 48 ? limit[0] - 24 : 0;
    long moved = ckpt_call(__NR_ioctl, descriptor, UFFDIO_API_CALL, &api);
    if (moved >= 0) moved = ckpt_call(__NR_fcntl, descriptor, 1030 /* F_DUPFD_CLOEXEC */, above);
    ckpt_close((int)descriptor);
    if (moved >= 0 && identify((int)moved, &state->tracker_device, &state->tracker_inode)) state->tracker_descriptor = (int32_t)moved;
}

void ckpt_tracker_close(void) {
    if (ckpt_tracker_is_open()) ckpt_close(ckpt_state.tracker_descriptor);
    ckpt_state.tracker_descriptor = -1;
    ckpt_state.base = 0;
}

// Returns how many regions, or a negative errno; *next is where it stopped.
static long scan(struct ckpt_checkpoint *c, uint64_t flags, uint64_t start, uint64_t end, uint64_t mask, uint64_t any_of,
                 uint64_t returned, struct ckpt_region *regions, uint64_t room, uint64_t *next) {
    struct scan_argument argument = {
        sizeof argument, flags, start, end, 0, (uint64_t)regions, room, 0, 0, mask, any_of, returned,
    };
    long count = ckpt_call(__NR_ioctl, c->map, PAGEMAP_SCAN_CALL, &argument);
    *next = count < 0 || argument.walk_end <= start ? end : argument.walk_end;
    return count;
}

int ckpt_is_tracked(struct ckpt_checkpoint *c, const struct ckpt_mapping *m) {
    // Asks for pages that may be protected and may not: looks at no page, but says EPERM where a mapping of the range is not
    // registered for asynchronous write-protection.
    struct scan_argument check = {sizeof check, SCAN_CHECK, m->start, m->end, 0, 0, 0, 0, CATEGORY_ALLOWED, CATEGORY_ALLOWED, 0, 0};
    return ckpt_call(__NR_ioctl, c->map, PAGEMAP_SCAN_CALL, &check) >= 0;
}

// A thread of the program has excluded memory here: with this, a mapping that replaces it later is told from it.
void ckpt_track_exclusion(uint64_t start, uint64_t end) {
    struct uffd_register argument = {start & ~4095ull, ((end + 4095) & ~4095ull) - (start & ~4095ull), 2, 0};
    if (ckpt_tracker_is_open()) ckpt_call(__NR_ioctl, ckpt_state.tracker_descriptor, UFFDIO_REGISTER_CALL, &argument);
}

int ckpt_track(struct ckpt_checkpoint *c, const struct ckpt_mapping *m) {
    int before = ckpt_is_tracked(c, m);
    if (before && !c->increment && ckpt_treatment(m) == CKPT_TREAT_FILE && !c->frozen) {
        // For a full image a file mapping begins anew: without markers, private pages can be told from those of the file.
        struct uffd_protect whole = {m->start, m->end - m->start, 0};
        ckpt_call(__NR_ioctl, ckpt_state.tracker_descriptor, UFFDIO_UNREGISTER_CALL, &whole);
        before = 0;
    }
    struct uffd_register argument = {m->start, m->end - m->start, 2 /* UFFDIO_REGISTER_MODE_WP */, 0};
    // EBUSY: a userfaultfd of the program itself is there.
    long result = ckpt_call(__NR_ioctl, ckpt_state.tracker_descriptor, UFFDIO_REGISTER_CALL, &argument);
    if (result < 0) return (int)result;
    return before;
}

int ckpt_protect(struct ckpt_checkpoint *c, const struct ckpt_mapping *m, uint64_t start, uint64_t end) {
    if (ckpt_treatment(m) == CKPT_TREAT_MEMORY) {
        uint64_t next;
        return (int)scan(c, SCAN_PROTECT | SCAN_CHECK, start, end, 0, POPULATED, 0, NULL, 0, &next);
    }
    struct uffd_protect argument = {start, end - start, 1 /* UFFDIO_WRITEPROTECT_MODE_WP */};
    for (int i = 0; i < 1000; i++) {
        long result = ckpt_call(__NR_ioctl, ckpt_state.tracker_descriptor, UFFDIO_WRITEPROTECT_CALL, &argument);
        if (result != -CKPT_EAGAIN) return (int)result; // Kernel: EAGAIN while the mappings change
        ckpt_yield();
    }
    return -CKPT_EAGAIN;
}

#define NO_MAPPING (~0ull) // the caller says later whose pages the spans are

static int add_span(struct ckpt_checkpoint *c, uint64_t start, uint64_t end) {
    struct ckpt_region *last = c->span_count ? &c->spans[c->span_count - 1] : NULL;
    if (last && last->end == start && last->categories == NO_MAPPING) {
        last->end = end;
        return 0;
    }
    if (c->span_count == CKPT_SPANS_BYTES / sizeof *c->spans) { c->step = CKPT_STEP_ARENA; return -CKPT_ENOMEM; }
    c->spans[c->span_count++] = (struct ckpt_region){start, end, NO_MAPPING};
    return 0;
}

#define REGION_ROOM (CKPT_REGIONS_BYTES / 2 / sizeof(struct ckpt_region))
static struct ckpt_region *regions(int which) {
    return (struct ckpt_region *)(ckpt_arena + CKPT_REGIONS_OFFSET + (which ? CKPT_REGIONS_BYTES / 2 : 0));
}

// Populated pages of memory in this range, to the spans; what is between them has no content.
static int add_populated(struct ckpt_checkpoint *c, uint64_t start, uint64_t end, int protect) {
    struct ckpt_region *found = regions(1);
    uint64_t flags = protect ? SCAN_PROTECT | SCAN_CHECK : 0, known = start;
    while (start < end) {
        uint64_t next;
        long count = scan(c, flags, start, end, 0, POPULATED, ALL_CATEGORIES, found, REGION_ROOM, &next);
        if (count < 0) return (int)count;
        for (long i = 0; i < count; i++) {
            // Only in a mapping without access: a page of the file is no content there.
            if (found[i].categories & CKPT_REGION_FILE) continue;
            ckpt_ledger_forget(c, known, found[i].start);
            known = found[i].end;
            int error = add_span(c, found[i].start, found[i].end);
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
    uint64_t has_private;               // private pages may have been there
};
#define TRACKED_MAX ((1u << 19) / sizeof(struct tracked))
static struct tracked *tracked(uint32_t half) { return (struct tracked *)(ckpt_arena + CKPT_TRACKED_OFFSET + (half & 1) * (1ull << 19)); }

static struct tracked *find_tracked(struct tracked *table, uint32_t count, const struct ckpt_mapping *m) {
    for (uint32_t i = 0; i < count; i++)
        if (table[i].start == m->start && table[i].end == m->end && table[i].device == m->device && table[i].inode == m->inode
            && table[i].file_offset == m->file_offset) return &table[i];
    return NULL;
}

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
    if (t || c->tracked_count == TRACKED_MAX) return t;
    t = &table[c->tracked_count];
    *t = (struct tracked){m->start, m->end, m->device, m->inode, m->file_offset, 0, 0, 0, (m->protection & 2) != 0};
    if (stat_file(c, m, t) < 0 || t->changed_ns + SETTLED_NS > (int64_t)ckpt_clock(CKPT_CLOCK_REALTIME)) return NULL;
    c->tracked_count++;
    // What a later round sees for the first time is nowhere yet, clean or not (ckpt_mark_clean).
    if (!c->increment || c->report.round_count > 0) return t;
    // Is it as it was at the base? Then what was known then holds.
    const struct tracked *before = find_tracked(tracked(ckpt_state.tracked_half), ckpt_state.tracked_count, m);
    if (before && before->modified_ns == t->modified_ns && before->changed_ns == t->changed_ns) {
        t->readable_end = before->readable_end;
        t->has_private |= before->has_private;
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
    return error < 0 ? error : start < end ? add_span(c, start, end) : 0;
}

// With private pages: clean are only these, when they are present and not written.
static int find_dirty_private(struct ckpt_checkpoint *c, const struct ckpt_mapping *m, int protect) {
    struct ckpt_region *found = regions(0);
    uint64_t known = m->start, next;
    int error;
    for (uint64_t at = m->start; at < m->end; at = next) {
        long count = scan(c, SCAN_CHECK, at, m->end, 0, POPULATED, ALL_CATEGORIES, found, REGION_ROOM, &next);
        if (count < 0) return (int)count;
        for (long i = 0; i < count; i++) {
            // A page of the file may be where a private one was at the base: dropped, and read again.
            if ((found[i].categories & (CKPT_REGION_PRESENT | CKPT_REGION_WRITTEN | CKPT_REGION_FILE)) != CKPT_REGION_PRESENT) continue;
            if ((error = add_dirty(c, m, known, found[i].start, protect)) < 0) return error;
            known = found[i].end;
        }
    }
    return add_dirty(c, m, known, m->end, protect);
}

// Whether a private page is in this range: present and not of the file, or swapped out.
static int has_private(struct ckpt_checkpoint *c, uint64_t start, uint64_t end) {
    struct ckpt_region *found = regions(1);
    for (uint64_t next; start < end; start = next) {
        long count = scan(c, 0, start, end, 0, POPULATED, ALL_CATEGORIES, found, REGION_ROOM, &next);
        for (long i = 0; i < count; i++) if (!(found[i].categories & CKPT_REGION_FILE)) return 1;
    }
    return 0;
}

static int find_dirty_file(struct ckpt_checkpoint *c, const struct ckpt_mapping *m, int state, int all, int protect) {
    struct tracked *t = note_file(c, m);
    struct ckpt_region *found = regions(0);
    if (t && c->frozen && !is_as_noted(c, m, t)) t->readable_end = 0;
    if (all || state == 0 || !t || !t->readable_end) {
        // Order: looked at before the protection, whose markers would be taken for pages that are swapped out.
        if (t) t->has_private |= state != 0 || has_private(c, m->start, m->end);
        return add_dirty(c, m, m->start, m->end, protect);
    }
    if (t->has_private) return find_dirty_private(c, m, protect);
    for (uint64_t at = m->start, next; at < m->end; at = next) {
        long count = scan(c, SCAN_CHECK, at, m->end, CKPT_REGION_WRITTEN, 0, CKPT_REGION_WRITTEN, found, REGION_ROOM, &next);
        if (count < 0) return (int)count;
        for (long i = 0; i < count; i++) {
            if (has_private(c, found[i].start, found[i].end)) t->has_private = 1;
            int error = add_dirty(c, m, found[i].start, found[i].end, protect);
            if (error < 0) return error;
        }
    }
    return 0;
}

// Kernel: the short way counts what is not populated as written, as most of each thread's stack and of malloc's arenas: so what
// it finds is looked at again.
uint64_t ckpt_written_pages(struct ckpt_checkpoint *c, const struct ckpt_mapping *m) {
    struct ckpt_region *found = regions(0), *populated = regions(1);
    uint64_t written = 0;
    if (ckpt_treatment(m) != CKPT_TREAT_MEMORY) return 0;
    for (uint64_t at = m->start, next; at < m->end; at = next) {
        long count = scan(c, 0, at, m->end, CKPT_REGION_WRITTEN, 0, CKPT_REGION_WRITTEN, found, REGION_ROOM, &next);
        for (long i = 0; i < count; i++)
            for (uint64_t from = found[i].start, then; from < found[i].end; from = then) {
                long many = scan(c, 0, from, found[i].end, CKPT_REGION_WRITTEN, POPULATED, CKPT_REGION_WRITTEN, populated, REGION_ROOM, &then);
                for (long k = 0; k < many; k++) written += (populated[k].end - populated[k].start) / CKPT_PAGE_SIZE;
            }
    }
    return written;
}

int ckpt_find_dirty(struct ckpt_checkpoint *c, const struct ckpt_mapping *m, int state, int all, int protect) {
    enum ckpt_treatment treatment = ckpt_treatment(m);
    if (treatment == CKPT_TREAT_SKIP) return 0;
    if (treatment == CKPT_TREAT_ALL || (state < 0 && treatment == CKPT_TREAT_FILE)) return add_span(c, m->start, m->end);
    if (treatment == CKPT_TREAT_FILE) return find_dirty_file(c, m, state, all, protect);
    if (state < 0) return add_populated(c, m->start, m->end, 0);
    // A mapping of a file without access: a marker cannot be told from a private page that is swapped out. Read, it tells.
    if (all || state == 0 || m->kind == CKPT_MAPPING_FILE) return add_populated(c, m->start, m->end, protect);
    struct ckpt_region *found = regions(0);
    for (uint64_t at = m->start, next; at < m->end; at = next) {
        long count = scan(c, SCAN_CHECK, at, m->end, CKPT_REGION_WRITTEN, 0, CKPT_REGION_WRITTEN, found, REGION_ROOM, &next);
        if (count < 0) return (int)count;
        for (long i = 0; i < count; i++) {
            int error = add_populated(c, found[i].start, found[i].end, protect);
            if (error < 0) return error;
        }
    }
    return 0;
}

// Pages that are clean now are those of the parent, unless they are written later. Order: before the first protecting scan.
int ckpt_mark_clean(struct ckpt_checkpoint *c, const struct ckpt_mapping *m) {
    struct ckpt_region *found = regions(0);
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
    for (uint64_t start = m->start, next; start < m->end; start = next) {
        long count = scan(c, SCAN_CHECK, start, m->end, 0, POPULATED, ALL_CATEGORIES, found, REGION_ROOM, &next);
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
