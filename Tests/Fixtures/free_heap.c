// SPDX-License-Identifier: Apache-2.0
// A heap half of which is free, in pieces that malloc does not give back by itself.
#include "fixture.h"

#define BLOCKS 1024
#define BLOCK_BYTES (64 * 1024)

int main(void) {
    static char *blocks[BLOCKS];
    for (int i = 0; i < BLOCKS; i++) {
        need(blocks[i] = malloc(BLOCK_BYTES));
        fill(blocks[i], BLOCK_BYTES, (uint64_t)i);
    }
    for (int i = 0; i < BLOCKS; i += 2) free(blocks[i]);
    fixture_begin();
    fixture_checkpoint_here();
    int kept = 1;
    for (int i = 1; i < BLOCKS; i += 2) kept &= is_filled(blocks[i], BLOCK_BYTES, (uint64_t)i);
    fact_that(kept);
    for (int i = 0; i < BLOCKS; i += 2) fill(blocks[i] = malloc(BLOCK_BYTES), BLOCK_BYTES, (uint64_t)i);
    for (int i = 0; i < BLOCKS; i++) kept &= is_filled(blocks[i], BLOCK_BYTES, (uint64_t)i);
    fact_that(kept);
    return 0;
}
