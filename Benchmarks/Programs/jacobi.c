// SPDX-License-Identifier: Apache-2.0
// link: -O3
// jacobi [SIZE [STEPS [exclude|check]]]: dense Jacobi relaxation of a square plate of SIZE × SIZE numbers, two generations.
// Exclusion: the generation that is not the present one, in blocks of rows: see generations.h.
#include "computation.h"
#include "generations.h"

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
    generations_begin(next, size, row);
    computation_ready();
    for (long step = 0; step < computation_steps; step++) {
        for (size_t i = 1; i < size - 1; i++) {
            generations_row(now, next, i, size, row);
            relax(now + (i - 1) * size, now + i * size, now + (i + 1) * size, next + i * size, size);
        }
        generations_end(now, size, row);
        double *last = now;
        now = next;
        next = last;
    }
    return computation_end(computation_sum(1, now, size * row));
}
