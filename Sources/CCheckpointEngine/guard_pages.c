// SPDX-License-Identifier: Apache-2.0
// Finds guard pages that the program has made by madvise: they have no content, and maps does not show them.
// Signal time: safe. Runs in the scribe while every thread is parked; walks page tables, which populates nothing.
//
// Kernel: MADV_GUARD_INSTALL since 6.13 (anonymous memory; files since 6.15); PAGEMAP_SCAN tells them since 6.15 (PAGE_IS_GUARD), and
// says EINVAL before. Then an image does not know them.
#include "engine.h"

#define ADDRESSES_END 0x7ffffffff000ull // Kernel: TASK_SIZE_MAX of x86-64 with 47 bits

void ckpt_begin_guard_pages(struct ckpt_checkpoint *c) {
    c->guards = ckpt_take(&c->tables, 0);
    c->guard_count = 0;
}

// Behind those that were found already.
int ckpt_find_guard_pages(struct ckpt_checkpoint *c, uint64_t start, uint64_t end) {
    struct ckpt_region *found = ckpt_regions(1);
    for (uint64_t at = start, next; at < end; at = next) {
        long count = ckpt_scan(c, 0, at, end, CKPT_REGION_GUARD, 0, CKPT_REGION_GUARD, found, CKPT_REGION_ROOM, &next);
        if (count < 0) return count == -CKPT_ENOMEM ? -CKPT_ENOMEM : 0;
        for (long i = 0; i < count; i++) {
            struct ckpt_guard_pages *last = c->guard_count ? &c->guards[c->guard_count - 1] : NULL;
            if (last && last->end == found[i].start) { last->end = found[i].end; continue; }
            struct ckpt_guard_pages *record = ckpt_extend(&c->tables, sizeof *record);
            if (!record) { c->step = CKPT_STEP_ARENA; return -CKPT_ENOMEM; }
            *record = (struct ckpt_guard_pages){found[i].start, found[i].end};
            c->guard_count++;
        }
    }
    return 0;
}

// All of them, where no last scan goes over the mappings: 1.9 ms for 1 GiB that is populated. Such a scan looks only where pages are
// absent (final.c, populated.c).
int ckpt_capture_guard_pages(struct ckpt_checkpoint *c) {
    ckpt_begin_guard_pages(c);
    return c->tracked && !ckpt_guard_is_open() ? 0 : ckpt_find_guard_pages(c, 0, ADDRESSES_END);
}

// Order: behind the last scan, which may take them for pages that were swapped out.
void ckpt_leave_guard_pages(struct ckpt_checkpoint *c) {
    for (uint32_t i = 0; i < c->guard_count; i++) ckpt_ledger_forget(c, c->guards[i].start, c->guards[i].end);
}
