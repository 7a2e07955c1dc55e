// SPDX-License-Identifier: Apache-2.0
// Pages that have vanished: in the ledger, but no longer in memory.
// Signal time: safe. Runs in the scribe while every thread is parked; mincore and the pagemap populate nothing.
#include "engine.h"

static const struct ckpt_mapping *mapping_of(struct ckpt_checkpoint *c, uint64_t address) {
    uint32_t low = 0, high = c->mapping_count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (c->mappings[middle].end <= address) low = middle + 1; else high = middle;
    }
    return low < c->mapping_count && c->mappings[low].start <= address ? &c->mappings[low] : NULL;
}

static int is_populated(struct ckpt_checkpoint *c, uint64_t address) {
    uint64_t entry;
    return ckpt_pread(c->map, &entry, 8, address / CKPT_PAGE_SIZE * 8) == 8 && entry & 3ull << 62; // present or swapped
}

// A page that the program gave back (MADV_DONTNEED) has no content any more. Where a whole block went, no scan reports it.
// Kernel: mincore says 1 for each page of anonymous memory that is mapped, 0.3 ms for 1 GiB (mm/mincore.c); 0 also for one that
// is swapped out, so that is looked at again.
int ckpt_find_vanished(struct ckpt_checkpoint *c) {
    uint8_t *present = (uint8_t *)(ckpt_arena + CKPT_REGIONS_OFFSET);
    const uint32_t together = 8; // blocks in one call, when they follow each other
    if (ckpt_guard_is_open()) return 0; // its scan in the freeze has seen every page
    ckpt_ledger_sort(c);
    for (uint32_t i = 0; i < c->ledger.count;) {
        const struct ckpt_block *first = &c->ledger.blocks[c->ledger.order[i]];
        uint64_t block_start = first->number * CKPT_BLOCK_PAGES * CKPT_PAGE_SIZE;
        uint32_t count = 1;
        while (count < together && i + count < c->ledger.count && c->ledger.blocks[c->ledger.order[i + count]].number == first->number + count) count++;
        uint64_t block_end = block_start + (uint64_t)count * CKPT_BLOCK_PAGES * CKPT_PAGE_SIZE;
        for (uint64_t at = block_start; at < block_end;) {
            const struct ckpt_mapping *m = mapping_of(c, at);
            if (!m) { at += CKPT_PAGE_SIZE; continue; }
            uint64_t end = m->end < block_end ? m->end : block_end;
            if (ckpt_treatment(m) == CKPT_TREAT_MEMORY && ckpt_call(__NR_mincore, at, end - at, present) == 0)
                for (uint64_t k = 0; k < (end - at) / CKPT_PAGE_SIZE; k++) {
                    if (present[k] & 1) continue;
                    struct ckpt_page *page = ckpt_ledger_find(c, at + k * CKPT_PAGE_SIZE);
                    if (page && page->place != CKPT_PLACE_NONE && !is_populated(c, at + k * CKPT_PAGE_SIZE)) page->place = CKPT_PLACE_NONE;
                }
            at = end;
        }
        i += count;
    }
    return 0;
}
