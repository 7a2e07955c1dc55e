// SPDX-License-Identifier: Apache-2.0
// link: -O3
// jacobi [SIZE [STEPS [exclude|check]]]: dense Jacobi relaxation of a square plate of SIZE × SIZE numbers, two generations.
// Exclusion: the inner rows of the second generation. Two steps are one, from the first generation to the first.
#include "computation.h"

static void relax(const double *restrict above, const double *restrict row, const double *restrict below, double *restrict next, size_t size) {
    next[0] = row[0];
    for (size_t j = 1; j < size - 1; j++) next[j] = 0.25 * (above[j] + below[j] + row[j - 1] + row[j + 1]);
    next[size - 1] = row[size - 1];
}

int main(int count, char **arguments) {
    computation_arguments(count, arguments, 4096, 1200);
    size_t size = computation_size, row = size * sizeof(double);
    if (size < 3) return 64;
    double *now = computation_array(size * row), *next = computation_array(size * row);
    for (size_t i = 0; i < size; i++) {
        now[i] = next[i] = 100;
        for (size_t j = 0; i > 0 && j < size; j++) now[i * size + j] = (double)((i * 7919 + j * 104729) % 1000) * 0.1;
        next[i * size] = now[i * size];
        next[i * size + size - 1] = now[i * size + size - 1];
    }
    memcpy(next + (size - 1) * size, now + (size - 1) * size, row);
    computation_enable();
    computation_dead(next + size, (size - 2) * row);
    computation_ready();
    for (long step = 0; step < computation_steps; step += 2) {
        computation_step_begins(next + size, (size - 2) * row);
        for (int half = 0; half < 2; half++) {
            double *from = half == 0 ? now : next, *to = half == 0 ? next : now;
            for (size_t i = 1; i < size - 1; i++) relax(from + (i - 1) * size, from + i * size, from + (i + 1) * size, to + i * size, size);
        }
        computation_step_ends();
    }
    return computation_end(computation_sum(1, now, size * row));
}
