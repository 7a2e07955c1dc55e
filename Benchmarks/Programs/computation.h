// SPDX-License-Identifier: Apache-2.0
// What the five computations (jacobi, sor, solve, cell, stswm) share: NAME [SIZE [STEPS [exclude|check]]], 0: the default.
// They print "ready" when the data are there and checkpoints are enabled, and at the end a checksum and the seconds since then.
// With FIRST in the environment they take a checkpoint of their own before that: those that follow are increments.
//
// With `exclude`, memory that cannot matter is left out of checkpoints. To exclude and to include cost tens of microseconds, so nobody
// does that for each row. A computation whose scratch memory is dead between two steps excludes that once and for all, and
// defers checkpoints while it is inside a step: that costs two cheap calls, and a checkpoint waits for the end of the step. So a restart
// gives the same checksum. `check` shows it without a checkpoint: between the steps, and wherever something is excluded or taken in again,
// it is filled with rubbish, and the checksum has to stay what it was.
#ifndef COMPUTATION_H
#define COMPUTATION_H
#include <checkpointkit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <signal.h>
#include <time.h>

enum { COMPUTATION_PLAIN, COMPUTATION_EXCLUDE, COMPUTATION_CHECK };
static int computation_mode;
static size_t computation_size;
static long computation_steps;
static struct timespec computation_start;

static void computation_fail(const char *what, int error) {
    fprintf(stderr, "computation: %s: %s\n", what, ckpt_strerror(error));
    exit(1);
}

static inline void computation_arguments(int count, char **arguments, size_t size, long steps) {
    // It ends with the driver.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    computation_size = count > 1 && atol(arguments[1]) > 0 ? (size_t)atol(arguments[1]) : size;
    computation_steps = count > 2 && atol(arguments[2]) > 0 ? atol(arguments[2]) : steps;
    if (count > 3) computation_mode = strcmp(arguments[3], "check") == 0 ? COMPUTATION_CHECK : COMPUTATION_EXCLUDE;
#ifndef CKPT_DEAD
    if (computation_mode == COMPUTATION_EXCLUDE) fputs("computation: this version of the library has no exclusion\n", stderr), exit(69);
#endif
}

// Zeros, page by page: what a program has of its own is touched before the time is taken.
static inline void *computation_array(size_t byte_count) {
    void *memory = aligned_alloc(4096, (byte_count + 4095) & ~(size_t)4095);
    if (memory == NULL) exit(1);
    return memset(memory, 0, byte_count);
}

static inline void computation_ready(void) {
    if (getenv("FIRST") != NULL) {
        int error = ckpt_now();
        // A restart from that image goes on like any other.
        if (error < 0) computation_fail("ckpt_now", error);
    }
    puts("ready");
    fflush(stdout);
    clock_gettime(CLOCK_MONOTONIC, &computation_start);
}

static inline void computation_enable(void) {
    int error = ckpt_enable(NULL);
    if (error != 0) computation_fail("ckpt_enable", error);
}

// The content cannot matter from now on, until `needed`: it is written before it is read.
static inline void computation_dead(void *start, size_t byte_count) {
    if (computation_mode == COMPUTATION_CHECK) memset(start, 0x5a, byte_count);
#ifdef CKPT_DEAD
    if (computation_mode != COMPUTATION_EXCLUDE || byte_count == 0) return;
    int error = ckpt_exclude(start, byte_count, CKPT_DEAD);
    if (error != 0) computation_fail("ckpt_exclude", error);
#endif
}
// Saved again; to be called before the first write that matters.
static inline void computation_needed(void *start, size_t byte_count) {
    if (computation_mode == COMPUTATION_CHECK) memset(start, 0xa5, byte_count);
#ifdef CKPT_DEAD
    if (computation_mode != COMPUTATION_EXCLUDE || byte_count == 0) return;
    int error = ckpt_include(start, byte_count);
    if (error != 0) computation_fail("ckpt_include", error);
#endif
}
// Never written from now on.
static inline void computation_constant(const void *start, size_t byte_count) {
    (void)start, (void)byte_count;
#ifdef CKPT_DEAD
    if (computation_mode != COMPUTATION_EXCLUDE) return;
    int error = ckpt_exclude(start, byte_count, CKPT_READ_ONLY);
    if (error != 0) computation_fail("ckpt_exclude", error);
#endif
}

// Around a step between whose ends scratch memory is used that is excluded as dead.
static inline void computation_step_begins(void *scratch, size_t byte_count) {
    if (computation_mode == COMPUTATION_CHECK) memset(scratch, 0xa5, byte_count);
    if (computation_mode == COMPUTATION_EXCLUDE) ckpt_defer_begin();
}
static inline void computation_step_ends(void) {
    if (computation_mode == COMPUTATION_EXCLUDE) ckpt_defer_end();
}

static inline uint64_t computation_sum(uint64_t sum, const void *start, size_t byte_count) {
    const uint64_t *words = start;
    for (size_t i = 0; i < byte_count / 8; i++) sum = (sum ^ words[i]) * 0x9e3779b97f4a7c15u, sum ^= sum >> 29;
    return sum;
}

static inline int computation_end(uint64_t sum) {
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    printf("checksum %016llx\n", (unsigned long long)sum);
    printf("seconds %.6f\n", (double)(end.tv_sec - computation_start.tv_sec) + (double)(end.tv_nsec - computation_start.tv_nsec) * 1e-9);
    return 0;
}

#endif
