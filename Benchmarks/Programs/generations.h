// SPDX-License-Identifier: Apache-2.0
// Exclusion for a grid that is written anew in each step, from the first row to the last, out of the generation before it.
//
// The grid is cut into blocks of rows. A block of the next generation is needed from the moment its first row is written; a block
// of the present one is dead when the row behind its last one has been computed, for nothing reads it again. So at every
// moment one generation and two blocks are saved, of which nothing is missing; the price is two calls for each block. The first
// and the last block are always saved: their rows are fixed (jacobi) or the neighbours of each other (cell).
#ifndef GENERATIONS_H
#define GENERATIONS_H

#define GENERATIONS_BLOCK 128 // rows

static inline int generations_is_inner(size_t block, size_t size) { return block > 0 && (block + 1) * GENERATIONS_BLOCK < size; }

// Before the first step: the next generation is nothing yet.
static inline void generations_begin(void *next, size_t size, size_t row_bytes) {
    for (size_t block = 1; generations_is_inner(block, size); block++) {
        computation_dead((char *)next + block * GENERATIONS_BLOCK * row_bytes, GENERATIONS_BLOCK * row_bytes);
    }
}

// Before row `i` of the next generation is written.
static inline void generations_row(void *now, void *next, size_t i, size_t size, size_t row_bytes) {
    size_t block = i / GENERATIONS_BLOCK, at = i % GENERATIONS_BLOCK;
    if (at == 0 && generations_is_inner(block, size)) {
        computation_needed((char *)next + block * GENERATIONS_BLOCK * row_bytes, GENERATIONS_BLOCK * row_bytes);
    }
    // Row i of the next generation reads rows i - 1 to i + 1 of the present one: at the second row the block before this one is over.
    if (at == 1 && block > 1 && generations_is_inner(block, size)) {
        computation_dead((char *)now + (block - 1) * GENERATIONS_BLOCK * row_bytes, GENERATIONS_BLOCK * row_bytes);
    }
}

// After the last row: the last of these blocks, behind which there may be one row only.
static inline void generations_end(void *now, size_t size, size_t row_bytes) {
    size_t last = (size - 1) / GENERATIONS_BLOCK;
    if (last > 1) computation_dead((char *)now + (last - 1) * GENERATIONS_BLOCK * row_bytes, GENERATIONS_BLOCK * row_bytes);
}
#endif
