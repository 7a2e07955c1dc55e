// SPDX-License-Identifier: Apache-2.0
// Captures sockets: today those that have no state yet, Unix sockets that are neither bound nor connected.
// Signal time: safe. Parses /proc/PID/net/unix in the arena while the program is frozen.
//
// Why these: libdispatch's workers write to syslog as soon as they are not allowed to raise their priority, and a
// checkpoint may fall between their socket and connect.
#include "engine.h"

// "Num RefCount Protocol Flags Type St Inode Path": "0000000000000000: 00000002 00000000 00000000 0001 01 23456"
static const char *next_field(const char *at) {
    while (*at && *at != ' ' && *at != '\n') at++;
    while (*at == ' ') at++;
    return at;
}

int ckpt_capture_socket(struct ckpt_checkpoint *c, struct ckpt_descriptor *d) {
    char path[64], *end = path + sizeof path;
    char *text = (char *)(ckpt_arena + CKPT_SCRATCH_OFFSET + (3 << 20));
    char *to = ckpt_append_number(ckpt_append(path, end, "task/"), end, (uint64_t)c->live_tid, 10, 1);
    ckpt_append(to, end, "/net/unix");
    if (ckpt_read_text(c->proc, path, text, 1 << 20) > 0)
        for (const char *line = text; *line;) {
            uint64_t type = 0, state = 0, inode = 0;
            const char *at = next_field(next_field(next_field(next_field(line))));
            ckpt_number(at, 16, &type);
            at = next_field(at);
            ckpt_number(at, 16, &state);
            at = next_field(at);
            const char *rest = ckpt_number(at, 10, &inode);
            // Kernel: St 01 is SS_UNCONNECTED; flag 00010000 (SO_ACCEPTCON) marks a listener; the path follows when bound.
            if (inode == d->inode && at != rest) {
                if (state == 1 && *rest == '\n' && type <= 5) {
                    d->flags |= CKPT_DESCRIPTOR_UNCONNECTED;
                    d->detail = (uint32_t)type;
                    return 0;
                }
                break;
            }
            while (*line && *line != '\n') line++;
            if (*line) line++;
        }
    c->unsupported_count++;
    return 0;
}
