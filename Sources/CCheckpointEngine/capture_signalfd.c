// SPDX-License-Identifier: Apache-2.0
// Captures a signalfd from its fdinfo (since 3.8): which signals it reads. What it would read is pending in the program.
// Signal time: safe. Parses text in the arena.
#include "engine.h"

int ckpt_capture_signalfd(struct ckpt_checkpoint *c, struct ckpt_descriptor *d, const char *fdinfo) {
    struct ckpt_signalfd *s = &c->signalfds[c->signalfd_count];
    s->mask = 0;
    if (!ckpt_find_field(fdinfo, "sigmask:", 16, &s->mask)) return -CKPT_EINVAL_ERRNO;
    d->detail = c->signalfd_count++;
    return 0;
}
