// SPDX-License-Identifier: Apache-2.0
// Captures pipes with their content, which stays in the pipe.
// Signal time: safe. Opens the pipe's read end through /proc/PID/fd and copies by tee(2), while the program is frozen.
#include "engine.h"

#define CONTENT_OFFSET (8ull << 20)     // of the scratch part: 8 MiB for the contents of all pipes
#define CONTENT_LIMIT (16ull << 20)

static uint8_t *next_content(struct ckpt_checkpoint *c) {
    uint64_t end = ckpt_arena + CKPT_SCRATCH_OFFSET + CONTENT_OFFSET;
    for (uint32_t i = 0; i < c->blob_count; i++)
        if (c->blob_memory[i]) end = c->blob_memory[i] + ((c->blobs[i].byte_count + CKPT_PAGE_SIZE - 1) & ~(uint64_t)(CKPT_PAGE_SIZE - 1));
    return (uint8_t *)end;
}

static int copy_content(struct ckpt_checkpoint *c, struct ckpt_pipe *pipe, int source, uint64_t byte_count) {
    int copy[2];
    uint8_t *to = next_content(c);
    uint64_t room = ckpt_arena + CKPT_SCRATCH_OFFSET + CONTENT_LIMIT - (uint64_t)to, used = 0;
    if (byte_count + CKPT_PAGE_SIZE > room) { c->step = CKPT_STEP_ARENA; return -CKPT_ENOMEM; }
    long result = ckpt_call(__NR_pipe2, copy, 02004000);
    if (result < 0) return (int)result;
    ckpt_call(__NR_fcntl, copy[1], 1031 /* F_SETPIPE_SZ */, pipe->capacity);
    result = ckpt_call(__NR_tee, source, copy[1], byte_count, 2 /* SPLICE_F_NONBLOCK */);
    while (result > 0 && used < byte_count) {
        long got = ckpt_read(copy[0], to + used, byte_count - used);
        if (got == -CKPT_EINTR) continue;
        if (got <= 0) break;
        used += (uint64_t)got;
    }
    ckpt_close(copy[0]);
    ckpt_close(copy[1]);
    // Kernel: tee fails with EAGAIN or copies less when the copy has fewer slots; then the pipe cannot be described.
    if (used != byte_count) { c->step = CKPT_STEP_CAPTURE; return result < 0 ? (int)result : -5; }
    ckpt_memset(to + used, 0, -used & (CKPT_PAGE_SIZE - 1));
    c->blobs[c->blob_count] = (struct ckpt_blob){0, used, 0, 0};
    c->blob_memory[c->blob_count] = (uint64_t)to;
    pipe->blob = c->blob_count++;
    return 0;
}

int ckpt_capture_pipe(struct ckpt_checkpoint *c, struct ckpt_descriptor *d) {
    uint32_t end = (d->status_flags & 3) == 1 ? 2 : (d->status_flags & 3) == 2 ? 3 : 1;
    for (uint32_t i = 0; i < c->pipe_count; i++)
        if (c->pipes[i].inode == d->inode) {
            c->pipes[i].ends |= end;
            d->detail = i;
            return 0;
        }
    struct ckpt_pipe *pipe = &c->pipes[c->pipe_count];
    *pipe = (struct ckpt_pipe){d->inode, 65536, CKPT_NO_DETAIL, end};
    d->detail = c->pipe_count++;
    char path[64];
    ckpt_descriptor_path(c, d->number, path, sizeof path);
    // Kernel: opening the link of either end opens the pipe anew with the mode asked for (proc(5), fs/pipe.c).
    long source = ckpt_openat(c->proc, path, 02004000);
    if (source < 0) return 0;
    long capacity = ckpt_call(__NR_fcntl, source, 1032 /* F_GETPIPE_SZ */);
    int32_t waiting = 0;
    if (capacity > 0) pipe->capacity = (uint64_t)capacity;
    ckpt_call(__NR_ioctl, source, 0x541b /* FIONREAD */, &waiting);
    int error = waiting > 0 && c->frozen ? copy_content(c, pipe, (int)source, (uint64_t)waiting) : 0;
    ckpt_close((int)source);
    return error;
}
