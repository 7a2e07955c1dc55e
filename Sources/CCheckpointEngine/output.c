// SPDX-License-Identifier: Apache-2.0
// The output: a new inode without a name in the image's directory, written directly; while one buffer is written by a
// helper, the next is filled.
// Signal time: safe. System calls of the scribe and of the copy-on-write child; the helpers share the child's memory and
// die with it.
//
// Why buffers: direct I/O from the frozen pages themselves pins them, and pinning a page that is shared after fork copies
// it first (kernel: FAULT_FLAG_UNSHARE, since 5.19): 2.3 s for 1 GiB instead of 0.7.
#include "engine.h"
#include "ckpt/crc32c.h"

#define O_RDWR_ 02
#define O_DIRECT_ 040000
#define O_TMPFILE_ (020000000 | 0200000)
#define O_CLOEXEC_ 02000000

// Splits the path: the directory is opened, the name stays in c->image_path behind the last slash.
static long open_directory(struct ckpt_checkpoint *c) {
    char *last = c->image_path;
    for (char *at = c->image_path; *at; at++) if (*at == '/') last = at;
    char kept = last[1];
    last[1] = 0;
    long directory = ckpt_open(c->image_path, 0200000 | O_CLOEXEC_, 0);
    last[1] = kept;
    return directory;
}

int ckpt_output_open(struct ckpt_checkpoint *c) {
    long directory = open_directory(c);
    if (directory < 0) return (int)directory;
    c->directory = (int)directory;
    // Kernel: O_TMPFILE since 3.11; a file without a name vanishes with the last descriptor, so a killed scribe leaves
    // nothing behind. Not every file system has it (EOPNOTSUPP, EISDIR), nor direct I/O (EINVAL).
    long file = ckpt_call(__NR_openat, directory, ".", O_RDWR_ | O_DIRECT_ | O_TMPFILE_ | O_CLOEXEC_, 0600);
    c->direct = file >= 0;
    if (file < 0) file = ckpt_call(__NR_openat, directory, ".", O_RDWR_ | O_TMPFILE_ | O_CLOEXEC_, 0600);
    if (file < 0) return (int)file;
    c->output = (int)file;
    // Who restarts the image at this path waits for the one that is about to replace it: otherwise a program that was killed
    // while its image was written, and restarted from the older one, would later meet the newer. The lock goes with the
    // scribe, however it ends; a lock that somebody else holds is no reason to wait.
    c->replaced = (int)ckpt_open(c->image_path, 02004000 /* O_CLOEXEC | O_NONBLOCK */, 0);
    if (c->replaced >= 0) ckpt_call(__NR_flock, c->replaced, 2 | 4 /* LOCK_EX | LOCK_NB */);
    c->file_end = CKPT_PAGE_SIZE;
    return 0;
}

// Writes whole pages at a page-aligned offset.
int ckpt_output_write(struct ckpt_checkpoint *c, const void *bytes, uint64_t byte_count, uint64_t offset) {
    if (c->sink >= 0) return ckpt_sink_put(c, bytes, byte_count, offset);
    const uint8_t *from = bytes;
    while (byte_count > 0) {
        long wrote = ckpt_pwrite(c->output, from, byte_count, offset);
        if (wrote == -CKPT_EINTR) continue;
        if (wrote == -CKPT_EINVAL_ERRNO && c->direct) {
            // The file system took O_DIRECT and refuses this write: through the cache then.
            c->direct = 0;
            ckpt_call(__NR_fcntl, c->output, 4 /* F_SETFL */, O_RDWR_);
            continue;
        }
        if (wrote < 0) return (int)wrote;
        if (wrote == 0) return -CKPT_ENOSPC;
        if (c->direct && (wrote & (CKPT_PAGE_SIZE - 1))) {
            // A short direct write that ends inside a page cannot be continued directly.
            wrote &= ~(long)(CKPT_PAGE_SIZE - 1);
            if (wrote == 0) {
                c->direct = 0;
                ckpt_call(__NR_fcntl, c->output, 4, O_RDWR_);
            }
        }
        from += wrote;
        offset += (uint64_t)wrote;
        byte_count -= (uint64_t)wrote;
    }
    return 0;
}

enum job_state { JOB_NONE = 0, JOB_WANTED = 1, JOB_TAKEN = 2, JOB_DONE = 3 };
enum buffer_state { BUFFER_FREE = 0, BUFFER_FULL = 1, BUFFER_TAKEN = 2 };
struct buffer { uint32_t state; uint32_t pad; uint64_t byte_count, offset; };
#define HELPERS 2
#define HELPER_STACK_BYTES 0x10000ull
#define FIRST_STEP (8ull << 20)
#define LAST_STEP (256ull << 20)
struct output {
    struct ckpt_checkpoint *checkpoint;
    uint32_t event;                 // futex: some buffer changed its state
    uint32_t finished;
    int32_t writer;                 // id of the process that fills the buffers
    int32_t error;                  // the first one
    uint32_t helper_count;
    uint32_t helpers[HELPERS];      // ids, cleared by the kernel when a helper ends
    int32_t ids[HELPERS];           // the same, to collect them by
    uint32_t filling;               // index of the buffer that is being filled
    uint64_t end, hole_byte_count;  // of what was given to the helpers, and in it
    uint64_t allocated;             // end of what the file system was asked for
    uint32_t job_state;
    int32_t job_error;
    int (*job)(struct ckpt_checkpoint *);
    struct buffer buffers[CKPT_BUFFER_COUNT];
};

static struct output *the_output(void) { return (struct output *)(ckpt_arena + CKPT_OUTPUT_OFFSET); }
static uint8_t *bytes_of(uint32_t index) { return (uint8_t *)(ckpt_arena + CKPT_BUFFERS_OFFSET + index * CKPT_BUFFER_BYTES); }

static void announce(struct output *output) {
    ckpt_add(&output->event, 1);
    ckpt_futex_wake(&output->event);
}

static void write_buffer(struct output *output, uint32_t index) {
    struct buffer *buffer = &output->buffers[index];
    int error = ckpt_output_write(output->checkpoint, bytes_of(index), buffer->byte_count, buffer->offset);
    if (error < 0 && output->error == 0) output->error = error;
    ckpt_store(&buffer->state, BUFFER_FREE);
    announce(output);
}

static void do_job(struct output *output) {
    output->job_error = output->job(output->checkpoint);
    ckpt_store(&output->job_state, JOB_DONE);
    announce(output);
}

static void helper(void) {
    struct output *output = the_output();
    ckpt_call(__NR_prctl, 1 /* PR_SET_PDEATHSIG */, 9);
    // Order: a sink gets the buffers as they were filled, because what lies between two frames is zeros for it.
    uint32_t in_order = output->checkpoint->sink >= 0, next = 0;
    for (;;) {
        uint32_t seen = ckpt_load(&output->event);
        int worked = ckpt_swap_if(&output->job_state, JOB_WANTED, JOB_TAKEN);
        if (worked) do_job(output);
        for (uint32_t i = 0; i < CKPT_BUFFER_COUNT; i++) {
            uint32_t index = in_order ? next % CKPT_BUFFER_COUNT : i;
            if (!ckpt_swap_if(&output->buffers[index].state, BUFFER_FULL, BUFFER_TAKEN)) continue;
            write_buffer(output, index);
            next++;
            worked = 1;
        }
        if (worked) continue;
        if (ckpt_load(&output->finished)) break;
        if (ckpt_call(__NR_getppid) != output->writer) break; // it died before the first line here
        ckpt_futex_wait(&output->event, seen, 1000000000);
    }
    for (;;) ckpt_call(__NR_exit, 0);
}

// Kernel: a helper dies with its parent (PR_SET_PDEATHSIG), and its word is cleared when it is gone.
void ckpt_output_forget(void) {
    struct output *output = the_output();
    for (uint32_t i = 0; i < HELPERS; i++)
        while (ckpt_load(&output->helpers[i])) ckpt_sleep(50000);
}

void ckpt_output_begin(struct ckpt_checkpoint *c) {
    struct output *output = the_output();
    ckpt_memset(output, 0, sizeof *output);
    output->checkpoint = c;
    output->writer = (int32_t)ckpt_getpid();
    // CLONE_VM | CLONE_FILES | CLONE_UNTRACED | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID, exit signal 0.
    const uint64_t flags = 0x00000100 | 0x00000400 | 0x00800000 | 0x00100000 | 0x00200000;
    // A sink takes one frame at a time, in order.
    for (uint32_t i = 0; i < (c->sink >= 0 ? 1 : HELPERS); i++) {
        uint64_t stack = ckpt_arena + CKPT_OUTPUT_OFFSET + 0x10000 + (i + 1) * HELPER_STACK_BYTES;
        long id = ckpt_spawn(flags, (void *)stack, &output->helpers[i], &output->helpers[i], helper);
        if (id < 0) break;
        output->ids[output->helper_count++] = (int32_t)id;
    }
}

// Waits until something changed since `seen`. A helper that was killed is an error: what it had taken will never be done.
static int wait_for_helpers(struct output *output, uint32_t seen) {
    for (uint32_t i = 0; i < output->helper_count; i++) if (ckpt_load(&output->helpers[i]) == 0) return -CKPT_ECANCELED;
    ckpt_futex_wait(&output->event, seen, 100000000);
    return 0;
}

// Waits until a buffer is free.
static int wait_for(struct output *output, uint32_t index) {
    for (;;) {
        uint32_t seen = ckpt_load(&output->event);
        if (ckpt_load(&output->buffers[index].state) == BUFFER_FREE) return output->error;
        if (output->helper_count == 0) write_buffer(output, index);
        else if (wait_for_helpers(output, seen) < 0) return -CKPT_ECANCELED;
    }
}

void ckpt_output_beside(struct ckpt_checkpoint *c, int (*job)(struct ckpt_checkpoint *)) {
    struct output *output = the_output();
    (void)c;
    output->job = job;
    if (output->helper_count == 0) return do_job(output);
    ckpt_store(&output->job_state, JOB_WANTED);
    announce(output);
}

int ckpt_output_await_job(struct ckpt_checkpoint *c) {
    struct output *output = the_output();
    (void)c;
    while (ckpt_load(&output->job_state) != JOB_NONE) {
        uint32_t seen = ckpt_load(&output->event);
        if (ckpt_swap_if(&output->job_state, JOB_DONE, JOB_NONE)) return output->job_error;
        if (wait_for_helpers(output, seen) < 0) return -CKPT_ECANCELED;
    }
    return 0;
}

// Space is asked for ahead of the writes, in steps that double.
// Kernel: a direct write that makes its file longer has ext4's inode lock for itself, so the helpers wait for each other; into
// space that is there they share it (ext4_dio_write_checks, fs/ext4/file.c, since 5.8; xfs likewise).
// Order: never what the program or others might need for themselves: a quarter of what is free at most; and a file with many
// holes keeps them. That there is none is no failure: each write asks again.
static void allocate(struct output *output, const struct buffer *buffer) {
    struct ckpt_checkpoint *c = output->checkpoint;
    uint64_t end = buffer->offset + buffer->byte_count;
    if (buffer->offset > output->end) output->hole_byte_count += buffer->offset - output->end;
    if (end > output->end) output->end = end;
    if (!c->direct || c->sink >= 0 || end <= output->allocated || output->hole_byte_count > output->end / 16) return;
    uint64_t step = end < FIRST_STEP ? FIRST_STEP : end < LAST_STEP ? end : LAST_STEP;
    struct { uint64_t type, block_byte_count, blocks, vacant, available, rest[10]; } space; // struct statfs
    if (ckpt_call(__NR_fstatfs, c->output, &space) < 0 || space.available * space.block_byte_count / 4 < step) return;
    ckpt_call(__NR_fallocate, c->output, 0, buffer->offset, step);
    output->allocated = buffer->offset + step;
}

static int submit(struct output *output) {
    struct buffer *buffer = &output->buffers[output->filling];
    if (buffer->byte_count == 0) return 0;
    allocate(output, buffer);
    ckpt_store(&buffer->state, BUFFER_FULL);
    announce(output);
    output->filling = (output->filling + 1) % CKPT_BUFFER_COUNT;
    int error = wait_for(output, output->filling);
    output->buffers[output->filling].byte_count = 0;
    return error;
}

uint8_t *ckpt_output_page(struct ckpt_checkpoint *c, uint64_t offset, int *error) {
    struct output *output = the_output();
    struct buffer *buffer = &output->buffers[output->filling];
    (void)c;
    if (buffer->byte_count && (buffer->offset + buffer->byte_count != offset || buffer->byte_count == CKPT_BUFFER_BYTES)) {
        if ((*error = submit(output)) < 0) return NULL;
        buffer = &output->buffers[output->filling];
    }
    if (buffer->byte_count == 0) buffer->offset = offset;
    return bytes_of(output->filling) + buffer->byte_count;
}

void ckpt_output_keep(struct ckpt_checkpoint *c) {
    struct output *output = the_output();
    (void)c;
    output->buffers[output->filling].byte_count += CKPT_PAGE_SIZE;
}

int ckpt_output_put(struct ckpt_checkpoint *c, const void *bytes, uint64_t byte_count, uint64_t offset) {
    for (uint64_t at = 0; at < byte_count; at += CKPT_PAGE_SIZE) {
        int error = 0;
        uint8_t *to = ckpt_output_page(c, offset + at, &error);
        if (!to) return error;
        ckpt_memcpy(to, (const uint8_t *)bytes + at, CKPT_PAGE_SIZE);
        ckpt_output_keep(c);
    }
    return 0;
}

int ckpt_output_flush(struct ckpt_checkpoint *c) {
    struct output *output = the_output();
    (void)c;
    int error = submit(output);
    for (uint32_t i = 1; i <= CKPT_BUFFER_COUNT; i++) {
        int failed = wait_for(output, (output->filling + i) % CKPT_BUFFER_COUNT);
        if (error == 0) error = failed;
    }
    return error;
}

// Order: the helpers are collected, so that a program that adopts orphans (PR_SET_CHILD_SUBREAPER) never sees them.
void ckpt_output_end(struct ckpt_checkpoint *c) {
    struct output *output = the_output();
    (void)c;
    if (output->writer != (int32_t)ckpt_getpid()) return; // begun by another process, or not at all
    ckpt_store(&output->finished, 1);
    announce(output);
    for (uint32_t i = 0; i < output->helper_count; i++) ckpt_call(__NR_wait4, output->ids[i], NULL, 0x40000000 /* __WALL */, NULL);
    output->helper_count = 0;
    output->writer = 0;
}

int ckpt_output_finish(struct ckpt_checkpoint *c) {
    int error = ckpt_output_flush(c);
    ckpt_output_end(c);
    // What was asked for and not needed. The notes come last, so this is the length of the image.
    while (error == 0 && c->sink < 0) {
        error = (int)ckpt_call(__NR_ftruncate, c->output, the_output()->end);
        if (error != -CKPT_EINTR) break;
        error = 0;
    }
    return error;
}
