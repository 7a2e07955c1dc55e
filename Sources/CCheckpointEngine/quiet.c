// SPDX-License-Identifier: Apache-2.0
// Waits for a moment in which the program writes little: between two bursts there is time for a round and the freeze.
// Signal time: safe. Runs in the scribe while the program runs; looks at /proc, touches nothing.
//
// Kernel: each page that is written for the first time since userfaultfd protected it is a minor fault, a huge page one for all;
// /proc/PID/stat has their number, of all threads together, in its tenth field (proc_pid_stat(5)).
#include "engine.h"

#define LOOK_NS 1000000u
#define WAIT_NS 250000000u  // two bursts of a program that writes each 100 ms
#define LOOKS_QUIET 2u      // one after the other: a program that waits for a processor is quiet too, but not for long
#define FAULTS_QUIET 32u    // in one look

uint64_t ckpt_faults(struct ckpt_checkpoint *c) {
    char text[512];
    uint64_t number = 0;
    if (ckpt_read_text(c->proc, "stat", text, sizeof text) <= 0) return 0;
    ckpt_number(ckpt_stat_field(text, 10), 10, &number);
    return number;
}

int ckpt_await_quiet(struct ckpt_checkpoint *c) {
    uint64_t before = ckpt_faults(c), deadline = ckpt_clock(CKPT_CLOCK_MONOTONIC) + WAIT_NS;
    uint32_t quiet = 0;
    while (before && quiet < LOOKS_QUIET && ckpt_clock(CKPT_CLOCK_MONOTONIC) < deadline) {
        ckpt_sleep(LOOK_NS);
        uint64_t now = ckpt_faults(c);
        quiet = now - before <= FAULTS_QUIET ? quiet + 1 : 0;
        before = now;
    }
    return quiet == LOOKS_QUIET;
}
