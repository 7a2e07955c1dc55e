// SPDX-License-Identifier: Apache-2.0
// How the kernel runs threads: class, priority, nice value, processors, I/O priority, timer slack, children that begin anew.
// What this user may not have is refused, in every run alike.
#include "fixture.h"
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>

struct attributes { uint32_t size, policy; uint64_t flags; int32_t nice; uint32_t priority; uint64_t runtime, deadline, period; };

enum { BATCH, IDLE, NICE, ONE_PROCESSOR, SLACK, SLICE, ANEW, IO_IDLE, IO_BEST, FIFO, ROUND, DEADLINE, THREADS };
static const char *const names[THREADS] = {"batch", "idle", "nice", "one", "slack", "slice", "anew", "io-idle", "io-best", "fifo", "round", "deadline"};
static pthread_barrier_t prepared, released;
static cpu_set_t allowed;
static char lines[THREADS][700];

static long set(uint32_t policy, uint64_t flags, int nice, uint32_t priority) {
    struct attributes a = { .size = sizeof a, .policy = policy, .flags = flags, .nice = nice, .priority = priority };
    if (policy == 0) a.runtime = 5000000; // a time slice; before Linux 6.12 nothing
    if (policy == 6) { a.runtime = 1000000; a.deadline = 20000000; a.period = 100000000; }
    return syscall(SYS_sched_setattr, 0, &a, 0);
}

static void describe(char *line, const char *name, int refused) {
    struct attributes a = { 0 };
    cpu_set_t mask;
    CPU_ZERO(&mask);
    need(syscall(SYS_sched_getattr, 0, &a, sizeof a, 0) == 0);
    need(sched_getaffinity(0, sizeof mask, &mask) == 0);
    long io = syscall(SYS_ioprio_get, 1, 0);
    if (a.policy != 6 && a.runtime != 5000000) a.runtime = 0; // since Linux 6.12: the system's time slice
    snprintf(line, 300, "%s: refused %d, policy %u (%d), flags %llu, nice %d (%d), priority %u, %llu/%llu/%llu, all processors %d, %d of them, I/O %ld.%ld, slack %d",
        name, refused, a.policy, sched_getscheduler(0), (unsigned long long)a.flags, a.nice, getpriority(PRIO_PROCESS, 0), a.priority,
        (unsigned long long)a.runtime, (unsigned long long)a.deadline, (unsigned long long)a.period, CPU_EQUAL(&mask, &allowed), CPU_COUNT(&mask),
        io >> 13, io >> 13 ? io & 7 : 0, prctl(PR_GET_TIMERSLACK));
}

static void *child(void *line) { describe(line, "its child", 0); return NULL; }

static void *work(void *argument) {
    int kind = (int)(intptr_t)argument;
    long result = 0;
    pthread_setname_np(pthread_self(), names[kind]);
    cpu_set_t one;
    switch (kind) {
    case BATCH: result = set(SCHED_BATCH, 0, 12, 0); break;
    case IDLE: result = set(SCHED_IDLE, 0, 0, 0); break;
    case NICE: result = setpriority(PRIO_PROCESS, 0, 17); break;
    case ONE_PROCESSOR:
        CPU_ZERO(&one);
        for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++) if (CPU_ISSET(i, &allowed)) CPU_SET(i, &one);
        result = sched_setaffinity(0, sizeof one, &one);
        break;
    case SLACK: result = prctl(PR_SET_TIMERSLACK, 1234567); break;
    case SLICE: result = set(SCHED_OTHER, 0, 4, 0); break;
    case ANEW: result = set(SCHED_BATCH, 1 /* SCHED_FLAG_RESET_ON_FORK */, 15, 0); break;
    case IO_IDLE: result = syscall(SYS_ioprio_set, 1, 0, 3 << 13 | 7); break;
    case IO_BEST: result = syscall(SYS_ioprio_set, 1, 0, 2 << 13 | 2); break;
    case FIFO: result = set(SCHED_FIFO, 0, 0, 10); break;
    case ROUND: result = set(SCHED_RR, 1, 0, 3); break;
    case DEADLINE: result = set(6, 1, 0, 0); break;
    }
    int refused = result == 0 ? 0 : errno;
    pthread_barrier_wait(&prepared);
    pthread_barrier_wait(&released);
    describe(lines[kind], names[kind], refused);
    if (kind == ANEW || kind == SLACK) {
        pthread_t thread;
        char line[300];
        need(pthread_create(&thread, NULL, child, line) == 0 && pthread_join(thread, NULL) == 0);
        size_t used = strlen(lines[kind]);
        snprintf(lines[kind] + used, sizeof lines[kind] - used, "; %s", line);
    }
    return NULL;
}

int main(void) {
    fixture_begin();
    need(sched_getaffinity(0, sizeof allowed, &allowed) == 0);
    pthread_barrier_init(&prepared, NULL, THREADS + 1);
    pthread_barrier_init(&released, NULL, THREADS + 1);
    pthread_t threads[THREADS];
    for (intptr_t i = 0; i < THREADS; i++) need(pthread_create(&threads[i], NULL, work, (void *)i) == 0);
    need(setpriority(PRIO_PROCESS, 0, 2) == 0);
    pthread_barrier_wait(&prepared);
    fixture_checkpoint_here();
    char line[300];
    describe(line, "the first thread", 0);
    fact("%s", line);
    pthread_barrier_wait(&released);
    for (int i = 0; i < THREADS; i++) {
        need(pthread_join(threads[i], NULL) == 0);
        fact("%s", lines[i]);
    }
    return 0;
}
