// SPDX-License-Identifier: Apache-2.0
// The trigger: a signal, or a call, starts the scribe and returns. A request during a checkpoint becomes one more afterwards.
// Signal time: safe. Runs on a stack of its own (entry.S) with all signals blocked; the lock is in the arena, is never
// held by the scribe (which may be killed), and is free in a forked child (MADV_WIPEONFORK).
#include "engine.h"

_Static_assert(offsetof(struct ckpt_control, inside) == 8, "entry.S");
_Static_assert(offsetof(struct ckpt_control, slot_count) == 12, "entry.S");
_Static_assert(offsetof(struct ckpt_control, cookie) == 16, "entry.S");
_Static_assert(offsetof(struct ckpt_control, lock) == 24, "entry.S");
_Static_assert(CKPT_SLOT_BYTES == 8192 && CKPT_SLOT_COUNT == 4096 && CKPT_SLOTS_OFFSET == 0x100000, "entry.S");
_Static_assert(offsetof(struct ckpt_siginfo, value) == 24 && sizeof(struct ckpt_siginfo) == 128, "entry.S, the kernel");

struct ckpt_state ckpt_state;
uint64_t ckpt_arena, ckpt_park_chain;

void ckpt_lock(void) {
    while (ckpt_exchange(&ckpt_control()->lock, 1)) ckpt_yield();
}
void ckpt_unlock(void) { ckpt_store(&ckpt_control()->lock, 0); }

// The park signal is glibc's own 33, because libdispatch's workers block every other one. glibc installs its handler at
// the first pthread_create, over ours; so this is looked at again before each freeze.
int ckpt_install_park_handler(void) {
    struct ckpt_kernel_action now, ours = {
        (uint64_t)ckpt_park_entry, CKPT_SA_SIGINFO | CKPT_SA_ONSTACK | CKPT_SA_RESTART | CKPT_SA_RESTORER,
        (uint64_t)ckpt_signal_return, ~0ull,
    };
    long result = ckpt_sigaction(CKPT_PARK_SIGNAL, NULL, &now);
    if (result < 0) return (int)result;
    if (now.handler == ours.handler) return 0;
    // Order: the chain before the handler, because a signal of glibc may arrive at once.
    ckpt_store(&ckpt_park_chain, now.handler);
    return (int)ckpt_sigaction(CKPT_PARK_SIGNAL, &ours, NULL);
}

int ckpt_make_ready(void) {
    struct ckpt_state *state = &ckpt_state;
    if (!ckpt_arena) return -1;
    if (ckpt_control()->armed) return 0;
    if (state->restart_seen == state->live.restart_count) return -1; // a forked child: not ours to checkpoint
    // A restarted process: the arena is new and empty.
    ckpt_call(__NR_madvise, ckpt_arena, CKPT_PAGE_SIZE, 18 /* MADV_WIPEONFORK, since 4.14 */);
    state->restart_seen = state->live.restart_count;
    state->pid = (int32_t)ckpt_getpid();
    state->run = state->live.restart.run;
    state->head = state->live.restart.head;
    state->own_head = 0;
    state->sequence = 0;
    state->diverted = 0;
    // The restart may have armed a tracker: what it calls clean is as in the image that was restarted.
    state->tracker_descriptor = state->live.restart.tracker_descriptor;
    state->tracker_device = state->live.restart.tracker_device;
    state->tracker_inode = state->live.restart.tracker_inode;
    state->base = state->tracker_descriptor >= 0 ? state->live.restart.image : 0;
    state->base_depth = state->live.restart.depth;
    state->base_page_count = ~0ull / 16; // not known: the first increment pays
    state->tracked_count = 0;
    state->tracks_exclusions = state->tracker_descriptor >= 0;
    state->durable_ns = 0; // another clock
    if (state->live.restart.image_path[0] == '/')
        ckpt_memcpy(state->plan.image_path, state->live.restart.image_path, CKPT_PATH_BYTES);
    ckpt_store(&ckpt_control()->armed, 1);
    return 0;
}

// The scribe was killed (SIGKILL cannot be blocked). Whoever notices it undoes what it left: frozen threads go on, the
// requesters get their answer.
void ckpt_bury_scribe(void) {
    struct ckpt_control *control = ckpt_control();
    struct ckpt_live *live = &ckpt_state.live;
    if (ckpt_load(&control->epoch) & 1) ckpt_thaw(CKPT_COMMAND_DONE);
    ckpt_leave_standing();
    struct ckpt_report *report = &live->reports[live->report_count % CKPT_REPORT_RING];
    ckpt_memset(report, 0, sizeof *report);
    report->outcome = CKPT_OUTCOME_FAILED;
    report->step = CKPT_STEP_DIED;
    report->error = -CKPT_ECANCELED;
    // Requests that came meanwhile too: the same scribe would have answered them.
    report->ticket = ckpt_load(&live->requested);
    report->realtime_ns = ckpt_clock(CKPT_CLOCK_REALTIME);
    ckpt_add(&live->report_count, 1);
    if (report->ticket > live->completed) ckpt_store(&live->completed, report->ticket);
    if (live->hooks && ckpt_load(&live->hook_phase) != CKPT_HOOK_IDLE) {
        live->hook_outcome = CKPT_OUTCOME_FAILED;
        ckpt_store(&live->hook_phase, CKPT_HOOK_AFTER);
    }
    ckpt_store(&control->work, CKPT_WORK_IDLE);
    ckpt_engine_announce();
}

// Collects the last scribe, which has ended or is about to.
void ckpt_reap_scribe(void) {
    struct ckpt_control *control = ckpt_control();
    if (!control->scribe_started) return;
    while (ckpt_load(&control->scribe)) ckpt_yield(); // Order: it shares its stack with the next one
    // Kernel: __WCLONE sees only children with another exit signal than SIGCHLD, so never one of the program's, should
    // the program have collected the scribe itself and the id be in use again.
    for (int i = 0; i < 1000 && ckpt_call(__NR_wait4, control->scribe_started, NULL, 0x80000001 /* __WCLONE | WNOHANG */, NULL) == 0; i++)
        ckpt_yield();
    control->scribe_started = 0;
}

// With the lock held. Returns the ticket of this request.
int64_t ckpt_start(uint32_t flags, uint64_t nonce) {
    struct ckpt_control *control = ckpt_control();
    struct ckpt_live *live = &ckpt_state.live;
    if (flags & CKPT_REQUEST_EXIT) ckpt_store(&control->exit_requested, 1);
    // `ckpt save` asks again when nobody comes: the same nonce is the same request.
    for (int i = 0; nonce && i < CKPT_NONCES; i++) if (ckpt_load(&control->nonces[i]) == nonce) nonce = 0;
    if (flags & CKPT_REQUEST_PERIODIC) ckpt_store(&control->periodic_requested, 1);
    ckpt_renew_interval();
    if (nonce)
        for (int i = 0; i < CKPT_NONCES; i++)
            if (__atomic_load_n(&control->nonces[i], __ATOMIC_SEQ_CST) == 0) { ckpt_store(&control->nonces[i], nonce); break; }
    // Order: before there is this ticket, which is not a dead scribe's to answer.
    if (ckpt_load(&control->work) != CKPT_WORK_IDLE && ckpt_load(&control->scribe) == 0) {
        if (ckpt_load(&control->work) != CKPT_WORK_IDLE) ckpt_bury_scribe();
    }
    int64_t ticket = (int64_t)ckpt_add(&live->requested, 1);
    if (ckpt_load(&live->deferrals) > 0) {
        // Order: the flag before the second look, because the last to leave looks at the flag after it has left.
        ckpt_store(&live->deferred, 1);
        if (ckpt_load(&live->deferrals) > 0 || ckpt_exchange(&live->deferred, 0) == 0) return ticket;
    }
    if (ckpt_load(&control->work) == CKPT_WORK_AGAIN || ckpt_swap_if(&control->work, CKPT_WORK_RUNNING, CKPT_WORK_AGAIN)) {
        ckpt_install_park_handler();
        ckpt_engine_announce(); // the scribe may be waiting for the last to leave `deferring`
        return ticket;
    }
    ckpt_reap_scribe();
    int error = ckpt_install_park_handler();
    ckpt_tracker_open();
    control->began_ns = ckpt_clock(CKPT_CLOCK_MONOTONIC);
    control->ticket = (uint64_t)ticket;
    ckpt_store(&control->work, CKPT_WORK_RUNNING);
    // CLONE_VM | CLONE_FILES | CLONE_UNTRACED | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID, exit signal 0. The handler
    // table is copied, all signals are blocked here and so in the scribe. Kernel: CLONE_CHILD_CLEARTID clears the word at
    // the end of the task in whatever way it ends, when the memory has other users (kernel/fork.c, mm_release).
    uint64_t clone_flags = 0x00000100 | 0x00000400 | 0x00800000 | 0x00100000 | 0x00200000;
    uint64_t stack = ckpt_arena + CKPT_SCRIBE_STACK_OFFSET + CKPT_SCRIBE_STACK_BYTES;
    long child = error < 0 ? error : ckpt_spawn(clone_flags, (void *)stack, &control->scribe, &control->scribe, ckpt_scribe);
    if (child > 0) {
        control->scribe_started = (uint32_t)child;
        return ticket;
    }
    ckpt_bury_scribe();
    struct ckpt_report *report = &live->reports[(live->report_count - 1) % CKPT_REPORT_RING];
    report->step = CKPT_STEP_SCRIBE;
    report->error = (int32_t)child;
    return ticket;
}

static void take_trigger(int number, const struct ckpt_siginfo *info) {
    if (ckpt_make_ready() < 0) return;
    struct ckpt_control *control = ckpt_control();
    // From a scribe whose park signals reach nobody: the first pthread_create since the request has put glibc's handler over ours.
    if (info->code == -1 && info->value == CKPT_INSTALL_PARK) { ckpt_install_park_handler(); return; }
    // The timer goes on while a checkpoint is taken; that one is it. Its scribe may have been killed: ckpt_start looks.
    if (ckpt_is_periodic(info) && ckpt_load(&control->work) != CKPT_WORK_IDLE && ckpt_load(&control->scribe) != 0) return;
    // Kernel: si_code SI_QUEUE (-1) comes from sigqueue only, with the value that the sender gave.
    uint32_t flags = number == ckpt_state.plan.exit_signal ? CKPT_REQUEST_EXIT : ckpt_is_periodic(info) ? CKPT_REQUEST_PERIODIC : 0;
    ckpt_start(flags, info->code == -1 ? info->value : 0);
}

// From entry.S, on the trigger's stack, with the lock held and all signals blocked.
__attribute__((visibility("hidden"), used)) void ckpt_trigger(int number, struct ckpt_siginfo *info, void *context) {
    // Order: before every other call.
    if (ckpt_is_filtered()) {
        // Not in a forked child.
        if (ckpt_control()->armed || ckpt_state.restart_seen != ckpt_state.live.restart_count) ckpt_refuse_filtered();
        return;
    }
    take_trigger(number, info);
    // Order: last, because signals of the program that came meanwhile count.
    ckpt_repeat_interrupted((uint64_t)context);
}

int64_t ckpt_engine_request(uint32_t flags) {
    if (!ckpt_arena) return -CKPT_EINVAL_ERRNO;
    int is_filtered = ckpt_is_filtered();
    uint64_t mask = ckpt_block_signals();
    ckpt_lock();
    int64_t ticket = ckpt_make_ready() < 0 ? -CKPT_EINVAL_ERRNO : is_filtered ? ckpt_refuse_filtered() : ckpt_start(flags, 0);
    ckpt_unlock();
    ckpt_restore_signals(mask);
    return ticket;
}
