// SPDX-License-Identifier: Apache-2.0
// Reservations of terabytes, as Java, Go and sanitizers make them, of which little is used; and brk that goes on growing beside them.
#include "fixture.h"

#define TIB (1ul << 40)

static char *reserve(size_t byte_count, int protection) {
    char *start = mmap(NULL, byte_count, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    need(start != MAP_FAILED);
    return start;
}

int main(void) {
    fixture_begin();
    char *closed = reserve(16 * TIB, PROT_NONE), *open = reserve(4 * TIB, PROT_READ | PROT_WRITE);
    need(mprotect(closed + TIB, 1 << 20, PROT_READ | PROT_WRITE) == 0); // committed, as a heap does
    fill(closed + TIB, 1 << 20, 1);
    for (size_t i = 0; i < 8; i++) fill(open + i * (TIB / 2) + i * 4096, 4096, 10 + i);
    char *end = sbrk(0);

    fixture_checkpoint_here();

    fact_that(is_filled(closed + TIB, 1 << 20, 1));
    int is_right = 1;
    for (size_t i = 0; i < 8; i++) is_right &= is_filled(open + i * (TIB / 2) + i * 4096, 4096, 10 + i);
    fact_that(is_right);
    fact_that(is_zero(open + TIB / 4, 1 << 20));
    fact_that(mprotect(closed + 2 * TIB, 1 << 20, PROT_READ | PROT_WRITE) == 0 && is_zero(closed + 2 * TIB, 1 << 20));
    fact_that(sbrk(1 << 20) == end && is_zero(end, 1 << 20));
    fact_that(munmap(closed, 16 * TIB) == 0 && munmap(open, 4 * TIB) == 0);
    return 0;
}
