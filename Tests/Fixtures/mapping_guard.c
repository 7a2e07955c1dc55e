// SPDX-License-Identifier: Apache-2.0
// Guard pages (MADV_GUARD_INSTALL, since Linux 6.13) in anonymous memory: they give a fault, have no content, and can be removed.
#include "fixture.h"

#define PAGES 1024
static int pipes[2];

// Kernel: what a system call reads from a guard page is EFAULT.
static int is_guard(const char *page) {
    if (write(pipes[1], page, 1) == 1) {
        char byte;
        need(read(pipes[0], &byte, 1) == 1);
        return 0;
    }
    return errno == EFAULT;
}

static int guards(const char *start, size_t count) {
    int found = 0;
    for (size_t i = 0; i < count; i++) found += is_guard(start + i * 4096);
    return found;
}

int main(void) {
    char *memory = mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *reserve = mmap(NULL, 128ul << 30, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    need(memory != MAP_FAILED && reserve != MAP_FAILED && pipe(pipes) == 0);
    fixture_begin();
    fill(memory, PAGES * 4096, 1);
    // Scattered ones, a stretch of them, one at each end of a reservation, and one that is taken back.
    int has_guards = madvise(memory + 4096, 4096, 102 /* MADV_GUARD_INSTALL */) == 0;
    for (int i = 100; i < 200; i += 2) madvise(memory + i * 4096, 4096, 102);
    madvise(memory + 500 * 4096, 64 * 4096, 102);
    madvise(memory + 900 * 4096, 2 * 4096, 102);
    madvise(memory + 900 * 4096, 4096, 103 /* MADV_GUARD_REMOVE */);
    madvise(reserve, 4096, 102);
    madvise(reserve + (128ul << 30) - 4096, 4096, 102);

    fixture_checkpoint_here();

    fact("%s", has_guards ? "guard pages" : "this kernel has no guard pages");
    fact("%d, %d, %d, %d, %d of them", guards(memory, 100), guards(memory + 100 * 4096, 100), guards(memory + 200 * 4096, 500), guards(memory + 700 * 4096, 324), guards(reserve, 4));
    fact_that(is_guard(reserve + (128ul << 30) - 4096) == has_guards);
    fact_that(is_filled(memory + 200 * 4096, 300 * 4096, 1 + 200 * 512) && is_filled(memory + 101 * 4096, 4096, 1 + 101 * 512));
    fact_that(is_filled(memory + 600 * 4096, 300 * 4096, 1 + 600 * 512));
    if (has_guards) {
        fact_that(is_zero(memory + 900 * 4096, 4096));
        fact_that(madvise(memory, PAGES * 4096, 103) == 0 && guards(memory, PAGES) == 0);
        fact_that(is_zero(memory + 4096, 4096) && is_zero(memory + 500 * 4096, 64 * 4096));
        fact_that(madvise(memory, 4096, 102) == 0 && is_guard(memory));
    }
    return 0;
}
