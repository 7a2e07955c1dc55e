// SPDX-License-Identifier: Apache-2.0
// Memory that a fork does not copy: MADV_DONTFORK (the child has no such mapping) and MADV_WIPEONFORK (the child's is empty).
// Signal time: safe. Copies into the arena while the program is frozen; looks into the copy-on-write child's own /proc.
//
// maps does not show these advices, and smaps, which does, walks all page tables under the lock that the program's mmap
// needs (40 ms for 1 GiB). So the child looks, at itself: what it does not have is DONTFORK; what is empty in the child and
// not in the parent may be WIPEONFORK, and only then smaps is read. Ranges found that the freeze did not copy are reported,
// remembered, and the checkpoint is taken again: once in the life of most programs that have any.
#include "engine.h"

#define POPULATED (3ull << 62) // present or swapped
#define GUARD (1ull << 58) // since 6.15
#define ENTRIES 4096u

static struct ckpt_unforked *find_known(uint64_t start, uint64_t end) {
    for (uint32_t i = 0; i < ckpt_state.unforked_count; i++)
        if (ckpt_state.unforked[i].start <= start && end <= ckpt_state.unforked[i].end) return &ckpt_state.unforked[i];
    return NULL;
}

// Returns how many pages were looked at: copied, up to one that cannot be read (a guard page: nothing there).
static int64_t copy_pages(struct ckpt_checkpoint *c, uint64_t address, uint32_t page_count, int memory) {
    struct ckpt_shadow *shadow = ckpt_take(&c->tables, sizeof *shadow);
    uint8_t *copy = ckpt_take(&c->tables, (uint64_t)page_count * CKPT_PAGE_SIZE);
    if (!copy || !shadow) { c->step = CKPT_STEP_ARENA; return -CKPT_ENOMEM; }
    *shadow = (struct ckpt_shadow){address, copy, 0, c->shadows};
    c->shadows = shadow;
    for (; shadow->page_count < page_count; shadow->page_count++) {
        uint64_t offset = (uint64_t)shadow->page_count * CKPT_PAGE_SIZE;
        if (ckpt_pread(memory, copy + offset, CKPT_PAGE_SIZE, address + offset) != CKPT_PAGE_SIZE) return shadow->page_count + 1;
    }
    return page_count;
}

// What has content in a part of one mapping: what is populated, and of a mapped file all that the file has.
static int copy_range(struct ckpt_checkpoint *c, uint64_t start, uint64_t end, int is_file, int memory) {
    uint64_t *entries = (uint64_t *)(ckpt_arena + CKPT_BOUNCE_OFFSET);
    for (uint64_t at = start; at < end;) {
        if (!is_file && (at = ckpt_next_populated(c->parent_map, at, end)) == end) break;
        uint64_t left = (end - at) / CKPT_PAGE_SIZE;
        uint32_t count = left < ENTRIES ? (uint32_t)left : ENTRIES;
        if (ckpt_pread(c->parent_map, entries, count * 8ull, at / CKPT_PAGE_SIZE * 8) != (long)(count * 8ull)) return 0;
        for (uint32_t first = 0; first < count;) {
            uint32_t k = first;
            while (k < count && (is_file || entries[k] & POPULATED) && k - first < CKPT_RUN_PAGES_MAX) k++;
            if (k == first) { first++; continue; }
            int64_t done = copy_pages(c, at + (uint64_t)first * CKPT_PAGE_SIZE, k - first, memory);
            if (done < 0) return (int)done;
            // What cannot be read is a guard, or the end of the file.
            if (is_file && done < k - first && !(entries[first + done - 1] & GUARD)) return 0;
            first += (uint32_t)done;
        }
        at += (uint64_t)count * CKPT_PAGE_SIZE;
    }
    return 0;
}

// In the freeze: the ranges known from earlier checkpoints.
int ckpt_capture_unforked(struct ckpt_checkpoint *c) {
    c->shadows = NULL;
    c->parent_map = (int)ckpt_open("/proc/self/pagemap", 02000000, 0);
    if (ckpt_state.unforked_count == 0) return 0;
    int memory = (int)ckpt_open("/proc/self/mem", 02000000, 0), error = 0;
    if (memory < 0 || c->parent_map < 0) return memory < 0 ? memory : c->parent_map;
    for (uint32_t i = 0; i < ckpt_state.unforked_count && error == 0; i++)
        for (uint32_t k = 0; k < c->mapping_count && error == 0; k++) {
            const struct ckpt_mapping *m = &c->mappings[k];
            if (ckpt_treatment(m) == CKPT_TREAT_SKIP) continue; // nothing is left for the child
            uint64_t start = ckpt_state.unforked[i].start, end = ckpt_state.unforked[i].end;
            if (m->start > start) start = m->start;
            if (m->end < end) end = m->end;
            if (start < end) error = copy_range(c, start, end, ckpt_treatment(m) == CKPT_TREAT_FILE, memory);
        }
    ckpt_close(memory);
    return error;
}

static int is_populated(int map, uint64_t start, uint64_t end) {
    uint64_t *entries = (uint64_t *)(ckpt_arena + CKPT_BOUNCE_OFFSET);
    for (uint64_t at = start; at < end;) {
        if ((at = ckpt_next_populated(map, at, end)) == end) break;
        uint64_t left = (end - at) / CKPT_PAGE_SIZE;
        uint32_t count = left < ENTRIES ? (uint32_t)left : ENTRIES;
        if (ckpt_pread(map, entries, count * 8ull, at / CKPT_PAGE_SIZE * 8) != (long)(count * 8ull)) return 0;
        for (uint32_t k = 0; k < count; k++) if (entries[k] & POPULATED) return 1;
        at += (uint64_t)count * CKPT_PAGE_SIZE;
    }
    return 0;
}

// Whether a page that the parent has is missing in this child. A mapping that mprotect has split is one to us, so it has to be
// looked at page by page.
static int is_partly_wiped(int map, int parent_map, uint64_t start, uint64_t end) {
    uint64_t *entries = (uint64_t *)(ckpt_arena + CKPT_BOUNCE_OFFSET), *parents = entries + ENTRIES;
    for (uint64_t at = start; at < end; at += ENTRIES * (uint64_t)CKPT_PAGE_SIZE) {
        if ((at = ckpt_next_populated(parent_map, at, end)) == end) break;
        uint64_t left = (end - at) / CKPT_PAGE_SIZE;
        uint32_t count = left < ENTRIES ? (uint32_t)left : ENTRIES;
        if (ckpt_pread(map, entries, count * 8ull, at / CKPT_PAGE_SIZE * 8) != (long)(count * 8ull)) return 0;
        if (ckpt_pread(parent_map, parents, count * 8ull, at / CKPT_PAGE_SIZE * 8) != (long)(count * 8ull)) return 0;
        for (uint32_t k = 0; k < count; k++) if (parents[k] & POPULATED && !(entries[k] & POPULATED)) return 1;
    }
    return 0;
}

static void mark(struct ckpt_checkpoint *c, uint64_t start, uint64_t end, uint32_t flags) {
    for (uint32_t i = 0; i < c->mapping_count; i++) {
        struct ckpt_mapping *m = &c->mappings[i];
        if (m->end <= start || m->end > end || m->kind == CKPT_MAPPING_ARENA) continue;
        // What grows down may have done so since.
        if (m->start >= start || flags & CKPT_MAPPING_GROWS_DOWN) m->flags |= flags;
    }
}

static uint32_t advice_of(const char *flags) {
    static const struct { char name[3]; uint32_t flag; } names[] = {
        {"wf", CKPT_MAPPING_WIPE_ON_FORK}, {"dc", CKPT_MAPPING_DONT_FORK}, {"dd", CKPT_MAPPING_DONT_DUMP},
        {"hg", CKPT_MAPPING_HUGE}, {"nh", CKPT_MAPPING_NO_HUGE}, {"lo", CKPT_MAPPING_LOCKED},
        {"gd", CKPT_MAPPING_GROWS_DOWN}, {"dp", CKPT_MAPPING_DROPPABLE}, {"sl", CKPT_MAPPING_SEALED},
    };
    uint32_t found = 0;
    for (; *flags; flags++)
        for (unsigned i = 0; flags[0] == ' ' && i < sizeof names / sizeof *names; i++)
            if (flags[1] == names[i].name[0] && flags[2] == names[i].name[1]) found |= names[i].flag;
    return found;
}

// Reads smaps of this process: a line "START-END …" begins a mapping, "VmFlags: … wf …" says how it is advised.
int ckpt_read_advice(void (*tell)(struct ckpt_checkpoint *, uint64_t, uint64_t, uint32_t), struct ckpt_checkpoint *c) {
    long file = ckpt_open("/proc/self/smaps", 02000000, 0);
    if (file < 0) return (int)file;
    char line[512], buffer[16384]; // of a longer line the beginning is enough; the stack may be a helper's
    uint64_t start = 0, end = 0, swapped = 0;
    size_t used = 0;
    long got;
    while ((got = ckpt_read((int)file, buffer, sizeof buffer)) > 0)
        for (long i = 0; i < got; i++) {
            if (buffer[i] != '\n') {
                if (used < sizeof line - 1) line[used++] = buffer[i];
                continue;
            }
            line[used] = 0;
            used = 0;
            uint64_t number;
            const char *after = ckpt_number(line, 16, &number);
            if (after != line && *after == '-') {
                start = number;
                ckpt_number(after + 1, 16, &end);
            } else if (ckpt_same(line, "Swap:", 5)) {
                ckpt_find_field(line, "Swap:", 10, &swapped);
            } else if (ckpt_same(line, "VmFlags:", 8)) {
                uint32_t advice = advice_of(line + 8) | (swapped ? CKPT_ADVICE_SWAPPED : 0);
                if (advice) tell(c, start, end, advice);
            }
        }
    ckpt_close((int)file);
    return got < 0 ? (int)got : 0;
}

static void mark_wiped(struct ckpt_checkpoint *c, uint64_t start, uint64_t end, uint32_t advice) {
    if (!(advice & CKPT_MAPPING_WIPE_ON_FORK)) return;
    mark(c, start, end, advice & (CKPT_MAPPING_WIPE_ON_FORK | CKPT_MAPPING_DROPPABLE));
    // Advised after the advice was read: as a whole it is known to be missing, and the next attempt sees the borders.
    for (uint32_t i = 0; ckpt_guard_is_open() && i < c->mapping_count; i++)
        if (c->mappings[i].start < end && c->mappings[i].end > start && c->mappings[i].kind != CKPT_MAPPING_ARENA) c->mappings[i].flags |= CKPT_MAPPING_WIPE_ON_FORK;
}

static int add_unforked(const struct ckpt_unforked *range) {
    if (ckpt_state.unforked_count == CKPT_UNFORKED_MAX) return -CKPT_ENOSPC;
    ckpt_state.unforked[ckpt_state.unforked_count++] = *range;
    return 0;
}

static void note(struct ckpt_checkpoint *c, uint64_t start, uint64_t end, uint32_t advice) {
    (void)c;
    if (!(advice &= ~CKPT_ADVICE_SWAPPED)) return;
    if ((start < ckpt_arena + CKPT_ARENA_BYTES && end > ckpt_arena) || start == ckpt_state.beacon) return;
    // What the tracker by mprotect has split, into more pieces than there is room for, is one to the program.
    struct ckpt_unforked range = {start, end}, *unforked = &ckpt_state.unforked[ckpt_state.unforked_count];
    struct ckpt_advised *advised = &ckpt_state.advised[ckpt_state.advised_count];
    int is_unforked = (advice & (CKPT_MAPPING_DONT_FORK | CKPT_MAPPING_WIPE_ON_FORK)) != 0 && !(advice & CKPT_MAPPING_DROPPABLE);
    if (is_unforked && ckpt_state.unforked_count && unforked[-1].end == start) unforked[-1].end = end;
    else if (is_unforked) add_unforked(&range);
    if (ckpt_state.advised_count && advised[-1].end == start && advised[-1].advice == advice) advised[-1].end = end;
    else if (ckpt_state.advised_count < CKPT_ADVISED_MAX)
        ckpt_state.advised[ckpt_state.advised_count++] = (struct ckpt_advised){start, end, advice, 0};
}

static int forget_and_read(struct ckpt_checkpoint *c) {
    ckpt_state.advised_count = ckpt_state.unforked_count = 0;
    return ckpt_read_advice(note, c);
}

int ckpt_remember_unforked(struct ckpt_checkpoint *c, const struct ckpt_unforked *range) {
    if (find_known(range->start, range->end)) return -CKPT_EINVAL_ERRNO; // it was copied, and yet is missing
    ckpt_state.advised_layout = 0; // the next attempt reads the advice anew
    // Full of ranges that were: what is now is read anew.
    if (ckpt_state.unforked_count == CKPT_UNFORKED_MAX) forget_and_read(c);
    return find_known(range->start, range->end) ? 0 : add_unforked(range);
}

// While the program runs: what its mappings are advised. An increment reads it anew only when the mappings have changed.
int ckpt_note_advice(struct ckpt_checkpoint *c, int beside) {
    uint64_t layout = 14695981039346656037ull; // FNV-1a
    for (uint32_t i = 0; i < c->mapping_count; i++) {
        const uint64_t words[3] = {c->mappings[i].start, c->mappings[i].end, c->mappings[i].protection};
        for (int k = 0; k < 3; k++) layout = (layout ^ words[k]) * 1099511628211ull;
    }
    if (c->increment && layout == ckpt_state.advised_layout) return 0;
    ckpt_state.advised_layout = layout;
    if (!beside) return forget_and_read(c);
    ckpt_output_beside(c, forget_and_read);
    return 0;
}

void ckpt_apply_advice(struct ckpt_checkpoint *c) {
    for (uint32_t i = 0; i < ckpt_state.advised_count; i++)
        mark(c, ckpt_state.advised[i].start, ckpt_state.advised[i].end, ckpt_state.advised[i].advice);
}

// In the child: marks what fork did not copy. -EAGAIN: a range that the freeze did not copy, in *missing.
int ckpt_find_unforked(struct ckpt_checkpoint *c, struct ckpt_unforked *missing) {
    int map = (int)ckpt_open("/proc/self/pagemap", 02000000, 0), suspicious = 0;
    if (map < 0 || c->parent_map < 0) return map < 0 ? map : c->parent_map;
    for (uint32_t i = 0; i < c->mapping_count; i++) {
        struct ckpt_mapping *m = &c->mappings[i];
        if (m->kind != CKPT_MAPPING_ANONYMOUS && m->kind != CKPT_MAPPING_HEAP && m->kind != CKPT_MAPPING_FILE) continue;
        // Kernel: msync with MS_ASYNC does nothing, but says ENOMEM where nothing is mapped.
        if (ckpt_call(__NR_msync, m->start, m->end - m->start, 1) == -CKPT_ENOMEM) m->flags |= CKPT_MAPPING_DONT_FORK;
        else if (m->kind != CKPT_MAPPING_FILE && ckpt_guard_is_open()) suspicious |= is_partly_wiped(map, c->parent_map, m->start, m->end);
        else if (m->kind != CKPT_MAPPING_FILE && !is_populated(map, m->start, m->end) && is_populated(c->parent_map, m->start, m->end)) suspicious = 1;
    }
    ckpt_close(map);
    int error = suspicious ? ckpt_read_advice(mark_wiped, c) : 0;
    for (uint32_t i = 0; i < c->mapping_count && error == 0; i++) {
        const struct ckpt_mapping *m = &c->mappings[i];
        if (!(m->flags & (CKPT_MAPPING_DONT_FORK | CKPT_MAPPING_WIPE_ON_FORK)) || ckpt_treatment(m) == CKPT_TREAT_SKIP) continue;
        if (m->flags & CKPT_MAPPING_DROPPABLE || find_known(m->start, m->end)) continue;
        *missing = (struct ckpt_unforked){m->start, m->end};
        error = -CKPT_EAGAIN;
    }
    return error;
}
