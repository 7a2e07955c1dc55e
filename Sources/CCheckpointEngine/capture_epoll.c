// SPDX-License-Identifier: Apache-2.0
// Captures the entries of an epoll from its fdinfo.
// Signal time: safe. Parses text in the arena.
#include "engine.h"

static const char *field(const char *line, const char *name, unsigned base, uint64_t *number) {
    size_t length = ckpt_length(name);
    while (*line && *line != '\n' && !ckpt_same(line, name, length)) line++;
    if (*line == 0 || *line == '\n') return line;
    line += length;
    while (*line == ' ') line++;
    return ckpt_number(line, base, number);
}

// "tfd:        5 events:       19 data:                5  pos:0 ino:1a2b sdev:fd00" (ino and sdev since 4.12)
int ckpt_capture_epoll(struct ckpt_checkpoint *c, struct ckpt_descriptor *d, const char *fdinfo) {
    for (const char *line = fdinfo; *line;) {
        if (ckpt_same(line, "tfd:", 4)) {
            struct ckpt_epoll_entry *entry = ckpt_extend(&c->tables, sizeof *entry);
            if (!entry) { c->step = CKPT_STEP_ARENA; return -CKPT_ENOMEM; }
            uint64_t target = 0, events = 0;
            ckpt_memset(entry, 0, sizeof *entry);
            line = field(line, "tfd:", 10, &target);
            line = field(line, "events:", 16, &events);
            line = field(line, "data:", 16, &entry->data);
            line = field(line, "ino:", 16, &entry->inode);
            line = field(line, "sdev:", 16, &entry->device);
            // Kernel: s_dev as the kernel keeps it, major << 20 | minor (fs/eventpoll.c); here as stat gives it.
            uint64_t major = entry->device >> 20, minor = entry->device & 0xfffff;
            entry->device = (minor & 0xff) | (major & 0xfff) << 8 | (minor & ~0xffull) << 12;
            entry->epoll = d->number;
            entry->target = (int32_t)target;
            entry->events = (uint32_t)events;
            c->epoll_count++;
        }
        while (*line && *line != '\n') line++;
        if (*line) line++;
    }
    return 0;
}
