// SPDX-License-Identifier: Apache-2.0
// Asks the kernel which pages of a range are of what kind (PAGEMAP_SCAN, since 6.7).
// Signal time: safe. One system call on the scribe's own /proc/self/pagemap, or that of the copy-on-write child.
#include "engine.h"

_Static_assert(sizeof(struct ckpt_scan_argument) == 96, "struct pm_scan_arg");

#ifdef CKPT_TEST_HOOKS
// The short way as it is on a kernel that takes a swapped page for a clean one.
static long without_swapped(struct ckpt_region *regions, long count) {
    long kept = 0;
    for (long i = 0; i < count; i++)
        if (regions[i].end <= ckpt_test_swapped.start || regions[i].start >= ckpt_test_swapped.end) regions[kept++] = regions[i];
    return kept;
}
#endif

// Returns how many regions, or a negative errno; *next is where it stopped.
long ckpt_scan(struct ckpt_checkpoint *c, uint64_t flags, uint64_t start, uint64_t end, uint64_t mask, uint64_t any_of,
               uint64_t returned, struct ckpt_region *regions, uint64_t room, uint64_t *next) {
    struct ckpt_scan_argument argument = {
        sizeof argument, flags, start, end, 0, (uint64_t)regions, room, 0, 0, mask, any_of, returned,
    };
    long count = ckpt_call(__NR_ioctl, c->map, CKPT_PAGEMAP_SCAN, &argument);
    // Kernel: `walk_end` is where an inner buffer of 512 regions was full, even when the walk went on to the end (6.18). With room left
    // it did; else what comes behind the last region is looked at again.
    if (count < 0 || (uint64_t)count < room) *next = end;
    else if (room) *next = regions[room - 1].end;
    else *next = argument.walk_end <= start ? end : argument.walk_end;
#ifdef CKPT_TEST_HOOKS
    if (mask == CKPT_REGION_WRITTEN && !any_of && count > 0 && regions) count = without_swapped(regions, count);
#endif
    return count;
}

// Of terabytes that were only reserved, reading the page map would take minutes. Where the kernel has no PAGEMAP_SCAN: `start`.
uint64_t ckpt_next_populated(int map, uint64_t start, uint64_t end) {
    struct ckpt_region found;
    struct ckpt_scan_argument argument = {
        sizeof argument, 0, start, end, 0, (uint64_t)&found, 1, 1, 0, 0, CKPT_REGION_POPULATED, CKPT_REGION_POPULATED,
    };
    long count = start < end ? ckpt_call(__NR_ioctl, map, CKPT_PAGEMAP_SCAN, &argument) : 0;
    return count < 0 ? start : count == 0 ? end : found.start;
}

struct ckpt_region *ckpt_regions(int which) {
    return (struct ckpt_region *)(ckpt_arena + CKPT_REGIONS_OFFSET + (which ? CKPT_REGIONS_BYTES / 2 : 0));
}
