// SPDX-License-Identifier: Apache-2.0
// Sealed mappings (mseal, since Linux 6.10): private and shared, with and without write access.
#include "fixture.h"

#define MIB (1024 * 1024)

static int seal(void *start, size_t byte_count) { return (int)syscall(462 /* mseal */, start, byte_count, 0); }
static int is_sealed(void *start, size_t byte_count, int protection) {
    return mprotect(start, byte_count, protection) == -1 && errno == EPERM && munmap(start, byte_count) == -1 && errno == EPERM;
}

static char *map(int flags) {
    char *start = mmap(NULL, MIB, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);
    need(start != MAP_FAILED);
    return start;
}

int main(void) {
    fixture_begin();
    char *writable = map(MAP_PRIVATE), *readable = map(MAP_PRIVATE), *closed = map(MAP_PRIVATE), *shared = map(MAP_SHARED), *other = map(MAP_PRIVATE);
    fill(writable, MIB, 1);
    fill(readable, MIB, 2);
    fill(shared, MIB, 3);
    fill(other, MIB, 4);
    need(mprotect(readable, MIB, PROT_READ) == 0 && mprotect(closed, MIB, PROT_NONE) == 0);
    int has_seals = seal(writable, MIB) == 0 && seal(readable, MIB) == 0 && seal(closed, MIB) == 0 && seal(shared, MIB) == 0;

    fixture_checkpoint_here();

    fact("%s", has_seals ? "sealed" : "this kernel does not seal");
    fact_that(is_filled(writable, MIB, 1) && is_filled(readable, MIB, 2) && is_filled(shared, MIB, 3) && is_filled(other, MIB, 4));
    if (has_seals) {
        fact_that(is_sealed(writable, MIB, PROT_READ));
        fact_that(is_sealed(readable, MIB, PROT_READ | PROT_WRITE));
        fact_that(is_sealed(closed, MIB, PROT_READ));
        fact_that(is_sealed(shared, MIB, PROT_READ));
    }
    writable[0] = shared[0] = 5;
    fact_that(mprotect(other, MIB, PROT_READ) == 0 && munmap(other, MIB) == 0);
    return 0;
}
