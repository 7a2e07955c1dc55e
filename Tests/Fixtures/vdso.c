// SPDX-License-Identifier: Apache-2.0
// The vdso is where the program expects it, and belongs to the kernel that runs now; rseq is registered.
#include "fixture.h"
#include <sched.h>
#include <sys/auxv.h>
#include <sys/rseq.h>

static int64_t now(clockid_t clock) {
    struct timespec time;
    need(clock_gettime(clock, &time) == 0);
    return time.tv_sec * 1000000000ll + time.tv_nsec;
}
static int64_t asked(clockid_t clock) { // by the system call
    struct timespec time;
    need(syscall(SYS_clock_gettime, clock, &time) == 0);
    return time.tv_sec * 1000000000ll + time.tv_nsec;
}

static int rseq_works(void) {
    struct rseq *rseq = (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);
    return __rseq_size > 0 && (int)rseq->cpu_id >= 0 && (int)rseq->cpu_id < 4096;
}

int main(void) {
    fixture_begin();
    int64_t monotonic = now(CLOCK_MONOTONIC), realtime = now(CLOCK_REALTIME), boottime = now(CLOCK_BOOTTIME);
    int64_t cpu = now(CLOCK_PROCESS_CPUTIME_ID);
    (void)cpu;
    unsigned long vdso = getauxval(AT_SYSINFO_EHDR);
    fact_that(rseq_works());

    fixture_checkpoint_here();

    fact_that(getauxval(AT_SYSINFO_EHDR) == vdso && memcmp((void *)vdso, "\177ELF", 4) == 0);
    fact_that(now(CLOCK_MONOTONIC) >= monotonic);
    fact_that(now(CLOCK_REALTIME) >= realtime);
    fact_that(now(CLOCK_BOOTTIME) >= boottime);
    int agree = 1;
    for (int i = 0; i < 100; i++) {
        int64_t first = asked(CLOCK_MONOTONIC), second = now(CLOCK_MONOTONIC), third = asked(CLOCK_MONOTONIC);
        agree &= first <= second && second <= third;
    }
    fact("the vdso and the kernel agree: %s", agree ? "yes" : "no");
    fact_that(sched_getcpu() >= 0);
    fact_that(time(NULL) > 0);
    for (int i = 0; i < 1000 && !rseq_works(); i++) sched_yield();
    fact_that(rseq_works());
    return 0;
}
