// SPDX-License-Identifier: Apache-2.0
// link: alone
// direct FILE BYTES THREADS: writes so many bytes past the page cache (O_DIRECT), in blocks of 1 MiB, by 1 or 2 threads, then fsync.
// Prints the nanoseconds from the creation of the file until it is durable. The bytes are random: nothing below can leave them out.
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BLOCK (1u << 20)
#define BUFFER (64u << 20)
static char *buffer;
static size_t byte_count, threads;
static int file;
static int failed;

static void *write_blocks(void *argument) {
    for (size_t offset = (size_t)argument * BLOCK; offset < byte_count; offset += threads * BLOCK) {
        size_t length = byte_count - offset < BLOCK ? byte_count - offset : BLOCK;
        if (pwrite(file, buffer + offset % BUFFER, length, (off_t)offset) != (ssize_t)length) failed = 1;
    }
    return NULL;
}

int main(int count, char **arguments) {
    if (count != 4) return 64;
    byte_count = ((size_t)atol(arguments[2]) + 4095) & ~(size_t)4095;
    threads = (size_t)atol(arguments[3]);
    if (threads < 1 || threads > 2 || posix_memalign((void **)&buffer, BLOCK, BUFFER) != 0) return 64;
    uint64_t state = 88172645463325252u, *words = (uint64_t *)buffer;
    for (size_t i = 0; i < BUFFER / 8; i++) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        words[i] = state;
    }
    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    file = open(arguments[1], O_WRONLY | O_CREAT | O_EXCL | O_DIRECT | O_CLOEXEC, 0600);
    if (file < 0) return perror("direct: open"), 1;
    posix_fallocate(file, 0, (off_t)byte_count);
    pthread_t other;
    if (threads == 2 && pthread_create(&other, NULL, write_blocks, (void *)1) != 0) return 1;
    write_blocks((void *)0);
    if (threads == 2) pthread_join(other, NULL);
    if (failed || fsync(file) != 0) return fputs("direct: the file could not be written\n", stderr), 1;
    clock_gettime(CLOCK_MONOTONIC, &end);
    printf("%lld\n", (end.tv_sec - start.tv_sec) * 1000000000ll + (end.tv_nsec - start.tv_nsec));
    return 0;
}
