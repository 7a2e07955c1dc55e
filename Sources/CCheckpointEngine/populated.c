// SPDX-License-Identifier: Apache-2.0
// Compares the ledger with what is populated: pages that the program gave back have no content any more, and a page that is
// populated, clean and in no image is none that was proven. Where pages are absent it looks for guard pages.
// Signal time: safe. Runs in the scribe while every thread is parked; mincore and the pagemap populate nothing.
//
// Kernel: mincore says 1 for each page of anonymous memory that is mapped, 0.3 ms for 1 GiB (mm/mincore.c), and 0 also for one that
// is swapped out, so that is looked at again. Where a whole block of 2 MiB was given back, no scan of the pagemap reports it.
#include "engine.h"

#define TOGETHER_BYTES (16ull << 20)
#define RESERVATION_BYTES (256ull << 30) // what is larger is looked at only where the ledger knows something

static int is_populated(struct ckpt_checkpoint *c, uint64_t address) {
    uint64_t entry;
    return ckpt_pread(c->map, &entry, 8, address / CKPT_PAGE_SIZE * 8) == 8 && entry & 3ull << 62; // present or swapped
}

// One block's part of a mapping. *span: the first of the spans found so far that may hold the page.
static int compare(struct ckpt_checkpoint *c, uint64_t at, uint64_t end, const uint8_t *present, uint32_t *span, uint32_t span_count) {
    struct ckpt_page *page = ckpt_ledger_find(c, at);
    int excludes = ckpt_has_exclusions(at, end);
    for (uint32_t k = 0; at < end; at += CKPT_PAGE_SIZE, k++) {
        int is_known = page && page[k].place != CKPT_PLACE_NONE;
        if (!(present[k] & 1)) {
            if (is_known && !is_populated(c, at)) page[k].place = CKPT_PLACE_NONE;
            continue;
        }
        if (is_known || (excludes && ckpt_exclusion_of_page(at) == CKPT_PAGE_DEAD)) continue;
        while (*span < span_count && c->spans[*span].end <= at) ++*span;
        if (*span < span_count && c->spans[*span].start <= at) continue; // dirty, as is found already
        int error = ckpt_add_span(c, at, at + CKPT_PAGE_SIZE);
        if (error < 0) return error;
    }
    return 0;
}

// Pages that are absent, as far as they are known and not yet searched for guards; all others are none.
struct absent { uint64_t start, end; };
static int add_absent(struct ckpt_checkpoint *c, struct absent *absent, uint64_t at, uint64_t end, const uint8_t *present) {
    uint64_t count = (end - at) / CKPT_PAGE_SIZE, first = 0;
    while (present && first < count && present[first] & 1) first++;
    if (first == count) {
        int error = ckpt_find_guard_pages(c, absent->start, absent->end);
        *absent = (struct absent){end, end};
        return error;
    }
    if (absent->start == absent->end) absent->start = at + first * CKPT_PAGE_SIZE;
    while (present && present[count - 1] & 1) count--;
    absent->end = at + count * CKPT_PAGE_SIZE;
    return 0;
}

int ckpt_compare_populated(struct ckpt_checkpoint *c, const struct ckpt_mapping *m, uint32_t first_span) {
    uint8_t *present = (uint8_t *)ckpt_regions(0);
    uint32_t span = first_span, span_count = c->span_count;
    const uint64_t block_bytes = (uint64_t)CKPT_BLOCK_PAGES * CKPT_PAGE_SIZE;
    struct absent absent = {m->start, m->start};
    int sparse = m->end - m->start > RESERVATION_BYTES, error;
    for (uint64_t at = m->start; at < m->end;) {
        uint64_t end = at + (sparse ? block_bytes : TOGETHER_BYTES);
        end -= end % block_bytes;
        if (end > m->end) end = m->end;
        if (!sparse || ckpt_ledger_find(c, at)) {
            if (ckpt_call(__NR_mincore, at, end - at, present) < 0) return -CKPT_EINVAL_ERRNO;
            for (uint64_t from = at, to; from < end; from = to) {
                to = from + block_bytes;
                to -= to % block_bytes;
                if (to > end) to = end;
                const uint8_t *part = present + (from - at) / CKPT_PAGE_SIZE;
                if ((error = compare(c, from, to, part, &span, span_count)) < 0) return error;
                if ((error = add_absent(c, &absent, from, to, part)) < 0) return error;
            }
        } else if ((error = add_absent(c, &absent, at, end, NULL)) < 0) return error;
        at = end;
    }
    return ckpt_find_guard_pages(c, absent.start, absent.end);
}
