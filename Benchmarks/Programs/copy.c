// SPDX-License-Identifier: Apache-2.0
// link: alone
// copy MIB TIMES: prints the nanoseconds of a memcpy of so much, one line each; one thread, both buffers touched before.
// copy MIB 0 only touches twice so much memory, in huge pages: a virtual machine gives free memory back to its host, and the next
// one to use it would pay for getting it again.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

int main(int count, char **arguments) {
    if (count != 3) return 64;
    size_t bytes = (size_t)atol(arguments[1]) << 20;
    char *from = malloc(bytes), *to = malloc(bytes);
    if (from == NULL || to == NULL) return 1;
    if (atoi(arguments[2]) == 0) {
        char *memory = mmap(NULL, 2 * bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) return 1;
        madvise(memory, 2 * bytes, MADV_HUGEPAGE);
        memset(memory, 1, 2 * bytes);
        return 0;
    }
    memset(from, 1, bytes);
    memset(to, 2, bytes);
    for (int turn = atoi(arguments[2]); turn > 0; turn--) {
        struct timespec start, end;
        clock_gettime(CLOCK_MONOTONIC, &start);
        memcpy(to, from, bytes);
        clock_gettime(CLOCK_MONOTONIC, &end);
        __asm__ volatile("" : : "r"(to) : "memory");
        printf("%lld\n", (end.tv_sec - start.tv_sec) * 1000000000ll + (end.tv_nsec - start.tv_nsec));
    }
    return 0;
}
