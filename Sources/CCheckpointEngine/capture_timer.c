// SPDX-License-Identifier: Apache-2.0
// Captures the POSIX timers and the interval timers.
// Signal time: safe. The scribe reads /proc/PID/timers; what only a thread of the program can ask, the captor does.
//
// Kernel: /proc/PID/timers (since 3.10, CONFIG_CHECKPOINT_RESTORE) has a timer's id, signal, value, target and clock (fs/proc/base.c,
// show_timer). The rest of the time and the overruns are told to threads of the process alone (timer_gettime(2)). Nothing tells
// whether a timer was set to a date: what remains is all that is known.
#include "engine.h"

#define TEXT_BYTES (1u << 20)
#define SIGEV_THREAD_ID 4u
#define SI_TIMER (-2)
#define SIGNAL_ALARM 14

struct setting { struct ckpt_timespec interval, value; };

static uint64_t nanoseconds(const struct ckpt_timespec *time) { return (uint64_t)time->seconds * 1000000000ull + (uint64_t)time->nanoseconds; }

void ckpt_ask_timers(void) {
    struct ckpt_control *control = ckpt_control();
    struct ckpt_timer *timers = (struct ckpt_timer *)control->timers;
    control->timer_error = 0;
    for (int which = 0; which < 3; which++) {
        ckpt_memset(control->itimers[which], 0, sizeof control->itimers[which]);
        ckpt_call(__NR_getitimer, which, control->itimers[which]);
    }
    for (uint32_t i = 0; i < control->timer_count; i++) {
        struct setting setting = {{0, 0}, {0, 0}};
        long result = ckpt_call(__NR_timer_gettime, timers[i].id, &setting), overrun = ckpt_call(__NR_timer_getoverrun, timers[i].id);
        if (result < 0) { control->timer_error = (int32_t)result; return; }
        timers[i].value_ns = nanoseconds(&setting.value);
        timers[i].interval_ns = nanoseconds(&setting.interval);
        timers[i].overrun = overrun > 0 ? (uint32_t)overrun : 0;
    }
    control->timers_ns = ckpt_clock(CKPT_CLOCK_MONOTONIC);
}

static const char *signed_number(const char *text, int32_t *number) {
    uint64_t value = 0;
    int negative = *text == '-';
    text = ckpt_number(text + negative, 10, &value);
    *number = negative ? -(int32_t)value : (int32_t)value;
    return text;
}

static const char *behind(const char *line, const char *field) {
    size_t length = ckpt_length(field);
    return ckpt_same(line, field, length) ? line + length : NULL;
}

// "ID: 3", "signal: 34/00007ffc3a1e45d0", "notify: signal/tid.2634", "ClockID: 1". A timer begins with its id.
static int parse(struct ckpt_checkpoint *c, const char *text) {
    struct ckpt_timer *t = NULL;
    for (const char *line = text; *line;) {
        const char *at;
        if ((at = behind(line, "ID: "))) {
            t = ckpt_extend(&c->tables, sizeof *t);
            if (!t) { c->step = CKPT_STEP_ARENA; return -CKPT_ENOMEM; }
            ckpt_memset(t, 0, sizeof *t);
            signed_number(at, &t->id);
            c->timer_count++;
        } else if (t && (at = behind(line, "signal: "))) {
            at = signed_number(at, &t->signal);
            if (*at == '/') ckpt_number(at + 1, 16, &t->value);
        } else if (t && (at = behind(line, "notify: "))) {
            t->notify = *at == 'n' ? 1 : *at == 't' ? 2 : 0;
            while (*at && *at != '\n' && *at != '/') at++;
            if ((at = behind(at, "/tid."))) {
                signed_number(at, &t->tid);
                t->notify |= SIGEV_THREAD_ID;
            }
        } else if (t && (at = behind(line, "ClockID: "))) {
            signed_number(at, &t->clock);
            // The periodic checkpoint's is the engine's own (interval.c).
            if (t->value == (uint64_t)&ckpt_state.live.restart) { c->timer_count--; c->tables.used -= sizeof *t; }
            t = NULL;
        }
        while (*line && *line != '\n') line++;
        if (*line) line++;
    }
    return t ? -CKPT_EINVAL_ERRNO : 0;
}

int ckpt_capture_timers(struct ckpt_checkpoint *c) {
    struct ckpt_control *control = ckpt_control();
    char *text = (char *)(ckpt_arena + CKPT_SCRATCH_OFFSET);
    c->timers = ckpt_take(&c->tables, 0);
    if (!c->timers) { c->step = CKPT_STEP_ARENA; return -CKPT_ENOMEM; }
    long length = ckpt_read_text(c->proc, "timers", text, TEXT_BYTES);
    if (length == TEXT_BYTES - 1) return -7; // E2BIG: some ten thousand
    int error = length < 0 ? (length == -CKPT_ENOENT ? 0 : (int)length) : parse(c, text);
    if (error < 0 || !c->frozen) return error;
    control->timers = (uint64_t)c->timers;
    control->timer_count = c->timer_count;
    return 0;
}

static int is_thread(struct ckpt_checkpoint *c, int32_t tid) {
    for (uint32_t i = 0; i < c->thread_count; i++) if (c->threads[i].tid == tid) return 1;
    return 0;
}

// What is left of a timer's time, whose signal was found pending: as it was when the captor asked, unless it has expired since. What a
// periodic one counted until its signal was taken is in the signal.
static uint64_t settled(uint64_t value_ns, uint64_t interval_ns, uint64_t elapsed_ns, uint64_t slack_ns) {
    if (value_ns > elapsed_ns + (interval_ns ? 0 : slack_ns)) return value_ns;
    return interval_ns ? interval_ns - (elapsed_ns - value_ns) % interval_ns : 0;
}

static void settle_timer(struct ckpt_checkpoint *c, const struct ckpt_siginfo *info, uint64_t elapsed_ns) {
    for (uint32_t i = 0; info->code == SI_TIMER && i < c->timer_count; i++) {
        struct ckpt_timer *t = &c->timers[i];
        if (t->id != info->pid /* si_timerid */ || t->signal != info->number) continue;
        // CPU time stands still in a freeze.
        if (t->clock >= 0) t->value_ns = settled(t->value_ns, t->interval_ns, elapsed_ns, 1000000);
        else if (t->interval_ns == 0) t->value_ns = 0;
        return;
    }
}

static void settle_itimers(struct ckpt_checkpoint *c, int is_alarm_pending, uint64_t elapsed_ns) {
    for (uint32_t which = 0; which < 3; which++) {
        const int64_t *time = ckpt_control()->itimers[which]; // struct itimerval: interval, value
        uint64_t interval_ns = (uint64_t)time[0] * 1000000000ull + (uint64_t)time[1] * 1000;
        uint64_t value_ns = (uint64_t)time[2] * 1000000000ull + (uint64_t)time[3] * 1000;
        // Kernel: a periodic one stands still until its signal is taken.
        if (which == 0 && is_alarm_pending && value_ns <= elapsed_ns + 20000) value_ns = 0;
        if (value_ns || interval_ns) c->itimers[c->itimer_count++] = (struct ckpt_itimer){which, 0, value_ns, interval_ns};
    }
}

int ckpt_settle_timers(struct ckpt_checkpoint *c) {
    struct ckpt_control *control = ckpt_control();
    if (control->timer_error < 0) return control->timer_error;
    for (uint32_t i = 0; i < c->timer_count; i++) {
        struct ckpt_timer *t = &c->timers[i];
        if (!(t->notify & SIGEV_THREAD_ID)) continue;
        t->tid = ckpt_own_tid(c, t->tid);
        if (!is_thread(c, t->tid)) t->tid = 0; // it has ended: nobody gets the signal
    }
    uint64_t alarm_ns = ckpt_clock(CKPT_CLOCK_MONOTONIC) - control->timers_ns;
    for (uint32_t i = 0; i < c->queued_count; i++) {
        struct ckpt_signal_queued *record = &c->queued[i];
        const struct ckpt_siginfo *info = (const struct ckpt_siginfo *)record->information;
        uint64_t elapsed_ns = record->reserved * 1024ull;
        record->reserved = 0;
        if (info->number == SIGNAL_ALARM) alarm_ns = elapsed_ns;
        settle_timer(c, info, elapsed_ns);
    }
    settle_itimers(c, (c->process.pending_signals >> (SIGNAL_ALARM - 1)) & 1, alarm_ns);
    return 0;
}
