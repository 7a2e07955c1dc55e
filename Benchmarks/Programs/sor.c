// SPDX-License-Identifier: Apache-2.0
// link: -O3 -lm
// sor [SIZE [STEPS [exclude|check]]]: Poisson's equation on SIZE × SIZE points by red-black successive over-relaxation, in place.
// Exclusion: the right-hand side, which is constant (read-only).
#include "computation.h"
#include <math.h>

int main(int count, char **arguments) {
    computation_arguments(count, arguments, 4096, 300);
    size_t size = computation_size;
    if (size < 3) return 64;
    double *u = computation_array(size * size * sizeof *u), *source = computation_array(size * size * sizeof *source);
    for (size_t i = 0; i < size * size; i++) {
        source[i] = (double)(i * 2654435761u % 2001) * 1e-3 - 1.0;
        u[i] = (double)(i * 40503u % 1009) * 1e-3;
    }
    double factor = 2.0 / (1.0 + sin(3.14159265358979323846 / (double)size));
    computation_enable();
    computation_constant(source, size * size * sizeof *source);
    computation_ready();
    for (long step = 0; step < computation_steps; step++) {
        for (size_t colour = 0; colour < 2; colour++) {
            for (size_t i = 1; i < size - 1; i++) {
                double *row = u + i * size;
                const double *above = row - size, *below = row + size, *f = source + i * size;
                for (size_t j = 1 + (i + colour) % 2; j < size - 1; j += 2) {
                    row[j] += factor * (0.25 * (above[j] + below[j] + row[j - 1] + row[j + 1] - f[j]) - row[j]);
                }
            }
        }
    }
    return computation_end(computation_sum(1, u, size * size * sizeof *u));
}
