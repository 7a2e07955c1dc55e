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

int ckpt_capture_timerfd(struct ckpt_checkpoint *c, struct ckpt_descriptor *d, const char *fdinfo) {
    struct ckpt_timerfd *t = &c->timerfds[c->timerfd_count];
    uint64_t clock = 0, settime_flags = 0;
    ckpt_memset(t, 0, sizeof *t);
    ckpt_find_field(fdinfo, "clockid:", 10, &clock);
    ckpt_find_field(fdinfo, "ticks:", 10, &t->ticks);
    ckpt_find_field(fdinfo, "settime flags:", 8, &settime_flags);
    t->clock = (int32_t)clock;
    t->settime_flags = (uint32_t)settime_flags;
    t->value_ns = time_of(fdinfo, "it_value:");
    t->interval_ns = time_of(fdinfo, "it_interval:");
    d->detail = c->timerfd_count++;
    return 0;
}
