// SPDX-License-Identifier: Apache-2.0
// The scribe's standing: what it takes over from the program's thread that made it, and must not keep; and what it needs of /proc.
// Signal time: safe. A few calls at the scribe's begin and end; whoever buries a scribe that was killed makes the last one.
#include "engine.h"

enum { GET_DUMPABLE = 3, SET_DUMPABLE = 4, SET_TIMER_SLACK = 29 };

// Kernel: limits belong to the thread group, and the scribe is one of its own: the program's stay as they are.
static void raise_limit(uint32_t resource) {
    uint64_t limit[2]; // soft, hard
    if (ckpt_call(__NR_prlimit64, 0, resource, NULL, limit) < 0) return;
    limit[0] = limit[1];
    ckpt_call(__NR_prlimit64, 0, resource, limit, NULL);
}

void ckpt_take_standing(void) {
    ckpt_call(__NR_prctl, SET_TIMER_SLACK, 50000); // the program's may be a second
    // A scribe of a real-time class would keep the processor from the program's own threads of that priority for as long as it writes.
    long class = ckpt_call(__NR_sched_getscheduler, 0) & ~0x40000000l; // SCHED_RESET_ON_FORK
    int32_t priority = 0;
    if (class == 1 || class == 2) ckpt_call(__NR_sched_setscheduler, 0, 0, &priority); // SCHED_FIFO, SCHED_RR
    raise_limit(1);  // RLIMIT_FSIZE: of what the program writes; the image is larger
    raise_limit(6);  // RLIMIT_NPROC: helpers
    raise_limit(7);  // RLIMIT_NOFILE
    // Kernel: /proc/PID of a process that is not dumpable belongs to root, also for itself (task_dump_owner). Dumpable is of the
    // memory, so the scribe can change it. As long as the checkpoint lasts, whoever may send it signals may debug it too; the
    // image, which has all its memory, is his already. 2 (a process that has changed its user) cannot be given back: it stays.
    if (ckpt_call(__NR_prctl, GET_DUMPABLE) != 0) return;
    // Order: the note first, because a scribe may be killed in between.
    ckpt_store(&ckpt_control()->was_not_dumpable, 1);
    ckpt_call(__NR_prctl, SET_DUMPABLE, 1);
}

void ckpt_leave_standing(void) {
    if (ckpt_exchange(&ckpt_control()->was_not_dumpable, 0)) ckpt_call(__NR_prctl, SET_DUMPABLE, 0);
}
