// SPDX-License-Identifier: Apache-2.0
// Captures an eventfd from its fdinfo.
// Signal time: safe. Parses text in the arena.
#include "engine.h"

int ckpt_capture_eventfd(struct ckpt_checkpoint *c, struct ckpt_descriptor *d, const char *fdinfo) {
    struct ckpt_eventfd *e = &c->eventfds[c->eventfd_count];
    uint64_t semaphore = 0;
    *e = (struct ckpt_eventfd){0, 0, 0};
    ckpt_find_field(fdinfo, "eventfd-count:", 16, &e->count); // since 3.8, hexadecimal
    ckpt_find_field(fdinfo, "eventfd-semaphore:", 10, &semaphore); // since 6.5
    e->semaphore = (uint32_t)semaphore;
    d->detail = c->eventfd_count++;
    return 0;
}
