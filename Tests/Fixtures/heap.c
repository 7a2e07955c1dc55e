// SPDX-License-Identifier: Apache-2.0
// The heap: what malloc gave is kept, brk grows on, large blocks are reallocated, dropped pages are zero.
#include "fixture.h"

#define BLOCKS 4000
#define MIB (1024 * 1024)

int main(void) {
    fixture_begin();
    static char *blocks[BLOCKS];
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(8 + (size_t)i % 500 * 8);
        fill(blocks[i], 8 + (size_t)i % 500 * 8, (uint64_t)i);
    }
    for (int i = 0; i < BLOCKS; i += 3) { free(blocks[i]); blocks[i] = NULL; }
    char *large = malloc(16 * MIB);
    fill(large, 16 * MIB, 1 << 20);
    char *top = sbrk(0);

    fixture_checkpoint_here();

    int kept = 1;
    for (int i = 0; i < BLOCKS; i++) if (blocks[i]) kept &= is_filled(blocks[i], 8 + (size_t)i % 500 * 8, (uint64_t)i);
    fact_that(kept);
    fact_that(sbrk(0) == top);
    for (int i = 0; i < BLOCKS; i++) if (!blocks[i]) { blocks[i] = malloc(4000); fill(blocks[i], 4000, (uint64_t)i); }
    for (int i = 0; i < 2000; i++) fill(malloc(32 * 1024), 32 * 1024, (uint64_t)i);
    fact_that((char *)sbrk(0) > top);
    large = realloc(large, 100 * MIB);
    fact_that(is_filled(large, 16 * MIB, 1 << 20));
    fact_that(is_zero(large + 32 * MIB, 16 * MIB));
    fill(large, 100 * MIB, 5);
    large = realloc(large, 4 * MIB);
    fact_that(is_filled(large, 4 * MIB, 5));
    char *page = (char *)(((uintptr_t)large + MIB) & ~4095ul);
    fact_that(madvise(page, MIB, MADV_DONTNEED) == 0 && is_zero(page, MIB));
    free(large);
    for (int i = 0; i < BLOCKS; i++) free(blocks[i]);
    fact_that(sbrk(4096) != (void *)-1);
    return 0;
}
