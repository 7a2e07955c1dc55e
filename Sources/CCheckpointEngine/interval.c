// SPDX-License-Identifier: Apache-2.0
// Intervals: the timer of the periodic checkpoint, the best interval after Young and Daly, and the least time between two.
// Signal time: safe. System calls and integers only; a timer is made and set by threads of the program, because it belongs to them.
#include "engine.h"

// struct sigevent and struct itimerspec of the kernel.
struct event { uint64_t value; int32_t signal, notify; uint8_t rest[48]; };
struct setting { struct ckpt_timespec interval, value; };
_Static_assert(sizeof(struct event) == 64, "the kernel");

#define FIRST_COST_NS 100000000ull      // taken for the cost until one is known
#define INTERVAL_MIN_NS 1000000000ull   // of an interval that is found

// The timer's signals carry this value: the program may have timers of its own with the same signal.
static uint64_t token(void) { return (uint64_t)&ckpt_state.live.restart; }

int ckpt_is_periodic(const struct ckpt_siginfo *info) { return info->code == -2 /* SI_TIMER */ && info->value == token(); }

// Square root, rounded down. Without a division: that of 128 bits would be a call of the compiler's library.
static uint64_t square_root(unsigned __int128 square) {
    uint64_t root = 0;
    for (int bit = 63; bit >= 0; bit--) {
        uint64_t next = root | 1ull << bit;
        if ((unsigned __int128)next * next <= square) root = next;
    }
    return root;
}

// From one request to the next, the checkpoint included. Young (1974): √(2CM). Daly (2006), of higher order:
// √(2CM) · (1 + √(C/2M)/3 + C/2M/9) for C < 2M, otherwise M; multiplied out, the second term is C/3.
uint64_t ckpt_optimal_interval(uint64_t cost_ns, uint64_t failure_ns) {
    const uint64_t cost_max = 1ull << 43, failure_max = 1ull << 62; // 2.4 hours, 146 years
    uint64_t cost = cost_ns < cost_max ? cost_ns : cost_max, failure = failure_ns < failure_max ? failure_ns : failure_max;
    if (failure == 0 || cost >= 2 * failure) return failure;
    uint64_t young = square_root((unsigned __int128)(2 * cost) * failure);
    uint64_t ratio = (cost << 20) / failure; // C/M in units of 2^-20: below 2
    return young + cost / 3 + (uint64_t)(((unsigned __int128)young * ratio) >> 20) / 18;
}

static uint64_t larger(uint64_t a, uint64_t b) { return a > b ? a : b; }

static void set(uint64_t interval_ns) {
    struct ckpt_restart_context *context = &ckpt_state.live.restart;
    struct ckpt_timespec time = {(int64_t)(interval_ns / 1000000000ull), (int64_t)(interval_ns % 1000000000ull)};
    struct setting setting = {time, time};
    context->interval_ns = interval_ns;
    ckpt_call(__NR_timer_settime, context->interval_timer, 0, &setting, NULL);
}

int ckpt_prepare_interval(const struct ckpt_plan *plan) {
    struct ckpt_restart_context *context = &ckpt_state.live.restart;
    context->interval_ns = 0;
    context->interval_timer = -1;
    ckpt_state.next_interval_ns = 0;
    if (plan->interval_ns == 0 && plan->failure_ns == 0) return 0;
    struct event event = {token(), plan->signal, 0 /* SIGEV_SIGNAL */, {0}};
    context->interval_signal = plan->signal;
    return (int)ckpt_call(__NR_timer_create, CKPT_CLOCK_MONOTONIC, &event, &context->interval_timer);
}

void ckpt_start_interval(void) {
    const struct ckpt_plan *plan = &ckpt_state.plan;
    if (ckpt_state.live.restart.interval_timer < 0) return;
    uint64_t cost = ckpt_state.cost_ns ? ckpt_state.cost_ns : FIRST_COST_NS;
    set(plan->failure_ns == 0 ? plan->interval_ns
        : larger(ckpt_optimal_interval(cost, plan->failure_ns), larger(INTERVAL_MIN_NS, plan->minimum_interval_ns)));
}

void ckpt_stop_interval(void) {
    struct ckpt_restart_context *context = &ckpt_state.live.restart;
    if (context->interval_ns == 0) return;
    context->interval_ns = 0;
    if (context->interval_timer >= 0) ckpt_call(__NR_timer_delete, context->interval_timer);
    context->interval_timer = -1;
}

void ckpt_renew_interval(void) {
    struct ckpt_restart_context *context = &ckpt_state.live.restart;
    uint64_t next = ckpt_exchange(&ckpt_state.next_interval_ns, 0);
    if (next && context->interval_ns && context->interval_timer >= 0) set(next);
}

int ckpt_too_soon(struct ckpt_checkpoint *c, int exit_after) {
    int periodic = ckpt_exchange(&ckpt_control()->periodic_requested, 0) != 0;
    uint64_t least = ckpt_state.plan.minimum_interval_ns, before = ckpt_load(&ckpt_state.durable_ns);
    if (exit_after || periodic || least == 0 || before == 0) return 0;
    if (ckpt_clock(CKPT_CLOCK_MONOTONIC) - before >= least) return 0;
    c->report.outcome = CKPT_OUTCOME_TOO_SOON;
    return -CKPT_EBUSY_ERRNO;
}

void ckpt_note_durable(struct ckpt_checkpoint *c) {
    uint64_t now = ckpt_clock(CKPT_CLOCK_MONOTONIC), failure = ckpt_state.plan.failure_ns;
    ckpt_store(&ckpt_state.durable_ns, now);
    // What the requester named is no part of the chain: the next increment does not build on it.
    if (!c->named) ckpt_exclusions_settle(c->exclusion_mark);
    if (failure == 0) return;
    // Where nobody has measured the slowdown, an eighth of the time of writing is taken for it.
    uint64_t cost = ckpt_load(&ckpt_state.cost_ns);
    if (cost == 0) cost = c->report.pause_ns + c->report.write_ns / 8;
    // One at a time: not before this one would have been durable twice.
    uint64_t least = larger(larger(INTERVAL_MIN_NS, ckpt_state.plan.minimum_interval_ns), 2 * (now - ckpt_control()->began_ns));
    ckpt_store(&ckpt_state.next_interval_ns, larger(ckpt_optimal_interval(cost, failure), least));
}
