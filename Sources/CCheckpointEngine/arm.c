// SPDX-License-Identifier: Apache-2.0
// Arming and disarming: the arena, the beacon and the handlers; the door for plan time.
// Signal time: safe. System calls only; called at plan time, by one thread at a time.
#include "engine.h"

struct ckpt_live *ckpt_engine_live(void) { return &ckpt_state.live; }

void ckpt_engine_announce(void) {
    ckpt_add(&ckpt_state.live.event, 1);
    ckpt_futex_wake(&ckpt_state.live.event);
}

void ckpt_engine_wait_event(uint32_t seen, uint64_t timeout_ns) {
    // A killed scribe announces nothing: while one is at work, look after it from time to time.
    const uint64_t look_ns = 100000000;
    int working = ckpt_arena && ckpt_load(&ckpt_control()->work) != CKPT_WORK_IDLE;
    uint64_t limit = working && (timeout_ns == 0 || timeout_ns > look_ns) ? look_ns : timeout_ns;
    if (ckpt_load(&ckpt_state.live.event) == seen) ckpt_futex_wait(&ckpt_state.live.event, seen, limit);
    if (!ckpt_arena) return;
    uint64_t mask = ckpt_block_signals();
    ckpt_lock();
    if (ckpt_make_ready() == 0 && ckpt_load(&ckpt_control()->work) != CKPT_WORK_IDLE && ckpt_load(&ckpt_control()->scribe) == 0
        && ckpt_load(&ckpt_control()->work) != CKPT_WORK_IDLE)
        ckpt_bury_scribe();
    ckpt_unlock();
    ckpt_restore_signals(mask);
}

// Default, ignored or ours; a handler of the program is not taken away.
static int signal_is_free(int number) {
    struct ckpt_kernel_action now;
    if (number < 1 || number > 64 || number == 9 || number == 19 || number == 32 || number == CKPT_PARK_SIGNAL) return -CKPT_EINVAL_ERRNO;
    long result = ckpt_sigaction(number, NULL, &now);
    if (result < 0) return (int)result;
    return now.handler <= 1 || now.handler == (uint64_t)ckpt_trigger_entry ? 0 : -CKPT_EBUSY_ERRNO;
}

static void install_trigger(int number) {
    struct ckpt_kernel_action ours = {
        (uint64_t)ckpt_trigger_entry, CKPT_SA_SIGINFO | CKPT_SA_ONSTACK | CKPT_SA_RESTART | CKPT_SA_RESTORER,
        (uint64_t)ckpt_signal_return, ~0ull,
    };
    if (number) ckpt_sigaction(number, &ours, NULL);
}

static void remove_trigger(int number) {
    struct ckpt_kernel_action now, none = {0, 0, 0, 0}, ignored = {1, 0, 0, 0};
    if (!number || ckpt_sigaction(number, NULL, &now) < 0 || now.handler != (uint64_t)ckpt_trigger_entry) return;
    // Kernel: to ignore a signal drops what is pending of it, in every thread (sigaction(2)): a checkpoint that the timer asked
    // for must not end the program by the default action. Who asked for its end still gets it.
    if (number == ckpt_state.plan.signal) ckpt_sigaction(number, &ignored, NULL);
    ckpt_sigaction(number, &none, NULL);
}

// A mapping whose name others can read in /proc/PID/maps: a memfd, because every kernel names it.
static int raise_beacon(const struct ckpt_plan *plan) {
    char *end = ckpt_state.beacon_name + sizeof ckpt_state.beacon_name;
    char *to = ckpt_append(ckpt_state.beacon_name, end, "ckpt.1.");
    to = ckpt_append(ckpt_append_number(to, end, (uint64_t)plan->signal, 10, 1), end, ".");
    ckpt_append_number(to, end, (uint64_t)plan->exit_signal, 10, 1);
    long file = ckpt_call(__NR_memfd_create, ckpt_state.beacon_name, 1 /* MFD_CLOEXEC */);
    if (file < 0) return (int)file;
    long result = ckpt_call(__NR_ftruncate, file, CKPT_PAGE_SIZE);
    if (result == 0) result = ckpt_call(__NR_mmap, NULL, CKPT_PAGE_SIZE, 1 /* PROT_READ */, 1 /* MAP_SHARED */, file, 0);
    ckpt_close((int)file);
    if (result < 0 && result > -4096) return (int)result;
    ckpt_call(__NR_madvise, result, CKPT_PAGE_SIZE, 10 /* MADV_DONTFORK: a child is not enabled */);
    ckpt_state.beacon = (uint64_t)result;
    return 0;
}

static void lower_beacon(void) {
    if (ckpt_state.beacon) ckpt_call(__NR_munmap, ckpt_state.beacon, CKPT_PAGE_SIZE);
    ckpt_state.beacon = 0;
}

int ckpt_make_arena(void) {
    long address = ckpt_call(__NR_mmap, NULL, CKPT_ARENA_BYTES, 3, 0x4022 /* MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE */, -1, 0);
    if (address < 0 && address > -4096) return (int)address;
    ckpt_call(__NR_madvise, address, CKPT_ARENA_BYTES, 15 /* MADV_NOHUGEPAGE */);
    ckpt_call(__NR_madvise, address, CKPT_PAGE_SIZE, 18 /* MADV_WIPEONFORK, since 4.14 */);
    ckpt_arena = ckpt_state.arena = (uint64_t)address;
    return 0;
}

int ckpt_engine_arm(const struct ckpt_plan *plan) {
    struct ckpt_state *state = &ckpt_state;
    if (plan->version != CKPT_PLAN_VERSION || plan->byte_count != sizeof *plan || plan->image_path[0] != '/') return -CKPT_EINVAL_ERRNO;
    int error = signal_is_free(plan->signal);
    if (error == 0 && plan->exit_signal) error = plan->exit_signal == plan->signal ? -CKPT_EINVAL_ERRNO : signal_is_free(plan->exit_signal);
    if (error < 0) return error;
    if ((error = ckpt_try_filters()) < 0) return error;
    int disarmed = state->disarmed && state->pid == (int32_t)ckpt_getpid();
    if (ckpt_arena && !disarmed && ckpt_make_ready() < 0) {
        // A forked child that enables checkpoints for itself: nothing of its parent's arena is its own.
        // Order: the write access that the parent's tracker took away comes back while its table is there.
        ckpt_guard_close();
        ckpt_call(__NR_munmap, ckpt_arena, CKPT_ARENA_BYTES);
        ckpt_arena = 0;
        state->beacon = 0;
        state->tracker_descriptor = -1; // the parent's: it speaks of the parent's memory
        ckpt_memset(&state->live, 0, sizeof state->live);
    }
    int first = disarmed || ckpt_arena == 0;
    // Order: the timer before its signal's handler, by whose default action the program would end.
    if (!first) ckpt_stop_interval();
    if (ckpt_arena == 0 && (error = ckpt_make_arena()) < 0) return error;
    if (!first && (plan->signal != state->plan.signal || plan->exit_signal != state->plan.exit_signal)) {
        remove_trigger(state->plan.signal);
        remove_trigger(state->plan.exit_signal);
        lower_beacon();
    }
    int moved = first || !ckpt_same(state->plan.image_path, plan->image_path, ckpt_length(plan->image_path) + 1);
    if (!state->beacon && (error = raise_beacon(plan)) < 0) return error;
    ckpt_memcpy(&state->plan, plan, sizeof *plan);
    if (first) {
        state->live.version = 1;
        if (state->live.restart_count == 0) {
            state->live.restart.version = CKPT_RESTART_CONTEXT_VERSION;
            state->live.restart.restarts_here = state->live.restart.siblings = -1;
        }
        state->restart_seen = state->live.restart_count;
        state->pid = (int32_t)ckpt_getpid();
        ckpt_call(__NR_getrandom, &state->run, sizeof state->run, 0);
        state->sequence = 0;
        long length = ckpt_read_link(-100, "/proc/self/exe", state->executable, sizeof state->executable - 1);
        state->executable[length > 0 ? length : 0] = 0;
        if (!disarmed) state->tracker_descriptor = -1;
        state->base = 0;
        state->durable_ns = 0;
    }
    if (moved) {
        // Yesterday's image at this path may be replaced; one that appears later belongs to another run.
        state->head = ckpt_read_identifier(plan->image_path);
        state->own_head = 0;
        state->diverted = 0;
    }
    if ((error = ckpt_install_park_handler()) < 0 || (error = ckpt_prepare_interval(plan)) < 0) return error;
    state->disarmed = 0;
    ckpt_store(&ckpt_control()->armed, 1);
    ckpt_store(&state->live.armed, 1);
    // Order: the triggers last, because a signal may arrive at once.
    install_trigger(plan->signal);
    install_trigger(plan->exit_signal);
    ckpt_start_interval();
    return 0;
}

int ckpt_engine_disarm(void) {
    struct ckpt_state *state = &ckpt_state;
    if (!ckpt_arena || state->disarmed) return -CKPT_EINVAL_ERRNO;
    uint64_t before = ckpt_block_signals();
    ckpt_lock();
    // A forked child has no timer of its parent, but maybe one of its own with that id.
    if (ckpt_make_ready() == 0) ckpt_stop_interval();
    ckpt_unlock();
    ckpt_restore_signals(before);
    remove_trigger(state->plan.signal);
    remove_trigger(state->plan.exit_signal);
    for (;;) {
        uint64_t mask = ckpt_block_signals();
        ckpt_lock();
        int idle = ckpt_make_ready() < 0
            || (ckpt_load(&ckpt_control()->work) == CKPT_WORK_IDLE && ckpt_load(&ckpt_control()->inside) == 0);
        // Order: under the lock, so that a request of another thread finds the engine either armed or not.
        if (idle) ckpt_store(&ckpt_control()->armed, 0);
        ckpt_unlock();
        ckpt_restore_signals(mask);
        if (idle) break;
        ckpt_engine_wait_event(ckpt_load(&state->live.event), 1000000);
    }
    struct ckpt_kernel_action now;
    if (ckpt_sigaction(CKPT_PARK_SIGNAL, NULL, &now) == 0 && now.handler == (uint64_t)ckpt_park_entry) {
        // glibc's action is restored with its own flags; without one before us, the default.
        struct ckpt_kernel_action before = {ckpt_park_chain, CKPT_SA_SIGINFO | CKPT_SA_RESTART | CKPT_SA_RESTORER, now.restorer, 0};
        if (ckpt_park_chain <= 1) before.flags = 0, before.restorer = 0;
        else before.flags = CKPT_SA_SIGINFO | CKPT_SA_RESTART | CKPT_SA_RESTORER;
        ckpt_sigaction(CKPT_PARK_SIGNAL, &before, NULL);
    }
    ckpt_reap_scribe();
    ckpt_tracker_close();
    ckpt_store(&state->live.armed, 0);
    state->disarmed = 1;
    // The memory is given back, the addresses stay reserved: other threads may be on their way through the lock in there.
    ckpt_call(__NR_madvise, ckpt_arena, CKPT_ARENA_BYTES, 4 /* MADV_DONTNEED */);
    lower_beacon();
    ckpt_engine_announce();
    return 0;
}
