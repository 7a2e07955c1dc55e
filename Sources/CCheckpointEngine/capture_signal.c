// SPDX-License-Identifier: Apache-2.0
// Captures the signal actions, and what is said of the signals that are pending.
// Signal time: safe. Runs in parked threads of the program: the scribe has only a copy of the actions, and none of the queues.
//
// Kernel: which signals are pending is in /proc; what is queued with them (sigqueue's value, the sender, how often a real-time
// signal is there) is only told to who takes it out (rt_sigtimedwait), or to a debugger (PTRACE_PEEKSIGINFO), which the host may
// forbid. So the thread takes its signals and queues them again as they were, in the same order: with whatever si_code, a thread may
// send to itself, and the first thread to the process (kernel/signal.c, do_rt_sigqueueinfo). When the first thread has ended, those
// of the process stay where they are, and the image says of them that they are pending and no more.
//
// Kernel: the signal of a POSIX timer is the timer's own, and counts what expires while it is pending. Taking it sets the timer
// going again; what is queued then is a signal like others, and an expiration behind it is another signal. Two of one timer become one
// here, so that there are never more than two.
#include "engine.h"

// `actions` has room for 64.
void ckpt_capture_signals(struct ckpt_signal_action *actions) {
    // The program may have installed a handler of its own since.
    if (ckpt_guard_is_open()) ckpt_guard_install();
    for (uint32_t number = 1; number <= 64; number++) {
        struct ckpt_kernel_action now = {0, 0, 0, 0};
        ckpt_sigaction((int)number, NULL, &now);
        // The handler of the tracker stands before the program's own, which is what a restarted program has.
        if (now.handler == (uint64_t)ckpt_guard_entry) now = ckpt_guard()->before;
        actions[number - 1] = (struct ckpt_signal_action){number, 0, now.handler, now.flags, now.restorer, now.mask};
    }
}

#define QUEUED_MAX 32768u
#define CODE_TIMER (-2)
#define FIRST_REAL_TIME 32u
struct queue {
    uint32_t lock;                  // of the threads; the scribe does not touch the records
    uint32_t count;
    int32_t error, reserved;
    struct ckpt_signal_queued records[QUEUED_MAX];
};

static uint64_t bit(int number) { return number > 0 ? 1ull << (number - 1) : 0; }

// Not those that ask for checkpoints, nor the park signal; KILL and STOP are never taken.
uint64_t ckpt_of_program(uint64_t signals) {
    const struct ckpt_plan *plan = &ckpt_state.plan;
    return signals & ~(bit(plan->signal) | bit(plan->exit_signal) | bit(CKPT_PARK_SIGNAL) | bit(9) | bit(19));
}

static struct ckpt_siginfo *information(struct ckpt_signal_queued *record) { return (struct ckpt_siginfo *)record->information; }

// In SI_TIMER, where other signals have the sender: the timer's id, and how often it expired besides.
static int merge(struct ckpt_signal_queued *first, struct ckpt_signal_queued *record) {
    const struct ckpt_siginfo *info = information(record);
    if (info->code != CODE_TIMER) return 0;
    for (uint32_t i = 1; i <= 64 && record - i >= first; i++) {
        struct ckpt_siginfo *before = information(record - i);
        if (before->code != CODE_TIMER || before->number != info->number || before->pid != info->pid
            || before->value != info->value || (record - i)->tid != record->tid) continue;
        before->uid += info->uid + 1;
        (record - i)->reserved = record->reserved;
        return 1;
    }
    return 0;
}

// Kernel: the thread's own signals come first.
static void take(struct ckpt_slot *slot, struct queue *queue, uint32_t number) {
    uint64_t set = bit((int)number), all = slot->pending | slot->shared_pending;
    const struct ckpt_timespec now = {0, 0};
    for (uint32_t turn = 0; all & set; turn++) {
        if (queue->count == QUEUED_MAX) { queue->error = -7; return; } // E2BIG
        struct ckpt_signal_queued *record = &queue->records[queue->count];
        if (ckpt_call(__NR_rt_sigtimedwait, &set, record->information, &now, 8) < 0) return;
        // When, in units of 1,024 ns, for ckpt_settle_timers.
        record->reserved = (uint32_t)((ckpt_clock(CKPT_CLOCK_MONOTONIC) - ckpt_control()->timers_ns) / 1024);
        // An ordinary signal is pending once for the thread. Of a real-time signal that is pending for both, nothing tells which
        // is whose: all become the thread's, which changes nothing for a thread that is alone.
        record->tid = slot->pending & set && (!(slot->shared_pending & set) || number >= FIRST_REAL_TIME || turn == 0) ? slot->tid : 0;
        if (!merge(&queue->records[slot->taken_first], record)) queue->count++;
    }
}

static int queue_again(struct ckpt_signal_queued *record) {
    long pid = ckpt_getpid(), number = information(record)->number;
    long result = record->tid ? ckpt_call(__NR_rt_tgsigqueueinfo, pid, record->tid, number, record->information)
        : ckpt_call(__NR_rt_sigqueueinfo, pid, number, record->information);
    if (result == 0) return 0;
    // Kernel: when too many are queued (RLIMIT_SIGPENDING), an ordinary signal comes without what is said of it.
    if (record->tid) ckpt_call(__NR_tgkill, pid, record->tid, number); else ckpt_call(__NR_kill, pid, number);
    return (int)result;
}

void ckpt_give_back(struct ckpt_slot *slot) {
    struct queue *queue = (struct queue *)ckpt_control()->queue;
    for (uint32_t i = 0; i < slot->taken_count; i++) {
        int error = queue_again(&queue->records[slot->taken_first + i]);
        if (error < 0) queue->error = error;
    }
    slot->taken_count = 0;
}

void ckpt_move_pending(struct ckpt_slot *slot) {
    struct queue *queue = (struct queue *)ckpt_control()->queue;
    uint32_t asked = ckpt_load(&slot->asked);
    if (asked & CKPT_ASKED_TAKE) {
        while (ckpt_exchange(&queue->lock, 1)) ckpt_yield();
        slot->taken_first = queue->count;
        for (uint32_t number = 1; number <= 64; number++) take(slot, queue, number);
        slot->taken_count = queue->count - slot->taken_first;
        ckpt_store(&queue->lock, 0);
    }
    if (asked & CKPT_ASKED_GIVE_BACK) ckpt_give_back(slot);
    ckpt_store(&slot->asked, CKPT_ASKED_NOTHING);
    ckpt_futex_wake(&slot->asked);
}

static int await(struct ckpt_checkpoint *c, struct ckpt_slot *slot) {
    struct ckpt_control *control = ckpt_control();
    for (uint32_t asked; (asked = ckpt_load(&slot->asked)) != CKPT_ASKED_NOTHING;) {
        if (ckpt_call(__NR_getppid) != c->pid) return -CKPT_ESRCH;
        // Again each time: the word on which it sleeps does not change, so it may have missed the last.
        ckpt_futex_wake(&control->epoch);
        ckpt_futex_wake(&control->command);
        ckpt_futex_wait(&slot->asked, asked, 1000000);
    }
    return 0;
}

static int ask(struct ckpt_checkpoint *c, struct ckpt_slot *slot, enum ckpt_asked asked) {
    ckpt_store(&slot->asked, asked);
    return await(c, slot);
}

int ckpt_capture_queued(struct ckpt_checkpoint *c) {
    struct ckpt_control *control = ckpt_control();
    struct ckpt_slot *leader = NULL;
    uint32_t claimed = control->slot_count - control->slot_first, others = 0;
    // glibc's own two are pending for a thread, never for the process.
    uint64_t shared = ckpt_of_program(c->process.pending_signals) & ~bit(32);
    for (uint32_t s = 0; s < claimed && s < CKPT_SLOT_COUNT; s++) {
        struct ckpt_slot *slot = ckpt_slot(control->slot_first + s);
        if (slot->ready != control->epoch) continue;
        slot->shared_pending = 0;
        if (slot->tid == c->pid) leader = slot; else others += slot->pending != 0;
    }
    if (leader) leader->shared_pending = shared;
    int leader_has = leader && (shared | leader->pending);
    if (!leader_has && !others) return 0;
    struct queue *queue = ckpt_take(&c->tables, sizeof *queue);
    if (!queue) { c->step = CKPT_STEP_ARENA; return -CKPT_ENOMEM; }
    queue->lock = queue->count = 0;
    queue->error = 0;
    control->queue = (uint64_t)queue;
    // Order: while the others take theirs, those of the process are out of the way, or they would take these too.
    int error = leader_has ? ask(c, leader, CKPT_ASKED_TAKE) : 0;
    for (int waits = 0; waits < 2 && others && error == 0; waits++)
        for (uint32_t s = 0; s < claimed && s < CKPT_SLOT_COUNT && error == 0; s++) {
            struct ckpt_slot *slot = ckpt_slot(control->slot_first + s);
            if (slot->ready != control->epoch || slot == leader || !slot->pending) continue;
            if (waits) error = await(c, slot); else ckpt_store(&slot->asked, CKPT_ASKED_BOTH);
        }
    if (leader_has && error == 0) error = ask(c, leader, CKPT_ASKED_GIVE_BACK);
    c->queued = queue->records;
    c->queued_count = queue->count;
    c->tables.used -= (uint64_t)(QUEUED_MAX - queue->count) * sizeof *queue->records;
    return error < 0 ? error : queue->error;
}
