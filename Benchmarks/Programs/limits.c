// SPDX-License-Identifier: Apache-2.0
// link: alone
// limits MIB: what this machine can do at best, one line each, in nanoseconds:
//   memcpy    of so much memory, one thread, both buffers touched before
//   fault     the first write to a page of fresh memory, small pages
//   mmap      a mapping made and taken away again
//   fork      of a process with so much memory, until it returns in the parent
//   copy      the first write to a page after that fork: the kernel copies it
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}
static char *fresh(size_t bytes) {
    char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) exit(1);
    madvise(memory, bytes, MADV_NOHUGEPAGE);
    return memory;
}
static double touch(char *memory, size_t bytes) {
    double start = now();
    for (size_t i = 0; i < bytes; i += 4096) memory[i]++;
    return (now() - start) / (double)(bytes / 4096);
}

int main(int count, char **arguments) {
    if (count != 2 || atol(arguments[1]) < 64) return 64;
    size_t bytes = (size_t)atol(arguments[1]) << 20, some = 64u << 20;
    char *from = fresh(bytes), *to = fresh(bytes);
    memset(from, 1, bytes);
    memset(to, 2, bytes);
    double start = now();
    memcpy(to, from, bytes);
    __asm__ volatile("" : : "r"(to) : "memory");
    printf("memcpy %.1f\n", now() - start);
    munmap(to, bytes);

    // Memory that was just given back: the host has it ready.
    char *part = fresh(some);
    printf("fault %.2f\n", touch(part, some));
    munmap(part, some);

    start = now();
    for (int i = 0; i < 10000; i++) munmap(fresh(4096), 4096);
    printf("mmap %.1f\n", (now() - start) / 10000);

    fflush(stdout);
    start = now();
    pid_t child = fork();
    if (child < 0) return 1;
    if (child == 0) for (;;) pause();
    printf("fork %.1f\n", now() - start);
    printf("copy %.2f\n", touch(from, some));
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    return 0;
}
