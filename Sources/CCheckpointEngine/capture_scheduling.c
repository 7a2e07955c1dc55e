// SPDX-License-Identifier: Apache-2.0
// Captures how the kernel runs each thread: class, nice value, processors, I/O priority, timer slack.
// Signal time: safe. Asks the kernel by thread id, in the scribe while the program is frozen; three calls for each thread.
#include "engine.h"

// Kernel: struct sched_attr of include/uapi/linux/sched/types.h, as it was first (SCHED_ATTR_SIZE_VER0, since 3.14).
struct sched_attr {
    uint32_t byte_count, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
};
_Static_assert(sizeof(struct sched_attr) == 48, "the kernel");

// Kernel: since 6.12 `runtime` of an ordinary thread is its time slice, which it may choose; 0 sets that of the system
// (__setparam_fair), which depends on the number of processors. So this task takes that one, and is asked.
static uint64_t ordinary_slice(void) {
    struct sched_attr own;
    ckpt_memset(&own, 0, sizeof own);
    if (ckpt_call(__NR_sched_getattr, 0, &own, sizeof own, 0) < 0 || !own.runtime) return 0;
    own.runtime = 0;
    if (ckpt_call(__NR_sched_setattr, 0, &own, 0) < 0 || ckpt_call(__NR_sched_getattr, 0, &own, sizeof own, 0) < 0) return 0;
    return own.runtime;
}

// What is nothing special here. Every processor that the process may have is what its cpuset allows: a thread that may run on all of
// these was never confined, and goes on so on a host that has more. Kernel: sched_setaffinity cuts a mask to the cpuset; this
// task's own is put back.
void ckpt_find_ordinary(struct ckpt_checkpoint *c) {
    c->slice_ns = ordinary_slice();
    uint64_t before[CKPT_PROCESSOR_BYTES / 8] = {0}, all[CKPT_PROCESSOR_BYTES / 8];
    ckpt_memset(all, 0xff, sizeof all);
    ckpt_memset(c->processors, 0, sizeof c->processors);
    // Kernel: EINVAL where masks are longer than this: more than 1,024 processors.
    if (ckpt_call(__NR_sched_getaffinity, 0, sizeof before, before) < 0) return;
    if (ckpt_call(__NR_sched_setaffinity, 0, sizeof all, all) < 0) return;
    ckpt_call(__NR_sched_getaffinity, 0, sizeof c->processors, c->processors);
    ckpt_call(__NR_sched_setaffinity, 0, sizeof before, before);
}

static void note_processors(struct ckpt_checkpoint *c, struct ckpt_scheduling *s) {
    uint64_t mask[CKPT_PROCESSOR_BYTES / 8] = {0}, different = 0, known = 0;
    if (ckpt_call(__NR_sched_getaffinity, s->tid, sizeof mask, mask) < 0) return;
    for (uint32_t i = 0; i < CKPT_PROCESSOR_BYTES / 8; i++) {
        different |= mask[i] ^ c->processors[i];
        known |= c->processors[i];
    }
    if (!different || !known) return;
    ckpt_memcpy(s->processors, mask, sizeof mask);
    s->processor_byte_count = CKPT_PROCESSOR_BYTES;
}

int ckpt_capture_schedulings(struct ckpt_checkpoint *c) {
    struct ckpt_control *control = ckpt_control();
    uint32_t claimed = control->slot_count - control->slot_first;
    c->scheduling_count = 0;
    c->schedulings = ckpt_take(&c->tables, (uint64_t)c->thread_count * sizeof *c->schedulings);
    if (!c->schedulings) { c->step = CKPT_STEP_ARENA; return -CKPT_ENOMEM; }
    ckpt_memset(c->schedulings, 0, (uint64_t)c->thread_count * sizeof *c->schedulings);
    for (uint32_t i = 0; i < claimed && i < CKPT_SLOT_COUNT && c->scheduling_count < c->thread_count; i++) {
        const struct ckpt_slot *slot = ckpt_slot(control->slot_first + i);
        if (slot->ready != control->epoch) continue;
        struct ckpt_scheduling *s = &c->schedulings[c->scheduling_count++];
        struct sched_attr attributes;
        ckpt_memset(&attributes, 0, sizeof attributes);
        s->tid = slot->tid;
        s->timer_slack_ns = slot->timer_slack_ns;
        if (ckpt_call(__NR_sched_getattr, slot->tid, &attributes, sizeof attributes, 0) == 0) {
            s->policy = attributes.policy;
            s->flags = (uint32_t)attributes.flags;
            s->nice = attributes.nice;
            s->priority = attributes.priority;
            s->runtime_ns = attributes.policy != 6 && attributes.runtime == c->slice_ns ? 0 : attributes.runtime; // SCHED_DEADLINE
            s->deadline_ns = attributes.deadline;
            s->period_ns = attributes.period;
        }
        long io_priority = ckpt_call(__NR_ioprio_get, 1 /* IOPRIO_WHO_PROCESS */, slot->tid);
        // Kernel: before 5.19 a thread without one of its own shows the class "none" with a level.
        s->io_priority = io_priority >> 13 > 0 ? (uint32_t)io_priority : 0;
        note_processors(c, s);
    }
    return 0;
}
