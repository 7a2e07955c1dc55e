// SPDX-License-Identifier: Apache-2.0
// link: -O3 -lm
// solve [SIZE [STEPS [exclude|check]]]: solves STEPS dense symmetric systems of SIZE equations by Cholesky's method, in tiles,
// one column of tiles after the other; then measures the residual with the matrix itself.
// Exclusion: the matrix is constant (read-only); columns of the factor are dead until their turn comes.
#include "computation.h"
#include <math.h>

#define TILE 64
typedef double tile[TILE][TILE];

static size_t tiles;
// Tile (i, j) of the lower triangle, i >= j, column by column: a column of tiles is contiguous.
static size_t place(size_t i, size_t j) { return j * tiles - j * (j + 1) / 2 + i; }
static size_t column_bytes(size_t j) { return (tiles - j) * sizeof(tile); }

// c -= a bᵀ
static void update(tile c, const tile a, const tile b) {
    static tile turned;
    for (size_t k = 0; k < TILE; k++) {
        for (size_t j = 0; j < TILE; j++) turned[k][j] = b[j][k];
    }
    for (size_t i = 0; i < TILE; i++) {
        double row[TILE];
        memcpy(row, c[i], sizeof row);
        for (size_t k = 0; k < TILE; k++) {
            double factor = a[i][k];
            for (size_t j = 0; j < TILE; j++) row[j] -= factor * turned[k][j];
        }
        memcpy(c[i], row, sizeof row);
    }
}
static void factor(tile a) {
    for (size_t j = 0; j < TILE; j++) {
        for (size_t k = 0; k < j; k++) a[j][j] -= a[j][k] * a[j][k];
        a[j][j] = sqrt(a[j][j]);
        for (size_t i = j + 1; i < TILE; i++) {
            for (size_t k = 0; k < j; k++) a[i][j] -= a[i][k] * a[j][k];
            a[i][j] /= a[j][j];
        }
    }
}
// a := a l⁻ᵀ
static void divide(tile a, const tile l) {
    for (size_t i = 0; i < TILE; i++) {
        for (size_t j = 0; j < TILE; j++) {
            for (size_t k = 0; k < j; k++) a[i][j] -= a[i][k] * l[j][k];
            a[i][j] /= l[j][j];
        }
    }
}

static void solve(const tile *lower, double *x) {
    for (size_t j = 0; j < tiles; j++) {
        for (size_t c = 0; c < TILE; c++) {
            for (size_t k = 0; k < c; k++) x[j * TILE + c] -= lower[place(j, j)][c][k] * x[j * TILE + k];
            x[j * TILE + c] /= lower[place(j, j)][c][c];
        }
        for (size_t i = j + 1; i < tiles; i++) {
            for (size_t r = 0; r < TILE; r++) {
                for (size_t k = 0; k < TILE; k++) x[i * TILE + r] -= lower[place(i, j)][r][k] * x[j * TILE + k];
            }
        }
    }
    for (size_t j = tiles; j-- > 0;) {
        for (size_t i = j + 1; i < tiles; i++) {
            for (size_t r = 0; r < TILE; r++) {
                for (size_t k = 0; k < TILE; k++) x[j * TILE + k] -= lower[place(i, j)][r][k] * x[i * TILE + r];
            }
        }
        for (size_t c = TILE; c-- > 0;) {
            for (size_t k = c + 1; k < TILE; k++) x[j * TILE + c] -= lower[place(j, j)][k][c] * x[j * TILE + k];
            x[j * TILE + c] /= lower[place(j, j)][c][c];
        }
    }
}

int main(int count, char **arguments) {
    computation_arguments(count, arguments, 4096, 12);
    tiles = computation_size / TILE;
    if (tiles < 2) return 64;
    size_t size = tiles * TILE, all = place(tiles - 1, tiles - 1) + 1;
    tile *matrix = computation_array(all * sizeof(tile)), *lower = computation_array(all * sizeof(tile));
    double *x = computation_array(size * sizeof *x), *rest = computation_array(size * sizeof *rest);
    uint64_t state = 88172645463325252u;
    for (size_t j = 0; j < tiles; j++) {
        for (size_t i = j; i < tiles; i++) {
            for (size_t r = 0; r < TILE; r++) {
                for (size_t c = 0; c < TILE; c++) {
                    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
                    matrix[place(i, j)][r][c] = i * TILE + r == j * TILE + c ? 4.0 * (double)size : (double)(state % 2001) * 1e-3 - 1.0;
                }
            }
        }
    }
    // The upper half of the diagonal's tiles is the lower one's mirror.
    for (size_t i = 0; i < tiles; i++) {
        for (size_t r = 0; r < TILE; r++) {
            for (size_t c = r + 1; c < TILE; c++) matrix[place(i, i)][r][c] = matrix[place(i, i)][c][r];
        }
    }
    computation_enable();
    computation_constant(matrix, all * sizeof(tile));
    computation_dead(lower, all * sizeof(tile));
    computation_ready();
    uint64_t sum = 1;
    for (long step = 0; step < computation_steps; step++) {
        for (size_t j = 0; j < tiles; j++) {
            computation_needed(lower[place(j, j)], column_bytes(j));
            memcpy(lower[place(j, j)], matrix[place(j, j)], column_bytes(j));
            for (size_t i = j; i < tiles; i++) {
                for (size_t k = 0; k < j; k++) update(lower[place(i, j)], lower[place(i, k)], lower[place(j, k)]);
                if (i == j) factor(lower[place(j, j)]); else divide(lower[place(i, j)], lower[place(j, j)]);
            }
        }
        for (size_t i = 0; i < size; i++) x[i] = (double)((i + (size_t)step * 17) % 101) - 50.0;
        solve(lower, x);
        computation_dead(lower, all * sizeof(tile));
        for (size_t i = 0; i < size; i++) rest[i] = (double)((i + (size_t)step * 17) % 101) - 50.0;
        for (size_t j = 0; j < tiles; j++) {
            for (size_t i = j; i < tiles; i++) {
                for (size_t r = 0; r < TILE; r++) {
                    for (size_t c = 0; c < TILE; c++) {
                        rest[i * TILE + r] -= matrix[place(i, j)][r][c] * x[j * TILE + c];
                        if (i != j) rest[j * TILE + c] -= matrix[place(i, j)][r][c] * x[i * TILE + r];
                    }
                }
            }
        }
        double greatest = 0;
        for (size_t i = 0; i < size; i++) greatest = fmax(greatest, fabs(rest[i]));
        if (!(greatest < 1e-6)) return fprintf(stderr, "solve: the residual is %g\n", greatest), 1;
        sum = computation_sum(sum, x, size * sizeof *x);
    }
    return computation_end(sum);
}
