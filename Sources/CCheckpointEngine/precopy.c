// SPDX-License-Identifier: Apache-2.0
// Pre-copy: pages are copied while the program runs, in rounds; each round copies what was written during the one before.
// Signal time: safe. Runs in the scribe; whatever the program does to its memory meanwhile is found by the next scan, and by
// the last one in the freeze.
//
// Rounds end when the freeze will find what fits into the budget. Between two of them the program may come to rest (quiet.c).
//
// The first round goes to the file. Later ones go to the arena: a page that is written again and again is copied there at the
// speed of memory, and written to the file once, after the thaw.
#include "engine.h"

#define ROUNDS_MAX 12u
#define BURSTS_MAX 4u
#define COPY_BYTES_PER_US 2000u         // in the freeze; cautious: 2 GB/s
#define FIXED_NS 1500000u               // of the budget: parking and the kernel state

// Pages that the freeze may copy within the budget.
uint64_t ckpt_budget_pages(void) {
    uint64_t budget = ckpt_state.plan.pause_budget_ns, left = budget > 2 * FIXED_NS ? budget - FIXED_NS : budget / 4;
    return left / 1000 * COPY_BYTES_PER_US / CKPT_PAGE_SIZE;
}

// The mappings of this moment, in the tables' part, which is given back.
struct mark { struct ckpt_bump tables, strings; uint32_t unsupported_count; };
static struct mark mark(struct ckpt_checkpoint *c) { return (struct mark){c->tables, c->strings, c->unsupported_count}; }
static void release(struct ckpt_checkpoint *c, const struct mark *m) {
    c->tables = m->tables;
    c->strings = m->strings;
    c->unsupported_count = m->unsupported_count;
    c->mappings = NULL;
    c->mapping_count = 0;
}

// An increment that would write nearly everything is better a full image: its chain ends there.
int ckpt_increment_pays(struct ckpt_checkpoint *c) {
    struct mark before = mark(c);
    uint64_t written = 0;
    if (ckpt_capture_mappings(c) == 0)
        for (uint32_t i = 0; i < c->mapping_count; i++) written += ckpt_written_pages(c, &c->mappings[i]);
    release(c, &before);
    return written < ckpt_state.base_page_count / 10 * 7;
}

// The mapping went away or was replaced while it was looked at. A part of it may be protected and was not copied, and what was
// clean may not be known as the parent's: so nothing there is clean until it was copied as a whole, by the next round or the
// freeze.
static int64_t doubt(struct ckpt_checkpoint *c, const struct ckpt_mapping *m) {
    if (c->doubt_count == CKPT_DOUBTS_MAX) c->doubts[c->doubt_count = 0] = (struct ckpt_unforked){0, ~0ull};
    else c->doubts[c->doubt_count] = (struct ckpt_unforked){m->start, m->end};
    c->doubt_count++;
    return 0;
}

static int overlaps(const struct ckpt_unforked *ranges, uint32_t count, const struct ckpt_mapping *m) {
    for (uint32_t i = 0; i < count; i++) if (m->start < ranges[i].end && m->end > ranges[i].start) return 1;
    return 0;
}

// Copies what was found, to the arena as long as there is room that the freeze does not need.
static int64_t copy_spans(struct ckpt_checkpoint *c, const struct ckpt_mapping *m, int to_arena) {
    int64_t copied = 0;
    for (uint32_t i = 0; i < c->span_count; i++) {
        const struct ckpt_region *span = &c->spans[i];
        uint64_t pages = (span->end - span->start) / CKPT_PAGE_SIZE;
        // What is there already has its room.
        const struct ckpt_page *page = pages == 1 ? ckpt_ledger_find(c, span->start) : NULL;
        int fits = to_arena && ((page && page->place & CKPT_PLACE_HOT) || pages + ckpt_budget_pages() + CKPT_HOT_RESERVE < CKPT_HOT_PAGES - c->hot_count);
        uint64_t dead = c->dead_count;
        int64_t got = fits ? ckpt_copy_to_arena(c, m, span->start, span->end) : ckpt_copy_to_file(c, m, span->start, span->end);
        if (got < 0) return got;
        dead = c->dead_count - dead;
        if (span->start == m->start && span->end == m->end) ckpt_note_readable(c, m, (uint64_t)got);
        // The end of the file, or a hole that came into the mapping meanwhile: behind it something may be protected.
        if ((uint64_t)got < pages && m->kind == CKPT_MAPPING_FILE) doubt(c, m);
        copied += got - (int64_t)dead;
    }
    c->report.precopied_byte_count += (uint64_t)copied * CKPT_PAGE_SIZE;
    return copied;
}

int ckpt_is_doubted(struct ckpt_checkpoint *c, const struct ckpt_mapping *m) { return overlaps(c->doubts, c->doubt_count, m); }

// One mapping in one round. Returns the pages copied.
static int64_t copy_mapping(struct ckpt_checkpoint *c, const struct ckpt_mapping *m, int first, int doubted) {
    enum ckpt_treatment treatment = ckpt_treatment(m);
    if (treatment == CKPT_TREAT_SKIP || treatment == CKPT_TREAT_ALL) return 0; // what cannot be tracked is copied in the freeze
    // A mapping that is newer than the exclusion of its addresses: the freeze forgets that and copies it (final.c).
    if (ckpt_state.tracks_exclusions && ckpt_has_exclusions(m->start, m->end) && !ckpt_is_tracked(c, m)) return 0;
    int state = ckpt_track(c, m), all = first && !c->increment, error = 0;
    // What mprotect does not track it never has protected.
    if (state < 0) return ckpt_guard_is_open() ? 0 : doubt(c, m);
    if (doubted) state = 0;
    c->span_count = 0;
    if (first && c->increment && state == 1) error = ckpt_mark_clean(c, m);
    if (error == 0) error = ckpt_find_dirty(c, m, state, all, 1);
    if (error == -CKPT_EPERM || error == -CKPT_ENOENT) return doubt(c, m);
    if (error < 0) { if (c->step == CKPT_STEP_NONE) c->step = CKPT_STEP_TRACKER; return error; }
    int64_t copied = copy_spans(c, m, !first);
    if (copied < 0 || !first || !c->increment) return copied;
    // Clean pages whose exclusion has changed. Order: after the copy, so that none is copied twice in one round.
    c->span_count = 0;
    error = ckpt_find_owed(c, m);
    int64_t owed = error < 0 ? error : copy_spans(c, m, 0);
    return owed < 0 ? owed : copied + owed;
}

static int64_t copy_round(struct ckpt_checkpoint *c, int first) {
    struct mark before = mark(c);
    struct ckpt_unforked doubts[CKPT_DOUBTS_MAX];
    uint32_t doubt_count = c->doubt_count;
    ckpt_memcpy(doubts, c->doubts, sizeof doubts);
    c->doubt_count = 0;
    int64_t copied = ckpt_capture_mappings(c);
    // With mprotect, what is advised is not suitable; userfaultfd does not need it before the freeze.
    if (copied >= 0 && first) copied = ckpt_note_advice(c, !ckpt_guard_is_open());
    for (uint32_t i = 0; copied >= 0 && i < c->mapping_count; i++) {
        if (ckpt_call(__NR_getppid) != c->pid) { copied = -CKPT_ESRCH; break; }
        int64_t got = copy_mapping(c, &c->mappings[i], first, overlaps(doubts, doubt_count, &c->mappings[i]));
        copied = got < 0 ? got : copied + got;
    }
    int error = first ? ckpt_output_await_job(c) : 0;
    release(c, &before);
    return copied >= 0 && error < 0 ? error : copied;
}

// What the freeze will need is there before it: a page of the arena that is touched for the first time costs a fault.
static void warm(struct ckpt_checkpoint *c) {
    uint64_t from = ckpt_arena + CKPT_HOT_OFFSET + (uint64_t)c->hot_count * CKPT_PAGE_SIZE;
    uint64_t pages = 2 * ckpt_budget_pages() + 256, left = CKPT_HOT_PAGES - c->hot_count;
    ckpt_call(__NR_madvise, from, (pages < left ? pages : left) * CKPT_PAGE_SIZE, 23 /* MADV_POPULATE_WRITE, since 5.14 */);
    ckpt_call(__NR_madvise, ckpt_arena + CKPT_SPANS_OFFSET, 1 << 18, 23);
    ckpt_call(__NR_madvise, ckpt_arena + CKPT_REGIONS_OFFSET, 1 << 16, 23);
    ckpt_call(__NR_madvise, ckpt_arena + CKPT_REGIONS_OFFSET + CKPT_REGIONS_BYTES / 2, 1 << 16, 23);
    ckpt_call(__NR_madvise, c->tables.base + (c->tables.used & ~4095ull), 1 << 18, 23);
}

int ckpt_note_advice_alone(struct ckpt_checkpoint *c) {
    struct mark start = mark(c);
    int error = ckpt_capture_mappings(c);
    if (error == 0) error = ckpt_note_advice(c, 0);
    release(c, &start);
    return error;
}

int ckpt_precopy(struct ckpt_checkpoint *c) {
    uint64_t budget = ckpt_budget_pages();
    int64_t before = 0;
    uint32_t burst_count = 0;
    int restless = 0;
    // Order: the base is forgotten before anything is protected for another image (T3).
    ckpt_state.base = 0;
    c->exclusion_version = ckpt_exclusions_version();
    if (ckpt_state.direct_io) {
        int error = ckpt_note_advice_alone(c);
        if (error < 0) return error;
    } else if (ckpt_guard_is_open()) {
        struct mark start = mark(c);
        int error = ckpt_guard_begin(c);
        release(c, &start);
        if (error < 0) return error;
    }
    for (uint32_t round = 1; round <= ROUNDS_MAX && !ckpt_state.direct_io; round++) {
        uint64_t faults = ckpt_faults(c);
        int64_t copied = copy_round(c, round == 1);
        if (copied < 0) return (int)copied;
        c->report.round_count = round;
        // Order: a page that is copied again goes to its old place, so what is queued for that place is written before.
        int error = ckpt_output_flush(c);
        if (error < 0) return error;
        // mprotect protects nothing again before the next checkpoint, so another round would find nothing that is written.
        if (ckpt_guard_is_open()) break;
        int is_enough = (uint64_t)copied <= budget;
        if (is_enough) warm(c);
        // What was written since the round began is what the freeze will find.
        if (is_enough && ckpt_faults(c) - faults <= budget) break;
        if (!is_enough && round > 2 && copied > before - before / 8) {
            // A round that brought little: the program writes as fast as it is copied. But one that writes in bursts is copied
            // between two of them, and frozen before the next.
            if (restless || copied > CKPT_HOT_PAGES || ++burst_count > BURSTS_MAX) break;
        }
        before = copied;
        if (!restless) restless = !ckpt_await_quiet(c);
    }
    if (!ckpt_state.direct_io) ckpt_state.tracks_exclusions = 1; // else the freeze tracks its mappings first
    warm(c);
    // Order: the queue is empty before the freeze, because a copy-on-write child has no helpers of the scribe's.
    return ckpt_output_flush(c);
}
