// SPDX-License-Identifier: Apache-2.0
// link: -O3
// cell [SIZE [STEPS [exclude|check]]]: a cellular automaton (Conway's) on a torus of SIZE × SIZE cells of a byte, two generations.
// Exclusion: the second generation. Two steps are one, from the first generation to the first.
#include "computation.h"

static void live(const uint8_t *restrict above, const uint8_t *restrict row, const uint8_t *restrict below, uint8_t *restrict next, size_t size) {
#define CELL(left, j, right) do { \
        uint8_t sum = (uint8_t)(above[left] + above[j] + above[right] + row[left] + row[right] + below[left] + below[j] + below[right]); \
        next[j] = (uint8_t)((sum == 3) | ((sum == 2) & row[j])); \
    } while (0)
    CELL(size - 1, 0, 1);
    for (size_t j = 1; j < size - 1; j++) CELL(j - 1, j, j + 1);
    CELL(size - 2, size - 1, 0);
#undef CELL
}

int main(int count, char **arguments) {
    computation_arguments(count, arguments, 11584, 1700);
    size_t size = computation_size / 8 * 8;
    if (size < 8) return 64;
    uint8_t *now = computation_array(size * size), *next = computation_array(size * size);
    uint64_t state = 88172645463325252u;
    for (size_t i = 0; i < size * size; i++) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        now[i] = state % 3 == 0;
    }
    computation_enable();
    computation_dead(next, size * size);
    computation_ready();
    for (long step = 0; step < computation_steps; step += 2) {
        computation_step_begins(next, size * size);
        for (int half = 0; half < 2; half++) {
            uint8_t *from = half == 0 ? now : next, *to = half == 0 ? next : now;
            for (size_t i = 0; i < size; i++) {
                live(from + (i + size - 1) % size * size, from + i * size, from + (i + 1) % size * size, to + i * size, size);
            }
        }
        computation_step_ends();
    }
    return computation_end(computation_sum(1, now, size * size));
}
