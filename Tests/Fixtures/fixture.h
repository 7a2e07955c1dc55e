// SPDX-License-Identifier: Apache-2.0
// A fixture shows one kernel feature in three acts: prepare; fixture_checkpoint_here(); verify and print facts.
// What it prints behind READY is the same in a run left alone, in the run that goes on after its checkpoint, and in
// every run restarted from the image. So it prints no id, no address, no path and no time, but what holds for them.
//
// The driver sees that a fixture waits (again) by the file `alive`, and lets it go by creating `release`; both lie in
// the directory where the fixture was started.
#ifndef FIXTURE_H
#define FIXTURE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <checkpointkit.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static char fixture_release[PATH_MAX], fixture_alive[PATH_MAX];
static int fixture_output = 1;

// One line. Written at once, so that no buffer is part of the image.
__attribute__((format(printf, 1, 2), unused)) static void fact(const char *format, ...) {
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line - 1, format, arguments);
    va_end(arguments);
    if (length < 0 || length > (int)sizeof line - 2) length = (int)sizeof line - 2;
    line[length++] = '\n';
    for (int done = 0; done < length;) {
        ssize_t written = write(fixture_output, line + done, (size_t)(length - done));
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) _exit(99);
        done += (int)written;
    }
}

#define fact_that(condition) fact("%s: %s", #condition, (condition) ? "yes" : "no")

// For what a fixture needs and does not test.
#define need(condition) do { if (!(condition)) { \
    fact("%s:%d: not so: %s (%s)", __FILE_NAME__, __LINE__, #condition, strerror(errno)); _exit(98); } } while (0)

#ifndef __FILE_NAME__
#define __FILE_NAME__ __FILE__
#endif

__attribute__((unused)) static void fixture_sleep(long milliseconds) {
    struct timespec left = { milliseconds / 1000, milliseconds % 1000 * 1000000 };
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {}
}

// Before anything else; enables checkpoints with the defaults.
__attribute__((unused)) static void fixture_begin(void) {
    char directory[PATH_MAX - 16];
    need(getcwd(directory, sizeof directory) != NULL);
    snprintf(fixture_release, sizeof fixture_release, "%s/release", directory);
    snprintf(fixture_alive, sizeof fixture_alive, "%s/alive", directory);
    int error = ckpt_enable(NULL);
    if (error != 0) { fact("ckpt_enable: %s", ckpt_strerror(error)); _exit(97); }
}

// Waits until the driver has taken what checkpoints it wants, or restarted the program from one of them.
// mknod instead of open: no descriptor is open at the checkpoint that the fixture does not speak of.
__attribute__((unused)) static void fixture_wait(void) {
    while (access(fixture_release, F_OK) != 0) {
        mknod(fixture_alive, S_IFREG | 0600, 0);
        fixture_sleep(1);
    }
}

__attribute__((unused)) static void fixture_checkpoint_here(void) {
    fact("READY");
    fixture_wait();
}

// A thread that does nothing but wait for the driver; for fixtures whose other threads are busy across the checkpoint.
__attribute__((unused)) static void *fixture_waiter(void *flag) {
    fixture_checkpoint_here();
    if (flag) __atomic_store_n((int *)flag, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

// Fills and recognises memory; the seed tells one block from another.
__attribute__((unused)) static void fill(void *block, size_t byte_count, uint64_t seed) {
    uint64_t *words = block;
    for (size_t i = 0; i < byte_count / 8; i++) words[i] = (seed + i) * 0x9e3779b97f4a7c15u;
}
__attribute__((unused)) static int is_filled(const void *block, size_t byte_count, uint64_t seed) {
    const uint64_t *words = block;
    for (size_t i = 0; i < byte_count / 8; i++) if (words[i] != (seed + i) * 0x9e3779b97f4a7c15u) return 0;
    return 1;
}
__attribute__((unused)) static int is_zero(const void *block, size_t byte_count) {
    const unsigned char *bytes = block;
    for (size_t i = 0; i < byte_count; i++) if (bytes[i] != 0) return 0;
    return 1;
}
#endif
