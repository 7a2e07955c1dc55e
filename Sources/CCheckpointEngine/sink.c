// SPDX-License-Identifier: Apache-2.0
// The sink: an ordinary process that receives the image as a stream and writes it, compressed, into the output file.
// Signal time: safe. System calls of the scribe and of the copy-on-write child. Whatever the sink does, its end or its
// silence is noticed, and then this checkpoint fails with step SINK: the old image stays.
#include "engine.h"
#include "ckpt/sink.h"

#define SINK_PATIENCE_MS 60000
#define FROZEN_PATIENCE_MS 5000 // while the program stands still (contents of deleted files)
#define POLLIN_ 1
#define POLLOUT_ 4
#define CKPT_EPIPE 32
#define CKPT_ECONNRESET 104

// What the new process needs until it is another program. It shares the scribe's memory, so it lies in the arena, below its stack.
struct launch {
    int error;
    int socket, output;
    const char *arguments[5];
    char compression[32];
};
static struct launch *the_launch(void) { return (struct launch *)(ckpt_arena + CKPT_SINK_STACK_OFFSET); }

static int give(int descriptor, int number) {
    long result = ckpt_call(__NR_dup2, descriptor, number);
    return result < 0 ? (int)result : 0;
}

// In the new process, with a copy of the scribe's descriptors and handlers, all signals blocked.
static int become_sink(struct launch *launch) {
    // Kernel: exec sets handlers to the default, but keeps what is ignored and what is blocked.
    const struct ckpt_kernel_action by_default = {0, 0, 0, 0};
    for (int number = 1; number <= 64; number++) ckpt_sigaction(number, &by_default, NULL);
    // Descriptors 0–4 may be any of the scribe's: those that are needed move out of their way first.
    long null = ckpt_open("/dev/null", 2 /* O_RDWR */, 0);
    if (null < 0) return (int)null;
    null = ckpt_call(__NR_fcntl, null, 0 /* F_DUPFD */, 5);
    long socket = ckpt_call(__NR_fcntl, launch->socket, 0, 5), output = ckpt_call(__NR_fcntl, launch->output, 0, 5);
    if (null < 0 || socket < 0 || output < 0) return null < 0 ? (int)null : socket < 0 ? (int)socket : (int)output;
    int error = 0;
    for (int number = 0; number <= 2 && error == 0; number++) error = give((int)null, number);
    if (error == 0) error = give((int)socket, CKPT_SINK_SOCKET);
    if (error == 0) error = give((int)output, CKPT_SINK_OUTPUT);
    if (error < 0) return error;
    ckpt_call(__NR_close_range, CKPT_SINK_OUTPUT + 1, ~0u, 0);
    // Order: signals last, when none has a handler of the program any more.
    ckpt_restore_signals(0);
    const char *environment[] = {NULL};
    return (int)ckpt_call(__NR_execve, launch->arguments[0], launch->arguments, environment);
}

static void sink(void) {
    struct launch *launch = the_launch();
    launch->error = become_sink(launch);
    ckpt_exit_group(127);
}

static void name_compression(const struct ckpt_plan *plan, char *to, const char *end) {
    static const char names[][5] = {"none", "lz4", "zstd"};
    to = ckpt_append(to, end, names[plan->compression <= CKPT_COMPRESSION_ZSTD ? plan->compression : 0]);
    if (plan->compression == CKPT_COMPRESSION_ZSTD && plan->compression_level > 0)
        ckpt_append_number(ckpt_append(to, end, ":"), end, (uint64_t)plan->compression_level, 10, 1);
}

static int fail(struct ckpt_checkpoint *c, int error) {
    c->step = CKPT_STEP_SINK;
    return error;
}

int ckpt_sink_start(struct ckpt_checkpoint *c) {
    struct launch *launch = the_launch();
    const struct ckpt_plan *plan = &ckpt_state.plan;
    int pair[2];
    long result = ckpt_call(__NR_socketpair, 1 /* AF_UNIX */, 1 | 02000000 /* SOCK_STREAM | SOCK_CLOEXEC */, 0, pair);
    if (result < 0) return fail(c, (int)result);
    // The sink writes pieces of any size; its description of the file is the scribe's too.
    if (c->direct) ckpt_call(__NR_fcntl, c->output, 4 /* F_SETFL */, 2 /* O_RDWR */);
    c->direct = 0;
    c->append_only = 1; // what was sent is compressed by now
    // Kernel: exec makes SIGCHLD the exit signal. Were it ignored, as the program may have set it, the kernel would reap the
    // sink, and its id might be another's when it is ended.
    const struct ckpt_kernel_action by_default = {0, 0, 0, 0};
    ckpt_sigaction(17 /* SIGCHLD */, &by_default, NULL);
    ckpt_memset(launch, 0, sizeof *launch);
    launch->socket = pair[1];
    launch->output = c->output;
    launch->arguments[0] = plan->sink_path;
    launch->arguments[1] = "sink";
    launch->arguments[2] = "--compress";
    launch->arguments[3] = launch->compression;
    name_compression(plan, launch->compression, launch->compression + sizeof launch->compression);
    // CLONE_VM | CLONE_VFORK | CLONE_UNTRACED: returns when the process has its own memory, or has failed.
    result = ckpt_spawn(0x00000100 | 0x00004000 | 0x00800000, (void *)(ckpt_arena + CKPT_SINK_STACK_OFFSET + CKPT_SINK_STACK_BYTES), NULL, NULL, sink);
    ckpt_close(pair[1]);
    c->sink = pair[0];
    if (result > 0) c->sink_pid = (int32_t)result;
    if (result > 0 && launch->error < 0) result = launch->error;
    if (result < 0) {
        ckpt_sink_end(c);
        return fail(c, (int)result);
    }
    return 0;
}

// Waits until the socket is ready, or has something to say of the sink's end. Progress is what the file grows, too.
static int wait_for(struct ckpt_checkpoint *c, short events) {
    struct { int descriptor; short events, happened; } wanted = {c->sink, events, 0};
    uint32_t patience = ckpt_state.plan.sink_patience_ms ? ckpt_state.plan.sink_patience_ms : SINK_PATIENCE_MS;
    // In the copy-on-write child the first page of the arena is empty: nobody waits for it.
    if ((ckpt_load(&ckpt_control()->epoch) & 1) && patience > FROZEN_PATIENCE_MS) patience = FROZEN_PATIENCE_MS;
    for (;;) {
        long ready = ckpt_call(__NR_poll, &wanted, 1, patience);
        if (ready == -CKPT_EINTR) continue;
        if (ready != 0) return ready < 0 ? (int)ready : 0;
        uint64_t status[18];
        ckpt_memset(status, 0, sizeof status);
        ckpt_call(__NR_fstat, c->output, status);
        if (status[6] == c->sink_progress) return -CKPT_ETIMEDOUT;
        c->sink_progress = status[6];
    }
}

static int take_answer(struct ckpt_checkpoint *c, struct ckpt_sink_answer *answer) {
    uint64_t used = 0;
    while (used < sizeof *answer) {
        long got = ckpt_call(__NR_recvfrom, c->sink, (uint8_t *)answer + used, sizeof *answer - used, 0x40 /* MSG_DONTWAIT */, NULL, NULL);
        if (got == -CKPT_EINTR) continue;
        if (got == -CKPT_EAGAIN) {
            int error = wait_for(c, POLLIN_);
            if (error < 0) return error;
            continue;
        }
        if (got <= 0) return -CKPT_EPIPE;
        used += (uint64_t)got;
    }
    if (answer->magic != CKPT_SINK_ANSWER || answer->error > 0) return -CKPT_EINVAL_ERRNO;
    return answer->error;
}

static int put_frame(struct ckpt_checkpoint *c, uint32_t kind, const void *bytes, uint32_t byte_count, uint64_t offset) {
    struct ckpt_sink_frame frame = {kind, byte_count, offset};
    struct { const void *bytes; uint64_t byte_count; } parts[2] = {{&frame, sizeof frame}, {bytes, byte_count}};
    struct { void *name; uint64_t name_byte_count; void *parts; uint64_t part_count; void *control; uint64_t control_byte_count, flags; } message = {0};
    while (parts[0].byte_count + parts[1].byte_count > 0) {
        message.parts = parts;
        message.part_count = 2;
        long sent = ckpt_call(__NR_sendmsg, c->sink, &message, 0x4000 | 0x40 /* MSG_NOSIGNAL | MSG_DONTWAIT */);
        if (sent == -CKPT_EINTR) continue;
        if (sent == -CKPT_EAGAIN) {
            int error = wait_for(c, POLLOUT_);
            if (error < 0) return fail(c, error);
            continue;
        }
        if (sent == -CKPT_EPIPE || sent == -CKPT_ECONNRESET) {
            // It has ended: its last words say why, if it had any.
            struct ckpt_sink_answer answer;
            int error = take_answer(c, &answer);
            return fail(c, error < 0 ? error : -CKPT_EPIPE);
        }
        if (sent < 0) return fail(c, (int)sent);
        for (int i = 0; i < 2; i++) {
            uint64_t part = (uint64_t)sent < parts[i].byte_count ? (uint64_t)sent : parts[i].byte_count;
            parts[i].bytes = (const uint8_t *)parts[i].bytes + part;
            parts[i].byte_count -= part;
            sent -= (long)part;
        }
    }
    return 0;
}

static int put(struct ckpt_checkpoint *c, uint32_t kind, const void *bytes, uint64_t byte_count, uint64_t offset) {
    for (uint64_t at = 0; at < byte_count; at += CKPT_SINK_FRAME_BYTES_MAX) {
        uint64_t part = byte_count - at < CKPT_SINK_FRAME_BYTES_MAX ? byte_count - at : CKPT_SINK_FRAME_BYTES_MAX;
        int error = put_frame(c, kind, (const uint8_t *)bytes + at, (uint32_t)part, offset + at);
        if (error < 0) return error;
    }
    return 0;
}

int ckpt_sink_put(struct ckpt_checkpoint *c, const void *bytes, uint64_t byte_count, uint64_t offset) {
    return put(c, CKPT_SINK_PAGES, bytes, byte_count, offset);
}

int ckpt_sink_finish(struct ckpt_checkpoint *c, const void *tail, uint64_t byte_count, uint64_t offset, const void *header) {
    struct ckpt_sink_answer answer;
    int error = put(c, CKPT_SINK_TAIL, tail, byte_count, offset);
    if (error == 0) error = put(c, CKPT_SINK_HEADER, header, CKPT_PAGE_SIZE, 0);
    if (error == 0) error = put_frame(c, CKPT_SINK_END, header, 0, 0);
    if (error < 0) return error;
    if ((error = take_answer(c, &answer)) < 0) return fail(c, error);
    c->stored_byte_count = answer.stored_byte_count;
    return 0;
}

void ckpt_sink_end(struct ckpt_checkpoint *c) {
    if (c->sink >= 0) ckpt_close(c->sink);
    c->sink = -1;
    if (c->sink_pid <= 0) return;
    // With its answer everything is in the file; without one, nothing that it does is wanted.
    ckpt_call(__NR_kill, c->sink_pid, 9);
    while (ckpt_call(__NR_wait4, c->sink_pid, NULL, 0x40000000 /* __WALL */, NULL) == -CKPT_EINTR) {}
    c->sink_pid = 0;
}
