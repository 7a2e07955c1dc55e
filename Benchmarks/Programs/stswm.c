// SPDX-License-Identifier: Apache-2.0
// link: -O3 -lm
// stswm [SIZE [STEPS [exclude|check]]]: shallow water on a doubly periodic grid of SIZE × SIZE points (Sadourny's scheme, leapfrog with
// Robert's filter): six fields that stay, seven that live within one step.
// Exclusion: the seven.
#include "computation.h"
#include <math.h>

enum { U, V, P, U_OLD, V_OLD, P_OLD, CU, CV, Z, H, U_NEW, V_NEW, P_NEW, FIELDS };
static const double dx = 1e5, dy = 1e5, filter = 0.001;
static double dt = 90;
static double *field[FIELDS];
static size_t size;

static double *row_of(int name, size_t i) { return field[name] + i * size; }
// `point` for each column j of row i with its neighbours: k, l before and behind it; m, n: the rows before and behind.
#define ROWS(i) size_t m = ((i) + size - 1) % size, n = ((i) + 1) % size; (void)m, (void)n
#define COLUMNS(point) do { \
        point(0, size - 1, 1); \
        for (size_t j = 1; j < size - 1; j++) point(j, j - 1, j + 1); \
        point(size - 1, size - 2, 0); \
    } while (0)

// Mass fluxes, potential vorticity and height, from the present fields.
static void fluxes(size_t i) {
    ROWS(i);
    const double *restrict u = row_of(U, i), *restrict v = row_of(V, i), *restrict p = row_of(P, i);
    const double *restrict um = row_of(U, m), *restrict un = row_of(U, n), *restrict vm = row_of(V, m), *restrict pm = row_of(P, m);
    double *restrict cu = row_of(CU, i), *restrict cv = row_of(CV, i), *restrict z = row_of(Z, i), *restrict h = row_of(H, i);
    const double fx = 4 / dx, fy = 4 / dy;
    (void)um;
#define POINT(j, k, l) do { \
        cu[j] = 0.5 * (p[j] + pm[j]) * u[j]; \
        cv[j] = 0.5 * (p[j] + p[k]) * v[j]; \
        z[j] = (fx * (v[j] - vm[j]) - fy * (u[j] - u[k])) / (pm[k] + p[k] + p[j] + pm[j]); \
        h[j] = p[j] + 0.25 * (un[j] * un[j] + u[j] * u[j] + v[l] * v[l] + v[j] * v[j]); \
    } while (0)
    COLUMNS(POINT);
#undef POINT
}
static void advance(size_t i, double time) {
    ROWS(i);
    const double *restrict cu = row_of(CU, i), *restrict cun = row_of(CU, n), *restrict cv = row_of(CV, i), *restrict cvm = row_of(CV, m);
    const double *restrict z = row_of(Z, i), *restrict zn = row_of(Z, n), *restrict h = row_of(H, i), *restrict hm = row_of(H, m);
    const double *restrict uo = row_of(U_OLD, i), *restrict vo = row_of(V_OLD, i), *restrict po = row_of(P_OLD, i);
    double *restrict un = row_of(U_NEW, i), *restrict vn = row_of(V_NEW, i), *restrict pn = row_of(P_NEW, i);
    const double t8 = time / 8, tx = time / dx, ty = time / dy;
#define POINT(j, k, l) do { \
        un[j] = uo[j] + t8 * (z[l] + z[j]) * (cv[l] + cvm[l] + cvm[j] + cv[j]) - tx * (h[j] - hm[j]); \
        vn[j] = vo[j] - t8 * (zn[j] + z[j]) * (cun[j] + cun[k] + cu[k] + cu[j]) - ty * (h[j] - h[k]); \
        pn[j] = po[j] - tx * (cun[j] - cu[j]) - ty * (cv[l] - cv[j]); \
    } while (0)
    COLUMNS(POINT);
#undef POINT
}
static void settle(size_t i, int isFirst) {
    for (int name = U; name <= P; name++) {
        double *restrict now = row_of(name, i), *restrict old = row_of(name + U_OLD, i);
        const double *restrict new = row_of(name + U_NEW, i);
        for (size_t j = 0; j < size; j++) {
            old[j] = isFirst ? now[j] : now[j] + filter * (new[j] - 2 * now[j] + old[j]);
            now[j] = new[j];
        }
    }
}

int main(int count, char **arguments) {
    computation_arguments(count, arguments, 1600, 1150);
    size = computation_size;
    if (size < 3) return 64;
    // What lives within a step lies together: one range to exclude.
    const size_t byte_count = size * size * sizeof(double), scratch_byte_count = (FIELDS - CU) * byte_count;
    for (int name = U; name < CU; name++) field[name] = computation_array(byte_count);
    field[CU] = computation_array(scratch_byte_count);
    for (int name = CU + 1; name < FIELDS; name++) field[name] = field[name - 1] + size * size;
    const double turn = 2 * 3.14159265358979323846 / (double)size, amplitude = 1e6, wave = turn * (double)size;
    for (size_t i = 0; i < size; i++) {
        for (size_t j = 0; j < size; j++) {
            double x = (double)i * turn, y = (double)j * turn, length = (double)size * dx;
            field[U][i * size + j] = -amplitude * wave / length * sin(x) * cos(y) * 0.5;
            field[V][i * size + j] = amplitude * wave / length * cos(x) * sin(y) * 0.5;
            field[P][i * size + j] = 50000 + wave * wave * amplitude * amplitude / (length * length) * 0.25 * (cos(2 * x) + cos(2 * y));
        }
    }
    for (int name = U; name <= P; name++) memcpy(field[name + U_OLD], field[name], size * size * sizeof(double));
    computation_enable();
    computation_dead(field[CU], scratch_byte_count);
    computation_ready();
    for (long step = 0; step < computation_steps; step++) {
        computation_step_begins(field[CU], scratch_byte_count);
        for (size_t i = 0; i < size; i++) fluxes(i);
        for (size_t i = 0; i < size; i++) advance(i, step == 0 ? dt : 2 * dt);
        for (size_t i = 0; i < size; i++) settle(i, step == 0);
        computation_step_ends();
    }
    uint64_t sum = 1;
    for (int name = U; name <= P_OLD; name++) sum = computation_sum(sum, field[name], size * size * sizeof(double));
    if (!isfinite(field[P][0])) return fputs("stswm: the water is gone\n", stderr), 1;
    return computation_end(sum);
}
