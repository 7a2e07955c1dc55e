// SPDX-License-Identifier: Apache-2.0
// The scribe: the process that takes one checkpoint. It shares the program's memory, but not its descriptors, signals or
// session, and lives for one checkpoint (one more when a request came meanwhile).
// Signal time: safe. Its own stack in the arena, system calls only; it may be killed at any instruction.
#include "engine.h"

#ifdef CKPT_TEST_HOOKS
void (*ckpt_test_frozen)(void);
uint32_t ckpt_test_hot_pages = 32768;
struct ckpt_unforked ckpt_test_swapped, ckpt_test_shared;
#endif

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

// Hooks, where they are wanted, and freeze, until they succeed with nobody inside `deferring`.
int ckpt_freeze_undeferred(struct ckpt_checkpoint *c, int with_hooks) {
    for (;;) {
        int error, hooks = with_hooks && ckpt_load(&ckpt_state.live.hooks) > 0;
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

struct result { int32_t error; uint32_t step; uint64_t page_byte_count, memory_byte_count, page_count, excluded_byte_count, stored_byte_count; struct ckpt_unforked missing; };

static int wait_for_writer(struct ckpt_checkpoint *c, long writer, int results) {
    struct result result;
    long got;
    do got = ckpt_read(results, &result, sizeof result); while (got == -CKPT_EINTR);
    if (got != (long)sizeof result) { result.error = -CKPT_ECANCELED; result.step = CKPT_STEP_DIED; }
    ckpt_call(__NR_wait4, writer, NULL, 0x40000000 /* __WALL */, NULL);
    if (result.error == -CKPT_EAGAIN) {
        int error = ckpt_remember_unforked(c, &result.missing);
        return error == 0 ? -CKPT_EAGAIN : fail(c, error == -CKPT_ENOSPC ? CKPT_STEP_ARENA : CKPT_STEP_SNAPSHOT, error);
    }
    if (result.error < 0) return fail(c, result.step, result.error);
    c->page_byte_count = result.page_byte_count;
    c->memory_byte_count = result.memory_byte_count;
    c->page_count = result.page_count;
    c->report.excluded_byte_count = result.excluded_byte_count;
    c->stored_byte_count = result.stored_byte_count;
    return 0;
}

// In the copy-on-write child: a copy of the frozen program, which writes itself and ends.
static void be_writer(struct ckpt_checkpoint *c, int results, long scribe) {
    ckpt_call(__NR_prctl, 1 /* PR_SET_PDEATHSIG */, 9);
    if (ckpt_call(__NR_getppid) != scribe) ckpt_exit_group(1); // it died before the line above
    ckpt_call(__NR_prctl, 15 /* PR_SET_NAME */, "ckpt-writer");
    // The image holds the engine as it will be after a restart: idle, with every request answered (settle says the same).
    struct ckpt_live *live = &ckpt_state.live;
    live->completed = live->requested;
    live->deferred = 0;
    live->hook_phase = CKPT_HOOK_IDLE;
    live->restart_count++;
    live->event++;
    struct result result = {0, 0, 0, 0, 0, 0, 0, {0, 0}};
    result.error = ckpt_write_image(c, &result.missing);
    result.step = c->step ? c->step : CKPT_STEP_WRITE;
    result.page_byte_count = c->page_byte_count;
    result.memory_byte_count = c->memory_byte_count;
    result.page_count = c->page_count;
    result.excluded_byte_count = c->report.excluded_byte_count;
    result.stored_byte_count = c->stored_byte_count;
    ckpt_write(results, &result, sizeof result);
    ckpt_exit_group(0);
}

// The same in the copies that the freeze made.
static void settle(struct ckpt_checkpoint *c) {
    const struct ckpt_live *live = &ckpt_state.live;
    const uint32_t none = 0, idle = CKPT_HOOK_IDLE, event = live->event + 1;
    const uint64_t restarts = live->restart_count + 1;
    ckpt_patch_hot(c, &live->completed, &live->requested, sizeof live->completed);
    ckpt_patch_hot(c, &live->deferred, &none, sizeof none);
    ckpt_patch_hot(c, &live->hook_phase, &idle, sizeof idle);
    ckpt_patch_hot(c, &live->restart_count, &restarts, sizeof restarts);
    ckpt_patch_hot(c, &live->event, &event, sizeof event);
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

// Chooses between a full image and an increment, then copies what can be copied while the program runs.
static int prepare(struct ckpt_checkpoint *c) {
    const struct ckpt_plan *plan = &ckpt_state.plan;
    // An image that a requester named stands alone, and must not take the changes away from the program's own chain.
    c->tracked = plan->tracker != CKPT_TRACKER_NONE && !c->named && ckpt_tracker_is_open() && !ckpt_has_requests_in_flight(c);
    int error = ckpt_copy_begin(c);
    if (error == 0) error = ckpt_ledger_begin(c);
    if (error < 0) return error;
    if (!c->tracked) {
        ckpt_output_begin(c);
        error = ckpt_note_advice_alone(c);
        return error < 0 ? error : ckpt_precopy_objects(c);
    }
    uint64_t parent = ckpt_state.base;
    c->increment = parent && ckpt_state.base_depth < plan->chain_length && ckpt_has_base(c) && ckpt_increment_pays(c);
    if (c->increment) {
        c->ident.parent = parent;
        c->ident.depth = ckpt_state.base_depth + 1;
    }
    ckpt_output_begin(c);
    if ((error = ckpt_precopy_objects(c)) < 0 || (error = ckpt_precopy(c)) < 0) return error;
    return ckpt_precopy_objects_again(c);
}

// In the freeze: the pages that are left. *by_child: they are so many that a copy-on-write child is the shorter pause.
static int copy_rest(struct ckpt_checkpoint *c, int *by_child) {
    uint64_t page_count = 0, populated = (uint64_t)c->ledger.count * CKPT_BLOCK_PAGES;
    *by_child = 1;
    int error = ckpt_copy_objects_at_last(c);
    if (error < 0 || !c->tracked) return error;
    error = ckpt_final_scan(c, &page_count);
    if (error < 0) return error;
    // Kernel: fork copies page tables, 13 ms for each GiB that is populated: as long as copying 4 % of it.
    uint64_t limit = populated / 24 > ckpt_budget_pages() ? populated / 24 : ckpt_budget_pages();
    *by_child = page_count > limit || page_count + CKPT_HOT_RESERVE > CKPT_HOT_PAGES - c->hot_count;
    error = ckpt_final_copy(c, *by_child);
    ckpt_leave_guard_pages(c);
    return error;
}

static int finish(struct ckpt_checkpoint *c) {
    int error = ckpt_write_blobs(c);
    if (error == 0) error = ckpt_flush_hot(c);
    if (error == 0) error = ckpt_build_runs(c);
    if (error == 0) error = ckpt_write_notes(c);
    int finished = ckpt_output_finish(c);
    return error < 0 ? error : finished;
}

// What the program loses to this checkpoint: its pause, and a fault for each page that it will write again (1.2 µs).
static uint64_t cost(const struct ckpt_checkpoint *c) {
    const struct ckpt_report *r = &c->report;
    return r->pause_ns + (r->precopied_byte_count + r->frozen_byte_count) / CKPT_PAGE_SIZE * 1200 + (r->by_child ? r->write_ns / 8 : 0);
}

// What is clean from now on is as in this image.
static void adopt_base(struct ckpt_checkpoint *c) {
    struct ckpt_state *state = &ckpt_state;
    if (!c->tracked) return;
    state->tracked_half++;
    state->tracked_count = c->tracked_count;
    state->base_depth = c->ident.depth;
    state->base_page_count = c->page_count;
    state->base = c->ident.identifier;
}

static int take(struct ckpt_checkpoint *c, int exit_after) {
    int results[2] = {-1, -1}, error, by_child = 1;
    if ((error = fail(c, CKPT_STEP_PROC, find_program(c))) < 0) return error;
    if (ckpt_state.diverted && !c->named && (error = fail(c, CKPT_STEP_OPEN, ckpt_divert(c))) < 0) return error;
    // Whether the image can be written at all is known before the program is disturbed.
    if ((error = fail(c, CKPT_STEP_OPEN, ckpt_output_open(c))) < 0) return error;
    if (ckpt_state.plan.sink_path[0] && (error = ckpt_sink_start(c)) < 0) return error;
    if ((error = fail(c, CKPT_STEP_SCRIBE, (int)ckpt_call(__NR_pipe2, results, 02000000))) < 0) return error;
    ckpt_capture_processor(c);
    ckpt_find_ordinary(c);
    identify(c);
    if ((error = fail(c, CKPT_STEP_WRITE, prepare(c))) < 0) return error;
    if ((error = ckpt_freeze_undeferred(c, 1)) < 0) {
        if (c->has_hooks) end_hooks(c->step == CKPT_STEP_HOOK ? CKPT_OUTCOME_CANCELLED : CKPT_OUTCOME_FAILED);
        return error;
    }
    uint64_t parked_ns = ckpt_clock(CKPT_CLOCK_MONOTONIC);
    c->frozen = 1;
    c->exclusion_mark = ckpt_exclusions_mark();
    // Requests up to here are answered by this image.
    ckpt_store(&ckpt_control()->ticket, ckpt_load(&ckpt_state.live.requested));
    error = fail(c, CKPT_STEP_CAPTURE, ckpt_capture(c));
    // Direct I/O that began after the first look: what was copied while it ran proves nothing. Once more, now that it is known.
    if (error == 0 && c->tracked && !ckpt_state.direct_io)
        for (uint32_t i = 0; i < c->descriptor_count; i++) if (c->descriptors[i].status_flags & 040000) error = -CKPT_EAGAIN;
    if (error == 0) error = fail(c, CKPT_STEP_TRACKER, copy_rest(c, &by_child));
#ifdef CKPT_TEST_HOOKS
    if (error == 0 && ckpt_test_frozen) ckpt_test_frozen();
#endif
    long writer = -1, scribe = ckpt_getpid();
    if (error == 0) c->process.pause_ns = ckpt_clock(CKPT_CLOCK_MONOTONIC) - c->pause_began_ns;
    if (error == 0 && !by_child) settle(c);
    if (error == 0 && by_child) error = fail(c, CKPT_STEP_CAPTURE, ckpt_capture_unforked(c));
    if (error == 0 && by_child) {
        // Kernel: clone without CLONE_VM copies the page tables, 13 ms for each GiB populated; exit signal SIGCHLD.
        writer = ckpt_call(__NR_clone, 17, 0, 0, 0, 0);
        if (writer == 0) be_writer(c, results[1], scribe);
        error = fail(c, CKPT_STEP_SNAPSHOT, writer < 0 ? (int)writer : 0);
    }
    uint64_t thawed_ns = ckpt_clock(CKPT_CLOCK_MONOTONIC);
    if (!exit_after || error < 0) ckpt_thaw(CKPT_COMMAND_DONE);
    if (c->has_hooks && !exit_after) end_hooks(error < 0 ? CKPT_OUTCOME_FAILED : CKPT_OUTCOME_SAVED);
    c->report.park_ns = parked_ns - c->pause_began_ns;
    c->report.pause_ns = thawed_ns - c->pause_began_ns + c->early_pause_ns;
    c->report.thread_count = c->thread_count;
    c->report.by_child = (uint32_t)by_child;
    if (error == 0 && by_child) {
        ckpt_close(results[1]);
        error = wait_for_writer(c, writer, results[0]);
        ckpt_close(results[0]);
    } else if (error == 0) {
        error = fail(c, CKPT_STEP_WRITE, finish(c));
    }
    if (error == 0) error = ckpt_commit(c);
    if (error == 0) adopt_base(c);
    c->report.write_ns = ckpt_clock(CKPT_CLOCK_MONOTONIC) - thawed_ns;
    if (error == 0) ckpt_state.cost_ns = cost(c);
    if (exit_after && error < 0) {
        ckpt_thaw(CKPT_COMMAND_DONE);
        if (c->has_hooks) end_hooks(CKPT_OUTCOME_FAILED);
    }
    return error;
}

// Everything but the tracker, which is the program's too.
static void close_all(uint32_t flags) {
    uint32_t kept = ckpt_tracker_is_open() ? (uint32_t)ckpt_state.tracker_descriptor : ~0u;
    if (kept > 0) ckpt_call(__NR_close_range, 0, kept - (kept != ~0u), flags);
    if (kept != ~0u) ckpt_call(__NR_close_range, kept + 1, ~0u, flags);
}

// An attempt is over, with whatever came of it.
static void end_attempt(struct ckpt_checkpoint *c) {
    ckpt_output_end(c);
    ckpt_sink_end(c);
    ckpt_close_objects(c);
    const int descriptors[] = {c->proc, c->output, c->directory, c->replaced, c->parent_map, c->map, c->memory};
    for (unsigned i = 0; i < sizeof descriptors / sizeof *descriptors; i++) if (descriptors[i] >= 0) ckpt_close(descriptors[i]);
}

// Gives the memory of a checkpoint back.
static void empty_arena(void) {
    ckpt_call(__NR_madvise, ckpt_arena + CKPT_STRINGS_OFFSET, CKPT_EMPTIED_BYTES, 4 /* MADV_DONTNEED */);
}

void ckpt_scribe(void) {
    struct ckpt_control *control = ckpt_control();
    // Order: unshare before anything else is opened. A copied table would delay the program's pipe ends and keep its locks.
    close_all(2 /* CLOSE_RANGE_UNSHARE, since 5.9 */);
    ckpt_call(__NR_setsid);
    ckpt_call(__NR_prctl, 15 /* PR_SET_NAME */, "ckpt-scribe");
    ckpt_call(__NR_chdir, "/");
    ckpt_take_standing();
    // Descriptors 0–2 are nobody's: what is opened below may get these numbers.
    // A scribe that was killed has left its arena as it was, and its helpers may still be on their way out.
    ckpt_output_forget();
    empty_arena();
    for (;;) {
        struct ckpt_requesters *requesters = (struct ckpt_requesters *)(ckpt_arena + CKPT_SCRIBE_STACK_OFFSET - sizeof(struct ckpt_requesters) - 64);
        ckpt_memset(requesters, 0, sizeof *requesters);
        ckpt_connect_requesters(requesters);
        int exit_after = (int)ckpt_exchange(&control->exit_requested, 0) | requesters->exit_after;
        struct ckpt_checkpoint *c = begin(requesters->path);
        int error = ckpt_too_soon(c, exit_after);
        if (error == 0) error = take(c, exit_after);
        for (uint32_t again = 0; again < CKPT_UNFORKED_MAX && error == -CKPT_EAGAIN && c->step == CKPT_STEP_NONE; again++) {
            // Memory was found that fork does not copy: now it is known, and the next freeze copies it.
            if (exit_after) ckpt_thaw(CKPT_COMMAND_DONE);
            if (exit_after && c->has_hooks) end_hooks(CKPT_OUTCOME_CANCELLED);
            end_attempt(c);
            empty_arena();
            c = begin(requesters->path);
            error = take(c, exit_after);
        }
        end_attempt(c);
        if (error == 0) ckpt_note_durable(c);
        ckpt_tell(c, error, requesters);
        close_all(0);
        empty_arena();
        if (exit_after && error == 0 && (ckpt_load(&control->epoch) & 1)) {
            ckpt_thaw(CKPT_COMMAND_EXIT);
            break;
        }
        if (ckpt_swap_if(&control->work, CKPT_WORK_RUNNING, CKPT_WORK_IDLE)) break;
        ckpt_store(&control->work, CKPT_WORK_RUNNING);
        control->began_ns = ckpt_clock(CKPT_CLOCK_MONOTONIC);
        control->ticket = ckpt_load(&ckpt_state.live.requested);
    }
    ckpt_leave_standing();
    ckpt_exit_group(0);
}
