// SPDX-License-Identifier: Apache-2.0
// Exclusion: which bytes of the program need not be in an image. A sorted table without overlaps, saved with the program.
// Signal time: safe. Changed by threads of the program at plan time, with all signals blocked; read by the scribe at any moment.
//
// Invariants
//   E1  There are two copies; `version & 1` is the valid one. A change fills the other and then raises `version`, so a
//       reader without a lock is right when `version` is the same after it has read as before.
//   E2  A change is never under way in a freeze: who makes it has all signals blocked, and so cannot be parked meanwhile.
//   E3  A page whose exclusion changed is *owed*: written whatever the tracker says, until an image is durable whose freeze
//       came after the change. Only then is it true that the parent has what this table says of it.
#include "engine.h"

#define PAGE ((uint64_t)CKPT_PAGE_SIZE)
#define ATTEMPTS_MAX 10000
#define ADDRESS_END (1ull << 47)

struct ckpt_exclusion_state ckpt_exclusion_state;
#define STATE (&ckpt_exclusion_state)

static int is_owed(const struct ckpt_excluded *range, uint32_t settled) { return range->since > settled; }

// Index of the first range that ends above `address`.
static uint32_t find(const struct ckpt_exclusion_table *table, uint64_t address) {
    uint32_t low = 0, high = table->count < CKPT_EXCLUSIONS_MAX ? table->count : CKPT_EXCLUSIONS_MAX;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (table->ranges[middle].end <= address) low = middle + 1; else high = middle;
    }
    return low;
}

// What holds for the page at `address` and the pages behind it, up to `end` at most; returns where that ends.
static uint64_t look(const struct ckpt_exclusion_table *table, uint64_t address, uint64_t end, uint32_t *exclusion) {
    uint32_t settled = ckpt_load(&STATE->settled), count = table->count;
    uint32_t i = find(table, address);
    *exclusion = CKPT_PAGE_INCLUDED;
    if (i >= count || table->ranges[i].start >= end) return end;
    const struct ckpt_excluded *range = &table->ranges[i];
    if (range->start >= address + PAGE) return range->start & ~(PAGE - 1);
    if (range->start <= address && range->end >= address + PAGE) {
        if (range->kind == CKPT_EXCLUDE_DEAD) *exclusion = CKPT_PAGE_DEAD;
        else if (is_owed(range, settled)) *exclusion = CKPT_PAGE_OWED;
        else if (range->kind == CKPT_EXCLUDE_READ_ONLY) *exclusion = CKPT_PAGE_READ_ONLY;
        uint64_t last = range->end & ~(PAGE - 1);
        // A range ends where another kind begins, or the same of another time: the stretch is short then, not wrong.
        return last < end ? last : end;
    }
    uint64_t dead = 0, read_only = 0;
    int owed = 0;
    for (; i < count && i < CKPT_EXCLUSIONS_MAX && table->ranges[i].start < address + PAGE; i++) {
        range = &table->ranges[i];
        uint64_t from = range->start > address ? range->start : address;
        uint64_t to = range->end < address + PAGE ? range->end : address + PAGE;
        if (range->kind == CKPT_EXCLUDE_DEAD) dead += to - from;
        if (range->kind == CKPT_EXCLUDE_READ_ONLY) read_only += to - from;
        owed |= is_owed(range, settled);
    }
    if (dead == PAGE) *exclusion = CKPT_PAGE_DEAD;
    else if (owed) *exclusion = CKPT_PAGE_OWED;
    else if (dead > 0) *exclusion = CKPT_PAGE_PARTLY;
    else if (read_only == PAGE) *exclusion = CKPT_PAGE_READ_ONLY;
    return address + PAGE;
}

uint64_t ckpt_exclusion_stretch(uint64_t address, uint64_t end, uint32_t *exclusion) {
    for (int attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
        uint32_t version = ckpt_load(&STATE->version);
        uint64_t stretch = look(&STATE->tables[version & 1], address, end, exclusion);
        if (ckpt_load(&STATE->version) == version) return stretch;
    }
    // Only a program that does nothing but exclude and include comes here, and never in a freeze.
    *exclusion = CKPT_PAGE_OWED;
    return address + PAGE;
}

uint32_t ckpt_exclusion_of_page(uint64_t address) {
    uint32_t exclusion;
    ckpt_exclusion_stretch(address, address + PAGE, &exclusion);
    return exclusion;
}

void ckpt_clear_dead_bytes(uint64_t address, uint8_t *page) {
    uint64_t at = address;
    for (int attempt = 0; attempt < ATTEMPTS_MAX && at < address + PAGE;) {
        uint32_t version = ckpt_load(&STATE->version);
        const struct ckpt_exclusion_table *table = &STATE->tables[version & 1];
        uint32_t i = find(table, at);
        struct ckpt_excluded range = {address + PAGE, address + PAGE, 0, 0};
        if (i < table->count) range = table->ranges[i];
        // Order: the copy of the range before this look, because only then is it known to be one.
        if (ckpt_load(&STATE->version) != version) { attempt++; continue; }
        if (range.start >= address + PAGE) return;
        uint64_t from = range.start > at ? range.start : at, to = range.end < address + PAGE ? range.end : address + PAGE;
        if (range.kind == CKPT_EXCLUDE_DEAD) ckpt_memset(page + (from - address), 0, to - from);
        at = to;
    }
}

const struct ckpt_excluded *ckpt_exclusions(uint32_t *count) {
    const struct ckpt_exclusion_table *table = &STATE->tables[ckpt_load(&STATE->version) & 1];
    *count = table->count;
    return table->ranges;
}

uint32_t ckpt_exclusions_version(void) { return ckpt_load(&STATE->version); }
uint32_t ckpt_exclusions_mark(void) { return ckpt_add(&STATE->epoch, 1); }
void ckpt_exclusions_settle(uint32_t mark) { if (mark > ckpt_load(&STATE->settled)) ckpt_store(&STATE->settled, mark); }

// Appends a range, as part of the one before where both say the same.
static int put(struct ckpt_exclusion_table *table, uint64_t start, uint64_t end, uint32_t kind, uint32_t since) {
    uint32_t settled = ckpt_load(&STATE->settled);
    if (start >= end) return 0;
    // Included again, and an image has it: nothing is left to be said of it.
    if (kind == 0 && since <= settled) return 0;
    struct ckpt_excluded *last = table->count ? &table->ranges[table->count - 1] : NULL;
    if (last && last->end == start && last->kind == kind && (last->since == since || (last->since <= settled && since <= settled))) {
        last->end = end;
        return 0;
    }
    if (table->count == CKPT_EXCLUSIONS_MAX) return -CKPT_ENOSPC;
    table->ranges[table->count++] = (struct ckpt_excluded){start, end, kind, since};
    return 0;
}

enum { INCLUDE = 0, FORGET = 0x100 };

// Fills the other copy with this one after a change of [start, end) to `kind`, and makes it the valid one.
static int change(uint64_t start, uint64_t end, uint32_t kind) {
    uint32_t version = ckpt_load(&STATE->version), since = ckpt_load(&STATE->epoch) + 1;
    const struct ckpt_exclusion_table *from = &STATE->tables[version & 1];
    struct ckpt_exclusion_table *to = &STATE->tables[(version + 1) & 1];
    int error = 0, placed = kind == INCLUDE || kind == FORGET;
    to->count = 0;
    for (uint32_t i = 0; i < from->count && error == 0; i++) {
        const struct ckpt_excluded *range = &from->ranges[i];
        uint64_t cut_start = range->start > start ? range->start : start, cut_end = range->end < end ? range->end : end;
        if (cut_start >= cut_end) { // apart
            if (!placed && range->start >= end) { error = put(to, start, end, kind, since); placed = 1; }
            if (error == 0) error = put(to, range->start, range->end, range->kind, range->since);
            continue;
        }
        error = put(to, range->start, cut_start, range->kind, range->since);
        if (error == 0 && !placed) { error = put(to, start, end, kind, since); placed = 1; }
        int is_over = range->kind == INCLUDE && !is_owed(range, ckpt_load(&STATE->settled));
        if (error == 0 && kind == INCLUDE && !is_over) error = put(to, cut_start, cut_end, INCLUDE, since);
        if (error == 0) error = put(to, cut_end, range->end, range->kind, range->since);
    }
    if (error == 0 && !placed) error = put(to, start, end, kind, since);
    // Order: the whole copy before the version that makes it valid.
    if (error == 0) ckpt_store(&STATE->version, version + 1);
    return error;
}

static int touches(uint64_t start, uint64_t end, uint64_t other, uint64_t byte_count) {
    return other && start < other + byte_count && other < end;
}

// What the engine itself needs after a restart.
static int is_own(uint64_t start, uint64_t end) {
    return touches(start, end, ckpt_arena, CKPT_ARENA_BYTES) || touches(start, end, ckpt_state.beacon, CKPT_PAGE_SIZE)
        || touches(start, end, (uint64_t)&ckpt_state, sizeof ckpt_state)
        || touches(start, end, (uint64_t)&ckpt_exclusion_state, sizeof ckpt_exclusion_state)
        || touches(start, end, (uint64_t)&ckpt_arena, sizeof ckpt_arena)
        || touches(start, end, (uint64_t)&ckpt_park_chain, sizeof ckpt_park_chain)
        || touches(start, end, ckpt_state.live.restart.restorer_start,
                   ckpt_state.live.restart.restorer_end - ckpt_state.live.restart.restorer_start);
}

static int is_mapped(uint64_t start, uint64_t end) {
    uint64_t first = start & ~(PAGE - 1);
    // Kernel: msync with MS_ASYNC does nothing, but says ENOMEM where something is not mapped.
    return ckpt_call(__NR_msync, first, ((end + PAGE - 1) & ~(PAGE - 1)) - first, 1) == 0;
}

// A lock of its own: there is none in an arena before the process is armed. It holds the id of its process, because in a
// forked child nobody is left who would give it back.
static int change_alone(uint64_t start, uint64_t end, uint32_t kind) {
    uint64_t mask = ckpt_block_signals();
    uint32_t own = (uint32_t)ckpt_getpid();
    for (;;) {
        uint32_t holder = ckpt_load(&STATE->lock);
        if (holder != own && ckpt_swap_if(&STATE->lock, holder, own)) break;
        ckpt_yield();
    }
    int error = change(start, end, kind);
    ckpt_store(&STATE->lock, 0);
    ckpt_restore_signals(mask);
    return error;
}

static int check(uint64_t start, uint64_t byte_count) {
    return byte_count == 0 || start + byte_count < start || start + byte_count > ADDRESS_END ? -CKPT_EINVAL_ERRNO : 0;
}

int ckpt_engine_exclude(const void *bytes, uint64_t byte_count, uint32_t kind) {
    uint64_t start = (uint64_t)bytes, end = start + byte_count;
    int error = check(start, byte_count);
    if (error == 0 && kind != CKPT_EXCLUDE_DEAD && kind != CKPT_EXCLUDE_READ_ONLY) error = -CKPT_EINVAL_ERRNO;
    if (error == 0 && is_own(start, end)) error = -CKPT_EPERM;
    if (error == 0 && !is_mapped(start, end)) error = -CKPT_EFAULT;
    if (error == 0) error = change_alone(start, end, kind);
    if (error == 0) ckpt_track_exclusion(start, end);
    return error;
}

int ckpt_engine_include(const void *bytes, uint64_t byte_count) {
    uint64_t start = (uint64_t)bytes;
    int error = check(start, byte_count);
    return error < 0 ? error : change_alone(start, start + byte_count, INCLUDE);
}

int ckpt_has_exclusions(uint64_t start, uint64_t end) {
    uint32_t exclusion;
    if (STATE->tables[STATE->version & 1].count == 0) return 0;
    return ckpt_exclusion_stretch(start, end, &exclusion) < end || exclusion != CKPT_PAGE_INCLUDED;
}

// In the freeze only (E2). To leave out ranges never needs more room than there is, but for one that is cut in two: then
// all of it goes, which is never wrong.
void ckpt_forget_exclusion(uint64_t start, uint64_t end) {
    if (change(start, end, FORGET) == 0) return;
    uint32_t count, i = 0;
    const struct ckpt_excluded *ranges = ckpt_exclusions(&count);
    while (i < count && !(ranges[i].start < start && end < ranges[i].end)) i++;
    if (i < count) change(ranges[i].start, ranges[i].end, FORGET);
}
