// SPDX-License-Identifier: Apache-2.0
// Shared anonymous memory: one object stays one, whatever shows it; what was never touched stays so.
#include "fixture.h"
#include <sys/wait.h>

#define MIB (1024 * 1024)

static char *map(size_t byte_count) {
    char *start = mmap(NULL, byte_count, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    need(start != MAP_FAILED);
    return start;
}

// The same object once more, from here on (mremap(2)).
static char *again(char *start, size_t byte_count) {
    char *other = mremap(start, 0, byte_count, MREMAP_MAYMOVE);
    need(other != MAP_FAILED);
    return other;
}

static size_t resident_pages(void *start, size_t byte_count) {
    static unsigned char vector[256 * MIB / 4096];
    if (mincore(start, byte_count, vector) != 0) return 0;
    size_t count = 0;
    for (size_t i = 0; i < byte_count / 4096; i++) count += vector[i] & 1;
    return count;
}

int main(void) {
    fixture_begin();
    char *one = map(MIB), *two = again(one, MIB), *part = again(one + 512 * 1024, 256 * 1024);
    fill(one, MIB, 1);
    char *cut = map(MIB);
    fill(cut, MIB, 2);
    need(munmap(cut + 256 * 1024, 512 * 1024) == 0);
    char *closed = map(MIB), *opened = again(closed, MIB);
    fill(closed, MIB, 3);
    need(mprotect(closed, MIB, PROT_NONE) == 0);
    char *readable = map(MIB);
    fill(readable, MIB, 4);
    need(mprotect(readable, MIB, PROT_READ) == 0);
    char *sparse = map(256 * MIB);
    for (int i = 0; i < 16; i++) fill(sparse + (size_t)i * 16 * MIB + 4096 * i, 4096, 100 + i);
    char *given_back = map(MIB);
    fill(given_back, MIB, 5);
    need(madvise(given_back, MIB, MADV_DONTNEED) == 0); // of shared memory this takes nothing away
    char *removed = map(MIB);
    fill(removed, MIB, 6);
    need(madvise(removed, 512 * 1024, MADV_REMOVE) == 0);
    char *unforked = map(MIB);
    fill(unforked, MIB, 7);
    need(madvise(unforked, MIB, MADV_DONTFORK) == 0);

    fixture_checkpoint_here();

    fact_that(is_filled(one, MIB, 1) && is_filled(two, MIB, 1));
    one[600 * 1024] = 'x';
    fact_that(two[600 * 1024] == 'x' && part[88 * 1024] == 'x');
    part[0] = 'y';
    fact_that(one[512 * 1024] == 'y' && two[512 * 1024] == 'y');
    fact_that(is_filled(cut, 256 * 1024, 2) && is_filled(cut + 768 * 1024, 256 * 1024, 2 + 768 * 1024 / 8));
    fact_that(mmap(cut + 256 * 1024, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == cut + 256 * 1024);
    fact_that(is_filled(opened, MIB, 3));
    opened[5] = 'z';
    need(mprotect(closed, MIB, PROT_READ) == 0);
    fact_that(closed[5] == 'z');
    fact_that(is_filled(readable, MIB, 4));
    need(mprotect(readable, MIB, PROT_READ | PROT_WRITE) == 0);
    readable[0] = 1;
    fact("sparse: %zu pages are resident", resident_pages(sparse, 256 * MIB));
    int sparse_is_right = 1;
    for (int i = 0; i < 16; i++) sparse_is_right &= is_filled(sparse + (size_t)i * 16 * MIB + 4096 * i, 4096, 100 + i);
    fact_that(sparse_is_right);
    fact_that(is_filled(given_back, MIB, 5));
    fact_that(is_zero(removed, 512 * 1024) && is_filled(removed + 512 * 1024, 512 * 1024, 6 + 512 * 1024 / 8));
    fact_that(is_filled(unforked, MIB, 7));
    pid_t child = fork();
    need(child >= 0);
    if (child == 0) {
        one[1] = 'c';
        _exit(0);
    }
    int status;
    need(waitpid(child, &status, 0) == child);
    fact_that(status == 0 && two[1] == 'c');
    return 0;
}
