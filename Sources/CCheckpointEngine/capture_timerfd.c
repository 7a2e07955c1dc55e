// SPDX-License-Identifier: Apache-2.0
// Captures a timerfd from its fdinfo (since 3.17): remaining time also for absolute timers.
// Signal time: safe. Parses text in the arena.
#include "engine.h"

// "it_value: (0, 49406829)"
static uint64_t time_of(const char *text, const char *field) {
    size_t length = ckpt_length(field);
    for (const char *line = text; *line;) {
        if (ckpt_same(line, field, length)) {
            uint64_t seconds, nanoseconds;
            line += length;
            while (*line == ' ' || *line == '\t' || *line == '(') line++;
            line = ckpt_number(line, 10, &seconds);
            while (*line == ',' || *line == ' ') line++;
            ckpt_number(line, 10, &nanoseconds);
            return seconds * 1000000000ull + nanoseconds;
        }
        while (*line && *line != '\n') line++;
        if (*line) line++;
    }
    return 0;
}

// Kernel: a periodic timer that has expired stands still until it is asked; how often it expired is counted only then
// (fs/timerfd.c, timerfd_do_gettime). Asked through a duplicate (pidfd_getfd, since 5.6), nothing changes for the program.
static const char *asked_again(struct ckpt_checkpoint *c, int number, const char *fdinfo) {
    int64_t setting[4];
    long process = ckpt_call(434 /* pidfd_open */, c->pid, 0);
    long copy = process < 0 ? process : ckpt_call(438 /* pidfd_getfd */, process, number, 0);
    long result = copy < 0 ? copy : ckpt_call(__NR_timerfd_gettime, copy, setting);
    if (copy >= 0) ckpt_close((int)copy);
    if (process >= 0) ckpt_close((int)process);
    if (result < 0) return fdinfo;
    char path[64], *end = path + sizeof path, *text = (char *)(ckpt_arena + CKPT_SCRATCH_OFFSET + (3 << 20));
    ckpt_append_number(ckpt_append(ckpt_append_number(ckpt_append(path, end, "task/"), end, (uint64_t)c->live_tid, 10, 1), end, "/fdinfo/"), end, (uint64_t)number, 10, 1);
    return ckpt_read_text(c->proc, path, text, 1 << 16) < 0 ? fdinfo : text;
}

int ckpt_capture_timerfd(struct ckpt_checkpoint *c, struct ckpt_descriptor *d, const char *fdinfo) {
    struct ckpt_timerfd *t = &c->timerfds[c->timerfd_count];
    uint64_t clock = 0, settime_flags = 0;
    ckpt_memset(t, 0, sizeof *t);
    ckpt_find_field(fdinfo, "ticks:", 10, &t->ticks);
    if (t->ticks > 0 && time_of(fdinfo, "it_interval:") > 0) fdinfo = asked_again(c, d->number, fdinfo);
    ckpt_find_field(fdinfo, "clockid:", 10, &clock);
    ckpt_find_field(fdinfo, "ticks:", 10, &t->ticks);
    ckpt_find_field(fdinfo, "settime flags:", 8, &settime_flags);
    t->clock = (int32_t)clock;
    t->settime_flags = (uint32_t)settime_flags;
    t->value_ns = time_of(fdinfo, "it_value:");
    t->interval_ns = time_of(fdinfo, "it_interval:");
    // Order: behind the rest of the time, so that their sum, an absolute timer's date, is never early.
    t->clock_ns = ckpt_clock(t->clock);
    d->detail = c->timerfd_count++;
    return 0;
}
