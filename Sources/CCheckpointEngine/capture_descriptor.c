// SPDX-License-Identifier: Apache-2.0
// Captures the descriptors: what is common to all kinds, and which kind each is.
// Signal time: safe. Reads /proc/PID/fd and fdinfo of the program; runs in the scribe while the program is frozen.
#include "engine.h"

void ckpt_descriptor_path(struct ckpt_checkpoint *c, int number, char *buffer, size_t byte_count) {
    char *end = buffer + byte_count;
    // A leader that ended has no descriptors any more; each thread shows the same table.
    char *to = ckpt_append_number(ckpt_append(buffer, end, "task/"), end, (uint64_t)c->live_tid, 10, 1);
    ckpt_append_number(ckpt_append(to, end, "/fd/"), end, (uint64_t)number, 10, 1);
}

static int begins(const char *text, const char *start) { return ckpt_same(text, start, ckpt_length(start)); }

#define S_IFMT 0170000u
static uint32_t kind_of(const struct ckpt_stat *stat, const char *link) {
    switch (stat->mode & S_IFMT) {
    case 0100000: return begins(link, "/memfd:") ? CKPT_DESCRIPTOR_MEMFD : CKPT_DESCRIPTOR_FILE;
    case 0040000: return CKPT_DESCRIPTOR_DIRECTORY;
    case 0010000: return begins(link, "pipe:[") ? CKPT_DESCRIPTOR_PIPE : CKPT_DESCRIPTOR_FIFO;
    case 0140000: return CKPT_DESCRIPTOR_SOCKET;
    case 0020000: {
        uint64_t major = (stat->rdev >> 8) & 0xfff, minor = (stat->rdev & 0xff) | ((stat->rdev >> 12) & 0xffffff00);
        if (major == 1 && (minor == 3 || minor == 5 || minor == 7 || minor == 8 || minor == 9)) return CKPT_DESCRIPTOR_DEVICE;
        if (major == 4 || major == 5 || (major >= 136 && major <= 143)) return CKPT_DESCRIPTOR_TERMINAL;
        return CKPT_DESCRIPTOR_OTHER;
    }
    case 0: // anonymous inodes have no type
        if (begins(link, "anon_inode:[eventfd]")) return CKPT_DESCRIPTOR_EVENTFD;
        if (begins(link, "anon_inode:[eventpoll]")) return CKPT_DESCRIPTOR_EPOLL;
        if (begins(link, "anon_inode:[timerfd]")) return CKPT_DESCRIPTOR_TIMERFD;
        if (begins(link, "anon_inode:[signalfd]")) return CKPT_DESCRIPTOR_SIGNALFD;
        if (begins(link, "anon_inode:inotify")) return CKPT_DESCRIPTOR_INOTIFY;
        if (begins(link, "anon_inode:[pidfd]")) return CKPT_DESCRIPTOR_PIDFD;
        return CKPT_DESCRIPTOR_OTHER;
    default: return CKPT_DESCRIPTOR_OTHER;
    }
}

// Kernel: kcmp(KCMP_FILE) orders open file descriptions: 0 the same (since 3.5, CONFIG_KCMP). Without it, descriptors with
// one file and one position are taken for one description.
static int same_description(struct ckpt_checkpoint *c, const struct ckpt_descriptor *a, const struct ckpt_descriptor *b) {
    if (a->device != b->device || a->inode != b->inode || a->mode != b->mode || a->status_flags != b->status_flags) return 0;
    long order = ckpt_call(__NR_kcmp, c->pid, c->pid, 0, a->number, b->number);
    return order >= 0 ? order == 0 : a->position == b->position;
}

static void find_description(struct ckpt_checkpoint *c, struct ckpt_descriptor *d) {
    d->shared_with = d->number;
    for (uint32_t i = 0; i < c->descriptor_count; i++)
        if (c->descriptors[i].shared_with == c->descriptors[i].number && same_description(c, &c->descriptors[i], d)) {
            d->shared_with = c->descriptors[i].number;
            // A terminal is mostly one description under 0, 1 and 2: each stays the stream that it is.
            if (d->inherited < 0) d->inherited = c->descriptors[i].inherited;
            return;
        }
}

// A standard stream that the program was given: what 0–2 were at enable(), or at the restart.
static int32_t inherited_as(const struct ckpt_descriptor *d) {
    if (d->number > 2) return -1;
    const struct ckpt_restart_context *restart = &ckpt_state.live.restart;
    if (restart->restart_count) // the streams of enable() are those of another process
        return restart->stream_open[d->number] && restart->stream_device[d->number] == d->device
            && restart->stream_inode[d->number] == d->inode && restart->stream_mode[d->number] == d->mode ? d->number : -1;
    const struct ckpt_inherited_stream *stream = &ckpt_state.plan.inherited[d->number];
    return stream->open && stream->device == d->device && stream->inode == d->inode && stream->mode == d->mode ? d->number : -1;
}

static int capture_detail(struct ckpt_checkpoint *c, struct ckpt_descriptor *d, const char *fdinfo) {
    if (d->inherited >= 0) return 0;
    if (d->shared_with != d->number) { // described with the first of them
        for (uint32_t i = 0; i < c->descriptor_count; i++)
            if (c->descriptors[i].number == d->shared_with) {
                d->detail = c->descriptors[i].detail;
                d->flags = c->descriptors[i].flags;
                d->head_crc = c->descriptors[i].head_crc;
                d->tail_crc = c->descriptors[i].tail_crc;
            }
        return 0;
    }
    switch (d->kind) {
    case CKPT_DESCRIPTOR_FILE: return ckpt_capture_file(c, d);
    case CKPT_DESCRIPTOR_PIPE: return ckpt_capture_pipe(c, d);
    case CKPT_DESCRIPTOR_EVENTFD: return ckpt_capture_eventfd(c, d, fdinfo);
    case CKPT_DESCRIPTOR_TIMERFD: return ckpt_capture_timerfd(c, d, fdinfo);
    case CKPT_DESCRIPTOR_SIGNALFD: return ckpt_capture_signalfd(c, d, fdinfo);
    case CKPT_DESCRIPTOR_EPOLL: return ckpt_capture_epoll(c, d, fdinfo);
    case CKPT_DESCRIPTOR_SOCKET: return ckpt_capture_socket(c, d);
    case CKPT_DESCRIPTOR_DIRECTORY: case CKPT_DESCRIPTOR_DEVICE: case CKPT_DESCRIPTOR_FIFO: return 0;
    case CKPT_DESCRIPTOR_MEMFD: return 0; // capture_shared.c
    default: c->unsupported_count++; return 0;
    }
}

static int capture_one(struct ckpt_checkpoint *c, int number) {
    char path[64], *link = (char *)(ckpt_arena + CKPT_SCRATCH_OFFSET + (1 << 20));
    char *fdinfo = (char *)(ckpt_arena + CKPT_SCRATCH_OFFSET + (2 << 20));
    struct ckpt_stat stat;
    ckpt_descriptor_path(c, number, path, sizeof path);
    if (ckpt_call(__NR_newfstatat, c->proc, path, &stat, 0) < 0) return 0; // closed meanwhile (in a survey)
    long link_length = ckpt_read_link(c->proc, path, link, CKPT_PATH_BYTES);
    char *end = path + sizeof path;
    ckpt_append_number(ckpt_append(ckpt_append_number(ckpt_append(path, end, "task/"), end, (uint64_t)c->live_tid, 10, 1), end, "/fdinfo/"), end, (uint64_t)number, 10, 1);
    if (ckpt_read_text(c->proc, path, fdinfo, 1 << 20) < 0) return 0;
    struct ckpt_descriptor *d = &c->descriptors[c->descriptor_count];
    ckpt_memset(d, 0, sizeof *d);
    uint64_t flags = 0;
    d->number = number;
    d->detail = CKPT_NO_DETAIL;
    ckpt_find_field(fdinfo, "pos:", 10, &d->position);
    ckpt_find_field(fdinfo, "flags:", 8, &flags);
    d->close_on_exec = (flags & 02000000) != 0;
    d->status_flags = (uint32_t)(flags & ~02000000ull);
    d->device = stat.device;
    d->inode = stat.inode;
    d->rdev = stat.rdev;
    d->mode = stat.mode;
    d->byte_count = (uint64_t)stat.byte_count;
    d->modified_ns = stat.modified.seconds * 1000000000ll + stat.modified.nanoseconds;
    d->changed_ns = stat.changed.seconds * 1000000000ll + stat.changed.nanoseconds;
    d->kind = kind_of(&stat, link);
    if (stat.links == 0 && (stat.mode & S_IFMT) == 0100000) {
        d->flags |= CKPT_DESCRIPTOR_DELETED;
        const char *deleted = " (deleted)";
        if (link_length > 10 && ckpt_same(link + link_length - 10, deleted, 10)) link_length -= 10;
    }
    d->path = link_length > 0 ? ckpt_string(c, link, (size_t)link_length) : 0;
    d->inherited = inherited_as(d);
    find_description(c, d);
    int error = capture_detail(c, d, fdinfo);
    c->descriptor_count++;
    return error;
}

#define DESCRIPTORS_MAX 65536u
// Numbers of the open descriptors, ascending; returns how many, or a negative errno.
long ckpt_list_descriptors(struct ckpt_checkpoint *c, int32_t *numbers) {
    char path[64];
    uint8_t *entries = (uint8_t *)(ckpt_arena + CKPT_SCRATCH_OFFSET);
    ckpt_descriptor_path(c, 0, path, sizeof path);
    path[ckpt_length(path) - 2] = 0; // "task/T/fd"
    long directory = ckpt_openat(c->proc, path, 0200000 | 02000000);
    if (directory < 0) return directory;
    uint32_t count = 0;
    long got;
    while ((got = ckpt_call(__NR_getdents64, directory, entries, 1 << 16)) > 0)
        for (long at = 0; at < got; at += *(uint16_t *)(entries + at + 16)) {
            uint64_t number;
            const char *name = (const char *)(entries + at + 19);
            if (ckpt_number(name, 10, &number) == name || count == DESCRIPTORS_MAX) continue;
            if (!c->frozen && number == (uint64_t)directory) continue; // a survey sees its own
            uint32_t i = count++;
            for (; i > 0 && numbers[i - 1] > (int32_t)number; i--) numbers[i] = numbers[i - 1];
            numbers[i] = (int32_t)number;
        }
    ckpt_close((int)directory);
    return got < 0 ? got : (long)count;
}

int ckpt_capture_descriptors(struct ckpt_checkpoint *c) {
    int32_t *numbers = (int32_t *)(ckpt_arena + CKPT_SCRATCH_OFFSET + (4 << 20));
    long count = ckpt_list_descriptors(c, numbers);
    if (count < 0) return (int)count;
    uint64_t n = (uint64_t)count;
    c->descriptors = ckpt_take(&c->tables, n * sizeof *c->descriptors);
    c->pipes = ckpt_take(&c->tables, n * sizeof *c->pipes);
    c->eventfds = ckpt_take(&c->tables, n * sizeof *c->eventfds);
    c->timerfds = ckpt_take(&c->tables, n * sizeof *c->timerfds);
    c->signalfds = ckpt_take(&c->tables, n * sizeof *c->signalfds);
    c->blobs = ckpt_take(&c->tables, (n + 1) * sizeof *c->blobs);
    c->blob_memory = ckpt_take(&c->tables, (n + 1) * sizeof *c->blob_memory);
    c->epolls = ckpt_take(&c->tables, 0);
    if (!c->blob_memory || !c->epolls) { c->step = CKPT_STEP_ARENA; return -CKPT_ENOMEM; }
    // Order: epolls grow behind all other tables, because how many entries there are is only known at the end; the
    // contents of pipes therefore lie in a part of their own (capture_pipe.c).
    for (uint64_t i = 0; i < n; i++) {
        if (!c->frozen && numbers[i] == c->proc) continue;
        if (numbers[i] == ckpt_state.tracker_descriptor && ckpt_tracker_is_open()) continue; // the engine's own
        int error = capture_one(c, numbers[i]);
        if (error < 0) return error;
    }
    return 0;
}
