// SPDX-License-Identifier: Apache-2.0
// track PAGES ROUNDS: what a page costs that is written for the first time after a checkpoint. One line for each round: the nanoseconds
// for each page of writing PAGES pages that are clean, of writing them once more, and of the first touch of as many fresh pages.
// Each round begins with a checkpoint, which is durable before anything is measured.
#include <checkpointkit.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}
static double touch(char *memory, size_t pages) {
    double start = now();
    for (size_t i = 0; i < pages; i++) memory[i * 4096]++;
    return (now() - start) / (double)pages;
}
static char *fresh(size_t pages) {
    char *memory = mmap(NULL, pages * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) exit(1);
    madvise(memory, pages * 4096, MADV_NOHUGEPAGE);
    return memory;
}

int main(int count, char **arguments) {
    if (count != 3) return 64;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    size_t pages = (size_t)atol(arguments[1]);
    char *memory = fresh(pages);
    memset(memory, 1, pages * 4096);
    int error = ckpt_enable(NULL);
    for (long round = 0; round < atol(arguments[2]) && error == 0; round++) {
        error = ckpt_now();
        if (error != CKPT_SAVED) break;
        double clean = touch(memory, pages), dirty = touch(memory, pages);
        // Touched and given back once, so that the host of a virtual machine has it ready.
        char *other = fresh(pages);
        touch(other, pages);
        munmap(other, pages * 4096);
        other = fresh(pages);
        double first = touch(other, pages);
        munmap(other, pages * 4096);
        printf("%.3f %.3f %.3f\n", clean, dirty, first);
        fflush(stdout);
    }
    return error == CKPT_SAVED ? 0 : (fprintf(stderr, "track: %s\n", ckpt_strerror(error)), 1);
}
