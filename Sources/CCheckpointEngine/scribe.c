// SPDX-License-Identifier: Apache-2.0
// The scribe: the process that takes one checkpoint. It shares the program's memory, but not its descriptors, signals or
// session, and lives for one checkpoint (one more when a request came meanwhile).
// Signal time: safe. Its own stack in the arena, system calls only; it may be killed at any instruction.
#include "engine.h"

// `path`: what a requester named, or empty.
static struct ckpt_checkpoint *begin(const char *path) {
    struct ckpt_checkpoint *c = ckpt_begin();
    c->pid = ckpt_state.pid;
    c->named = path[0] != 0;
    ckpt_memcpy(c->image_path, c->named ? path : ckpt_state.plan.image_path, CKPT_PATH_BYTES);
    return c;
}

// Finds the program in /proc. Kernel: "PPid:" of /proc/self/status is the parent as that /proc's own process namespace
// names it, which may not be ours (fs/proc/array.c).
static int find_program(struct ckpt_checkpoint *c) {
    char *text = (char *)(ckpt_arena + CKPT_SCRATCH_OFFSET);
    long length = ckpt_read_text(-100, "/proc/self/status", text, 8192);
    if (length < 0) return (int)length;
    if (ckpt_call(__NR_getppid) != c->pid) return -CKPT_ESRCH;
    uint64_t parent = 0;
    ckpt_find_field(text, "PPid:", 10, &parent);
    c->proc_pid = (int32_t)parent;
    c->foreign_proc = c->proc_pid != c->pid;
    char path[64], *end = path + sizeof path;
    ckpt_append_number(ckpt_append(path, end, "/proc/"), end, parent, 10, 1);
    long proc = ckpt_open(path, 0200000 | 02000000, 0);
    if (proc < 0) return (int)proc;
    c->proc = (int)proc;
    c->live_tid = c->proc_pid;
    return 0;
}

static int fail(struct ckpt_checkpoint *c, uint32_t step, int error) {
    if (error < 0 && c->step == CKPT_STEP_NONE) c->step = step;
    return error;
}

// The checkpoint thread answers IDLE when the after-hooks have run: before that no other round of hooks may begin.
static void wait_for_after_hooks(struct ckpt_checkpoint *c) {
    struct ckpt_live *live = &ckpt_state.live;
    for (;;) {
        uint32_t seen = ckpt_load(&live->event);
        if (ckpt_load(&live->hook_phase) != CKPT_HOOK_AFTER || ckpt_call(__NR_getppid) != c->pid) return;
        ckpt_futex_wait(&live->event, seen, 100000000);
    }
}

// Asks the checkpoint thread to run the before-hooks and waits for its answer.
static int run_hooks(struct ckpt_checkpoint *c) {
    struct ckpt_live *live = &ckpt_state.live;
    wait_for_after_hooks(c);
    ckpt_store(&live->hook_phase, CKPT_HOOK_BEFORE);
    ckpt_engine_announce();
    for (;;) {
        uint32_t seen = ckpt_load(&live->event), phase = ckpt_load(&live->hook_phase);
        if (phase == CKPT_HOOK_GO) return 0;
        if (phase == CKPT_HOOK_CANCEL) return -CKPT_ECANCELED;
        if (ckpt_call(__NR_getppid) != c->pid) return -CKPT_ESRCH; // the program has ended
        ckpt_futex_wait(&live->event, seen, 100000000);
    }
}

static void end_hooks(uint32_t outcome) {
    struct ckpt_live *live = &ckpt_state.live;
    live->hook_outcome = outcome;
    ckpt_store(&live->hook_phase, CKPT_HOOK_AFTER);
    ckpt_engine_announce();
}

// Some thread is inside `deferring`: waits until the last has left and has asked again, which this checkpoint answers.
// Order: `deferred` is set while all are parked, so nobody can leave without seeing it.
static int wait_for_deferrals(struct ckpt_checkpoint *c) {
    struct ckpt_live *live = &ckpt_state.live;
    for (;;) {
        uint32_t seen = ckpt_load(&live->event);
        if (ckpt_load(&live->deferred) == 0) break;
        if (ckpt_call(__NR_getppid) != c->pid) return -CKPT_ESRCH;
        ckpt_futex_wait(&live->event, seen, 100000000);
    }
    ckpt_swap_if(&ckpt_control()->work, CKPT_WORK_AGAIN, CKPT_WORK_RUNNING);
    return 0;
}

// Hooks and freeze, until they succeed with nobody inside `deferring`.
static int freeze(struct ckpt_checkpoint *c) {
    for (;;) {
        int error, hooks = ckpt_load(&ckpt_state.live.hooks) > 0;
        c->has_hooks = hooks;
        // Order: the after-hooks of the round before have begun and ended, or this round's question would hide theirs.
        if (hooks) wait_for_after_hooks(c);
        if (hooks && (error = fail(c, CKPT_STEP_HOOK, run_hooks(c))) < 0) return error;
        if ((error = fail(c, CKPT_STEP_FREEZE, ckpt_freeze(c))) < 0) return error;
        if (ckpt_load(&ckpt_state.live.deferrals) == 0) return 0;
        ckpt_store(&ckpt_state.live.deferred, 1);
        ckpt_thaw(CKPT_COMMAND_DONE);
        if (hooks) end_hooks(CKPT_OUTCOME_CANCELLED);
        if ((error = fail(c, CKPT_STEP_FREEZE, wait_for_deferrals(c))) < 0) return error;
    }
}

static int capture(struct ckpt_checkpoint *c) {
    struct ckpt_control *control = ckpt_control();
    ckpt_store(&control->command, CKPT_COMMAND_CAPTURE);
    ckpt_futex_wake(&control->command);
    int error = ckpt_capture_process(c);
    if (error == 0) error = ckpt_capture_mappings(c);
    if (error == 0) error = ckpt_capture_threads(c);
    if (error == 0) error = ckpt_capture_descriptors(c);
    if (error == 0) error = ckpt_capture_unforked(c);
    while (ckpt_load(&control->command) == CKPT_COMMAND_CAPTURE) {
        if (ckpt_call(__NR_getppid) != c->pid) return -CKPT_ESRCH; // killed while it was frozen
        ckpt_futex_wait(&control->command, CKPT_COMMAND_CAPTURE, 100000000);
    }
    c->action_count = 64;
    return error;
}

struct result { int32_t error; uint32_t step; uint64_t page_byte_count, memory_byte_count, stored_byte_count; struct ckpt_unforked missing; };

static int wait_for_writer(struct ckpt_checkpoint *c, long writer, int results) {
    struct result result;
    long got;
    do got = ckpt_read(results, &result, sizeof result); while (got == -CKPT_EINTR);
    if (got != (long)sizeof result) { result.error = -CKPT_ECANCELED; result.step = CKPT_STEP_DIED; }
    ckpt_call(__NR_wait4, writer, NULL, 0x40000000 /* __WALL */, NULL);
    if (result.error == -CKPT_EAGAIN && ckpt_remember_unforked(&result.missing) == 0) return -CKPT_EAGAIN;
    if (result.error < 0) return fail(c, result.step, result.error);
    c->page_byte_count = result.page_byte_count;
    c->memory_byte_count = result.memory_byte_count;
    c->stored_byte_count = result.stored_byte_count;
    return 0;
}

// In the copy-on-write child: a copy of the frozen program, which writes itself and ends.
static void be_writer(struct ckpt_checkpoint *c, int results, long scribe) {
    ckpt_call(__NR_prctl, 1 /* PR_SET_PDEATHSIG */, 9);
    if (ckpt_call(__NR_getppid) != scribe) ckpt_exit_group(1); // it died before the line above
    ckpt_call(__NR_prctl, 15 /* PR_SET_NAME */, "ckpt-writer");
    // The image holds the engine as it will be after a restart: idle, with every request answered.
    struct ckpt_live *live = &ckpt_state.live;
    live->completed = live->requested;
    live->deferred = 0;
    live->hook_phase = CKPT_HOOK_IDLE;
    live->restart_count++;
    live->event++;
    ckpt_exclusions_settle(c->exclusion_mark);
    struct result result = {0, 0, 0, 0, 0, {0, 0}};
    result.error = ckpt_write_image(c, &result.missing);
    result.step = c->step ? c->step : CKPT_STEP_WRITE;
    result.page_byte_count = c->page_byte_count;
    result.memory_byte_count = c->memory_byte_count;
    result.stored_byte_count = c->sink >= 0 ? c->stored_byte_count : c->page_byte_count;
    ckpt_write(results, &result, sizeof result);
    ckpt_exit_group(0);
}

// The image's identity: 48 random bits, written as 12 hex digits.
static void identify(struct ckpt_checkpoint *c) {
    uint64_t random = 0;
    ckpt_call(__NR_getrandom, &random, sizeof random, 0);
    c->ident.major = CKPT_IMAGE_MAJOR;
    c->ident.minor = CKPT_IMAGE_MINOR;
    c->ident.identifier = (random & 0xffffffffffffull) | 1;
    c->ident.run = ckpt_state.run;
    c->ident.sequence = ckpt_state.sequence + 1;
    c->ident.created_realtime_ns = ckpt_clock(CKPT_CLOCK_REALTIME);
}

static int take(struct ckpt_checkpoint *c, int exit_after) {
    int results[2] = {-1, -1}, error;
    if ((error = fail(c, CKPT_STEP_PROC, find_program(c))) < 0) return error;
    // Whether the image can be written at all is known before the program is disturbed.
    if ((error = fail(c, CKPT_STEP_OPEN, ckpt_output_open(c))) < 0) return error;
    if (ckpt_state.plan.sink_path[0] && (error = ckpt_sink_start(c)) < 0) return error;
    if ((error = fail(c, CKPT_STEP_SCRIBE, (int)ckpt_call(__NR_pipe2, results, 02000000))) < 0) return error;
    ckpt_capture_processor(c);
    identify(c);
    if ((error = freeze(c)) < 0) {
        if (c->has_hooks) end_hooks(c->step == CKPT_STEP_HOOK ? CKPT_OUTCOME_CANCELLED : CKPT_OUTCOME_FAILED);
        return error;
    }
    uint64_t parked_ns = ckpt_clock(CKPT_CLOCK_MONOTONIC);
    c->frozen = 1;
    c->exclusion_mark = ckpt_exclusions_mark();
    // Requests up to here are answered by this image.
    ckpt_store(&ckpt_control()->ticket, ckpt_load(&ckpt_state.live.requested));
    error = fail(c, CKPT_STEP_CAPTURE, capture(c));
    long writer = -1, scribe = ckpt_getpid();
    if (error == 0) {
        c->process.pause_ns = ckpt_clock(CKPT_CLOCK_MONOTONIC) - c->pause_began_ns;
        // Kernel: clone without CLONE_VM copies the page tables, 13 ms for each GiB populated; exit signal SIGCHLD.
        writer = ckpt_call(__NR_clone, 17, 0, 0, 0, 0);
        if (writer == 0) be_writer(c, results[1], scribe);
        error = fail(c, CKPT_STEP_SNAPSHOT, writer < 0 ? (int)writer : 0);
    }
    uint64_t thawed_ns = ckpt_clock(CKPT_CLOCK_MONOTONIC);
    if (!exit_after || error < 0) ckpt_thaw(CKPT_COMMAND_DONE);
    if (c->has_hooks && !exit_after) end_hooks(error < 0 ? CKPT_OUTCOME_FAILED : CKPT_OUTCOME_SAVED);
    c->report.park_ns = parked_ns - c->pause_began_ns;
    c->report.pause_ns = thawed_ns - c->pause_began_ns;
    c->report.thread_count = c->thread_count;
    if (error == 0) {
        ckpt_close(results[1]);
        error = wait_for_writer(c, writer, results[0]);
        ckpt_close(results[0]);
    }
    if (error == 0) error = ckpt_commit(c);
    c->report.write_ns = ckpt_clock(CKPT_CLOCK_MONOTONIC) - thawed_ns;
    if (exit_after && error < 0) {
        ckpt_thaw(CKPT_COMMAND_DONE);
        if (c->has_hooks) end_hooks(CKPT_OUTCOME_FAILED);
    }
    return error;
}

static void close_descriptors(struct ckpt_checkpoint *c) {
    ckpt_sink_end(c);
    const int descriptors[] = {c->proc, c->output, c->directory, c->replaced, c->parent_map};
    for (unsigned i = 0; i < sizeof descriptors / sizeof *descriptors; i++) if (descriptors[i] >= 0) ckpt_close(descriptors[i]);
}

#define REQUESTERS_MAX CKPT_NONCES
struct requesters { int sockets[REQUESTERS_MAX]; uint32_t count; int exit_after; char path[CKPT_PATH_BYTES]; };

static long read_all(int descriptor, void *to, size_t byte_count) {
    size_t used = 0;
    while (used < byte_count) {
        long got = ckpt_read(descriptor, (char *)to + used, byte_count - used);
        if (got == -CKPT_EINTR) continue;
        if (got <= 0) return -1;
        used += (size_t)got;
    }
    return 0;
}

// `ckpt save` listens; the nonce in its signal says where.
static void connect_requesters(struct requesters *requesters) {
    struct ckpt_control *control = ckpt_control();
    struct { uint16_t family; char path[108]; } address;
    for (int i = 0; i < CKPT_NONCES; i++) {
        uint64_t nonce = ckpt_exchange(&control->nonces[i], 0);
        if (!nonce || requesters->count == REQUESTERS_MAX) continue;
        ckpt_memset(&address, 0, sizeof address);
        address.family = 1; // AF_UNIX
        char *end = address.path + sizeof address.path;
        char *to = ckpt_append_number(ckpt_append(address.path, end, CKPT_SAVE_DIRECTORY), end, nonce, 16, 16);
        ckpt_append(to, end, "/s");
        long socket = ckpt_call(__NR_socket, 1, 1 | 02000000 /* SOCK_STREAM | SOCK_CLOEXEC */, 0);
        if (socket < 0) continue;
        struct { int32_t pid; uint32_t uid, gid; } peer = {0, ~0u, ~0u};
        uint32_t peer_byte_count = sizeof peer;
        struct { int64_t seconds, microseconds; } limit = {5, 0};
        struct ckpt_save_request *request = (struct ckpt_save_request *)(ckpt_arena + CKPT_SCRATCH_OFFSET);
        ckpt_call(__NR_setsockopt, socket, 1, 20 /* SO_RCVTIMEO */, &limit, sizeof limit);
        ckpt_call(__NR_setsockopt, socket, 1, 21 /* SO_SNDTIMEO */, &limit, sizeof limit);
        uint64_t uid = (uint64_t)ckpt_call(__NR_geteuid);
        if (ckpt_call(__NR_connect, socket, &address, sizeof address) < 0
            || ckpt_call(__NR_getsockopt, socket, 1, 17 /* SO_PEERCRED */, &peer, &peer_byte_count) < 0
            || (peer.uid != uid && peer.uid != 0)
            || read_all((int)socket, request, sizeof *request) < 0 || request->magic != CKPT_SAVE_MAGIC) {
            ckpt_close((int)socket);
            continue;
        }
        if (request->exit_after) requesters->exit_after = 1;
        if (request->path[0] == '/') ckpt_memcpy(requesters->path, request->path, CKPT_PATH_BYTES - 1);
        requesters->sockets[requesters->count++] = (int)socket;
    }
}

static void report(struct ckpt_checkpoint *c, int error, struct requesters *requesters) {
    struct ckpt_control *control = ckpt_control();
    struct ckpt_live *live = &ckpt_state.live;
    struct ckpt_report *r = &c->report;
    if (r->outcome != CKPT_OUTCOME_TOO_SOON)
        r->outcome = error == 0 ? CKPT_OUTCOME_SAVED : c->step == CKPT_STEP_HOOK ? CKPT_OUTCOME_CANCELLED : CKPT_OUTCOME_FAILED;
    r->step = error == 0 ? CKPT_STEP_NONE : c->step;
    r->error = error;
    r->tid = c->stuck_tid;
    ckpt_memcpy(r->thread_name, c->stuck_name, sizeof r->thread_name);
    r->ticket = ckpt_load(&control->ticket);
    r->identifier = c->ident.identifier;
    r->sequence = c->ident.sequence;
    r->memory_byte_count = c->memory_byte_count;
    r->page_byte_count = c->page_byte_count;
    r->stored_byte_count = c->stored_byte_count;
    r->attempts = c->attempts;
    r->unsupported_count = c->unsupported_count;
    r->path_differs = ckpt_state.diverted && !c->named;
    ckpt_memcpy(r->path, c->image_path, CKPT_PATH_BYTES);
    r->durable_ns = ckpt_clock(CKPT_CLOCK_MONOTONIC) - control->began_ns;
    r->realtime_ns = ckpt_clock(CKPT_CLOCK_REALTIME);
    ckpt_memcpy(&live->reports[live->report_count % CKPT_REPORT_RING], r, sizeof *r);
    ckpt_add(&live->report_count, 1);
    if (r->ticket > ckpt_load(&live->completed)) ckpt_store(&live->completed, r->ticket);
    ckpt_engine_announce();
    for (uint32_t i = 0; i < requesters->count; i++) {
        ckpt_call(__NR_sendto, requesters->sockets[i], r, sizeof *r, 0x4000 /* MSG_NOSIGNAL */, NULL, 0);
        ckpt_close(requesters->sockets[i]);
    }
}

void ckpt_scribe(void) {
    struct ckpt_control *control = ckpt_control();
    // Order: unshare before anything else is opened. A copied table would delay the program's pipe ends and keep its locks.
    ckpt_call(__NR_close_range, 0, ~0u, 2 /* CLOSE_RANGE_UNSHARE, since 5.9 */);
    ckpt_call(__NR_setsid);
    ckpt_call(__NR_prctl, 15 /* PR_SET_NAME */, "ckpt-scribe");
    ckpt_call(__NR_chdir, "/");
    // Descriptors 0–2 are nobody's: what is opened below may get these numbers.
    for (;;) {
        struct requesters *requesters = (struct requesters *)(ckpt_arena + CKPT_SCRIBE_STACK_OFFSET - sizeof(struct requesters) - 64);
        ckpt_memset(requesters, 0, sizeof *requesters);
        connect_requesters(requesters);
        int exit_after = (int)ckpt_exchange(&control->exit_requested, 0) | requesters->exit_after;
        struct ckpt_checkpoint *c = begin(requesters->path);
        int error = ckpt_too_soon(c, exit_after);
        if (error == 0) error = take(c, exit_after);
        while (error == -CKPT_EAGAIN && c->step == CKPT_STEP_NONE) {
            // Memory was found that fork does not copy: now it is known, and the next freeze copies it.
            if (exit_after) ckpt_thaw(CKPT_COMMAND_DONE);
            if (exit_after && c->has_hooks) end_hooks(CKPT_OUTCOME_CANCELLED);
            close_descriptors(c);
            c = begin(requesters->path);
            error = take(c, exit_after);
        }
        ckpt_sink_end(c);
        if (error == 0) ckpt_note_durable(c);
        report(c, error, requesters);
        ckpt_call(__NR_close_range, 0, ~0u, 0);
        // Give the memory of this checkpoint back.
        ckpt_call(__NR_madvise, ckpt_arena + CKPT_STRINGS_OFFSET, CKPT_ARENA_BYTES - CKPT_STRINGS_OFFSET, 4 /* MADV_DONTNEED */);
        if (exit_after && error == 0 && (ckpt_load(&control->epoch) & 1)) {
            ckpt_thaw(CKPT_COMMAND_EXIT);
            break;
        }
        if (ckpt_swap_if(&control->work, CKPT_WORK_RUNNING, CKPT_WORK_IDLE)) break;
        ckpt_store(&control->work, CKPT_WORK_RUNNING);
        control->began_ns = ckpt_clock(CKPT_CLOCK_MONOTONIC);
        control->ticket = ckpt_load(&ckpt_state.live.requested);
    }
    ckpt_exit_group(0);
}
