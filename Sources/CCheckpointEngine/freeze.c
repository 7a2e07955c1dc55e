// SPDX-License-Identifier: Apache-2.0
// Freeze and thaw: every thread stops in its own signal frame, or none does.
// Signal time: safe. A parked thread runs on its slot's stack in the arena; the scribe waits with deadlines; a thread whose
// scribe was killed frees itself.
//
// Invariants
//   F1  `epoch` is odd exactly while a freeze is attempted or holds; each attempt has its own odd number.
//   F2  A thread is parked when its slot's `ready` is this epoch; it leaves when `epoch` is another.
//   F3  Frozen means: a listing of /proc/PID/task that began after every known thread was parked names no other one, and
//       `Threads:` counts the same. A parked thread starts no other, so nothing can come later. Workers of the kernel are
//       listed and do not count.
#include "engine.h"

#define COOKIE_MARK 0x434b505400000000ull
#define LOOK_NS 100000000ull

static int scribe_is_gone(struct ckpt_control *control) { return ckpt_load(&control->scribe) == 0; }

// From entry.S: this thread received the park signal of this epoch.
__attribute__((used)) void ckpt_park(struct ckpt_slot *slot, struct ckpt_siginfo *info, void *ucontext) {
    struct ckpt_control *control = ckpt_control();
    uint32_t epoch = (uint32_t)info->value;
    if (ckpt_load(&control->epoch) != epoch) return;
    slot->tid = (int32_t)ckpt_gettid();
    slot->ucontext = (uint64_t)ucontext;
    ckpt_call(__NR_arch_prctl, 0x1003 /* ARCH_GET_FS */, &slot->fs_base);
    ckpt_call(__NR_arch_prctl, 0x1004 /* ARCH_GET_GS */, &slot->gs_base);
    // Kernel: PR_GET_TID_ADDRESS needs CONFIG_CHECKPOINT_RESTORE (since 3.5); without it the address stays 0.
    slot->tid_address = 0;
    ckpt_call(__NR_prctl, 40, &slot->tid_address);
    slot->robust_list = slot->robust_list_byte_count = 0;
    ckpt_call(__NR_get_robust_list, 0, &slot->robust_list, &slot->robust_list_byte_count);
    ckpt_call(__NR_prctl, 16 /* PR_GET_NAME */, slot->name);
    slot->interrupted_pc = 0;
    slot->asked = slot->taken_count = 0;
    uint64_t usage[18]; // struct rusage
    slot->switches = ckpt_call(__NR_getrusage, 1 /* RUSAGE_THREAD */, usage) == 0 ? usage[16] : 0;
    ckpt_ask_attributes(slot);
    // The first to get here in this epoch captures what only a thread of the program can ask the kernel.
    int captor = ckpt_exchange(&control->captor, epoch) != epoch;
    if (captor) control->is_subreaper = ckpt_ask_subreaper();
    // Order: the record before `ready`, `ready` before the count that wakes the scribe.
    ckpt_store(&slot->ready, epoch);
    ckpt_add(&control->parked, 1);
    ckpt_futex_wake(&control->parked);
    uint32_t *word = captor ? &control->command : &control->epoch;
    uint32_t expected = captor ? CKPT_COMMAND_NONE : epoch;
    while (ckpt_load(&control->epoch) == epoch) {
        if (ckpt_load(&slot->asked)) {
            ckpt_move_pending(slot);
            continue;
        }
        uint32_t command = captor ? ckpt_load(&control->command) : 0;
        if (command == CKPT_COMMAND_CAPTURE) {
            ckpt_ask_timers();
            ckpt_capture_signals((struct ckpt_signal_action *)(ckpt_arena + CKPT_TABLES_OFFSET));
            ckpt_swap_if(&control->command, CKPT_COMMAND_CAPTURE, CKPT_COMMAND_DONE);
            ckpt_futex_wake(&control->command);
            continue;
        }
        if (ckpt_futex_wait(word, captor ? command : expected, LOOK_NS) == -CKPT_ETIMEDOUT && scribe_is_gone(control)
            && ckpt_load(&control->epoch) == epoch)
            ckpt_thaw(CKPT_COMMAND_DONE);
    }
    ckpt_give_back(slot);
    if (ckpt_load(&control->command) == CKPT_COMMAND_EXIT) ckpt_exit_group(ckpt_state.plan.exit_status);
    ckpt_leave_blocked(slot);
}

// Every thread goes on. EXIT: they end the process with the planned status instead.
void ckpt_thaw(uint32_t command) {
    struct ckpt_control *control = ckpt_control();
    ckpt_store(&control->cookie, 0);
    ckpt_store(&control->command, command);
    // Order: the command before the epoch, because a thread reads it after it saw the epoch change.
    uint32_t epoch = ckpt_load(&control->epoch);
    if (epoch & 1) ckpt_swap_if(&control->epoch, epoch, epoch + 1);
    ckpt_futex_wake(&control->epoch);
    ckpt_futex_wake(&control->command);
}

struct known_thread { int32_t proc_tid, tid; uint32_t parked; };
struct roster {
    struct known_thread *threads;
    uint32_t count, parked, ended_leader;
    uint32_t workers;           // of the kernel, in the last listing
};

static long read_task_file(struct ckpt_checkpoint *c, int32_t proc_tid, const char *name, char *buffer, size_t byte_count) {
    char path[64], *end = path + sizeof path;
    char *to = ckpt_append(path, end, "task/");
    to = ckpt_append_number(to, end, (uint64_t)proc_tid, 10, 1);
    ckpt_append(ckpt_append(to, end, "/"), end, name);
    return ckpt_read_text(c->proc, path, buffer, byte_count);
}

// The id of a thread in the program's own namespace: the last number of "NSpid:" (since 4.1).
int32_t ckpt_own_tid(struct ckpt_checkpoint *c, int32_t proc_tid) {
    if (!c->foreign_proc) return proc_tid;
    char *text = (char *)(ckpt_arena + CKPT_SCRATCH_OFFSET + (1 << 20));
    if (read_task_file(c, proc_tid, "status", text, 8192) < 0) return -1;
    for (char *line = text; *line;) {
        if (ckpt_same(line, "NSpid:", 6)) {
            uint64_t number = 0;
            for (line += 6; *line == '\t' || *line == ' ';) line = (char *)ckpt_number(line + 1, 10, &number);
            return (int32_t)number;
        }
        while (*line && *line != '\n') line++;
        if (*line) line++;
    }
    return -1;
}

// Kernel: io_uring runs requests that would block in threads of the program that never leave the kernel and block every signal
// (since 5.12, create_io_thread); the last of them stays when its ring is gone. The ninth field of /proc/PID/task/T/stat has
// their flag. They are no threads of the program: what they write while a ring is open is not tracked (direct_io.c).
#define IO_WORKER 0x10u // PF_IO_WORKER
#define STATE_WORKER 'K'

// As in /proc/PID/task/T/stat; 'X': it is not there; 'K': a worker of the kernel.
static char thread_state(struct ckpt_checkpoint *c, int32_t proc_tid) {
    char *text = (char *)(ckpt_arena + CKPT_SCRATCH_OFFSET + (1 << 20));
    if (read_task_file(c, proc_tid, "stat", text, 4096) <= 0) return 'X';
    uint64_t flags = 0;
    char state = *ckpt_stat_field(text, 3);
    ckpt_number(ckpt_stat_field(text, 9), 10, &flags);
    if (!state) return 'X';
    return flags & IO_WORKER ? STATE_WORKER : state;
}

// Lists the threads; queues the park signal to those not known yet. Returns how many are listed, or a negative errno.
static long signal_threads(struct ckpt_checkpoint *c, struct roster *roster, int tasks, uint32_t epoch, uint32_t *fresh) {
    uint8_t *entries = (uint8_t *)(ckpt_arena + CKPT_SCRATCH_OFFSET);
    long listed = 0;
    uint32_t hint = 0;
    long self = ckpt_getpid();
    *fresh = 0;
    roster->workers = 0;
    ckpt_call(__NR_lseek, tasks, 0, 0);
    for (;;) {
        long got = ckpt_call(__NR_getdents64, tasks, entries, 1 << 16);
        if (got < 0) return got;
        if (got == 0) break;
        for (long at = 0; at < got; at += *(uint16_t *)(entries + at + 16)) {
            uint64_t number;
            const char *name = (const char *)(entries + at + 19);
            if (ckpt_number(name, 10, &number) == name) continue;
            listed++;
            int32_t proc_tid = (int32_t)number;
            uint32_t i = 0;
            while (i < roster->count && roster->threads[(hint + i) % roster->count].proc_tid != proc_tid) i++;
            if (i < roster->count) { hint = (hint + i + 1) % roster->count; continue; }
            // Only where there was one: a file of /proc for each thread would be a part of the pause.
            if (ckpt_state.has_workers && thread_state(c, proc_tid) == STATE_WORKER) { roster->workers++; continue; }
            if (roster->count == CKPT_THREADS_MAX) return -7; // E2BIG
            int32_t tid = ckpt_own_tid(c, proc_tid);
            struct ckpt_siginfo info;
            ckpt_memset(&info, 0, sizeof info);
            info.number = CKPT_PARK_SIGNAL;
            // Kernel: exec resets the handler to the default, which for this signal is death, but keeps what is pending,
            // except what has si_code SI_TIMER (flush_itimer_signals in begin_new_exec). So a signal that is on its way
            // when the program execs is dropped; the check of the memory keeps later ones from being sent.
            info.code = -2;
            // Kernel: a task that has ended, or has another program by now, has other memory. One that is ending vanishes
            // from the list; the leader stays in it as a zombie.
            if (tid > 0 && ckpt_call(__NR_kcmp, self, tid, 1 /* KCMP_VM */, 0, 0) > 0) {
                if (proc_tid != c->proc_pid || thread_state(c, proc_tid) != 'Z') continue;
                roster->threads[roster->count++] = (struct known_thread){proc_tid, tid, 2};
                roster->parked++;
                roster->ended_leader = 1;
                continue;
            }
            info.value = COOKIE_MARK | epoch;
            // Kernel: only rt_tgsigqueueinfo, never a plain tgkill: glibc's own handler of 33 crashes on one it did not expect.
            long result = tid < 0 ? -CKPT_ESRCH : ckpt_call(__NR_rt_tgsigqueueinfo, c->pid, tid, CKPT_PARK_SIGNAL, &info);
            if (result == -CKPT_ESRCH) continue;
            if (result < 0) { c->stuck_tid = tid; return result; }
            roster->threads[roster->count++] = (struct known_thread){proc_tid, tid, 0};
            (*fresh)++;
            hint = 0;
        }
    }
    return listed;
}

// Marks those whose slot is ready.
static void note_parked(struct ckpt_checkpoint *c, struct roster *roster, uint32_t epoch) {
    struct ckpt_control *control = ckpt_control();
    uint32_t claimed = ckpt_load(&control->slot_count) - control->slot_first;
    if (claimed > CKPT_SLOT_COUNT) claimed = CKPT_SLOT_COUNT;
    for (uint32_t s = 0; s < claimed; s++) {
        struct ckpt_slot *slot = ckpt_slot(control->slot_first + s);
        if (ckpt_load(&slot->ready) != epoch) continue;
        for (uint32_t i = 0; i < roster->count; i++)
            if (roster->threads[i].tid == slot->tid) {
                if (roster->threads[i].parked) break;
                roster->threads[i].parked = 1;
                roster->parked++;
                ckpt_mend_blocked(c, slot, roster->threads[i].proc_tid, i);
                break;
            }
    }
}

static uint32_t count_of_threads(struct ckpt_checkpoint *c) {
    char *text = (char *)(ckpt_arena + CKPT_SCRATCH_OFFSET + (1 << 20));
    uint64_t count = 0;
    if (ckpt_read_text(c->proc, "status", text, 8192) > 0) ckpt_find_field(text, "Threads:", 10, &count);
    return (uint32_t)count;
}

// Forgets threads that ended, or are none of the program; finds a leader that called pthread_exit and stays as a zombie.
static void forget_ended(struct ckpt_checkpoint *c, struct roster *roster) {
    for (uint32_t i = 0; i < roster->count; i++) {
        struct known_thread *thread = &roster->threads[i];
        if (thread->parked) continue;
        char state = thread_state(c, thread->proc_tid);
        if (state != 'Z' && state != 'X' && state != STATE_WORKER) continue;
        if (state == STATE_WORKER) ckpt_state.has_workers = 1;
        if (thread->proc_tid == c->proc_pid) {
            if (roster->count > 1 && !roster->ended_leader) { roster->ended_leader = 1; thread->parked = 2; roster->parked++; }
        } else {
            *thread = roster->threads[--roster->count];
            i--;
        }
    }
}

static int freeze_once(struct ckpt_checkpoint *c, int tasks, uint64_t deadline) {
    struct ckpt_control *control = ckpt_control();
    struct roster roster = {.threads = (struct known_thread *)(ckpt_arena + CKPT_SCRATCH_OFFSET + (2 << 20))};
    // Threads of an earlier epoch must have left their slots.
    while (ckpt_load(&control->inside) > 0) {
        if (ckpt_clock(CKPT_CLOCK_MONOTONIC) > deadline) return -CKPT_ETIMEDOUT;
        ckpt_sleep(50000);
    }
    ckpt_store(&control->parked, 0);
    ckpt_store(&control->command, CKPT_COMMAND_NONE);
    control->timer_count = 0;
    control->slot_first = ckpt_load(&control->slot_count);
    uint32_t epoch = ckpt_load(&control->epoch) + 1;
    ckpt_store(&control->epoch, epoch);
    // Order: the cookie last; from here on a signal of this epoch parks its thread.
    ckpt_store(&control->cookie, COOKIE_MARK | epoch);
    uint64_t patience_ns = 200000;
    for (;;) {
        uint32_t seen = ckpt_load(&control->parked), fresh;
        long listed = signal_threads(c, &roster, tasks, epoch, &fresh);
        if (listed < 0) return (int)listed;
        if (listed == 0 || roster.count == 0) return -CKPT_ESRCH; // the program has ended
        note_parked(c, &roster, epoch);
        if (fresh == 0 && roster.parked == roster.count && (uint32_t)listed == roster.count + roster.workers) {
            if (count_of_threads(c) != roster.count + roster.workers) continue;
            c->thread_count = roster.count;
            for (uint32_t i = 0; i < roster.count; i++)
                if (roster.threads[i].parked == 1) c->live_tid = roster.threads[i].proc_tid;
            return 0;
        }
        if (ckpt_clock(CKPT_CLOCK_MONOTONIC) > deadline) {
            for (uint32_t i = 0; i < roster.count; i++)
                if (!roster.threads[i].parked) {
                    c->stuck_tid = roster.threads[i].tid;
                    char *text = (char *)(ckpt_arena + CKPT_SCRATCH_OFFSET + (1 << 20));
                    long length = read_task_file(c, roster.threads[i].proc_tid, "comm", text, 64);
                    for (long k = 0; k < 15 && k < length && text[k] != '\n'; k++) c->stuck_name[k] = (uint8_t)text[k];
                    break;
                }
            return -CKPT_ETIMEDOUT;
        }
        if (roster.parked < roster.count) {
            if (ckpt_futex_wait(&control->parked, seen, patience_ns) == -CKPT_ETIMEDOUT) {
                forget_ended(c, &roster);
                if (patience_ns < 5000000) patience_ns *= 2;
            }
            // Wait for all that are known before the next look at /proc.
            while (ckpt_load(&control->parked) < roster.count - roster.ended_leader) {
                seen = ckpt_load(&control->parked);
                if (seen >= roster.count - roster.ended_leader) break;
                if (ckpt_futex_wait(&control->parked, seen, patience_ns) == -CKPT_ETIMEDOUT) break;
            }
        }
    }
}

static void undo(void) {
    ckpt_thaw(CKPT_COMMAND_DONE);
}

// Nobody was parked: our handler may have been replaced, and only a thread of the program can put it back.
static void ask_for_handler(struct ckpt_checkpoint *c) {
    struct ckpt_siginfo info;
    ckpt_memset(&info, 0, sizeof info);
    info.number = ckpt_state.plan.signal;
    info.code = -1; // SI_QUEUE
    info.value = CKPT_INSTALL_PARK;
    ckpt_call(__NR_rt_sigqueueinfo, c->pid, ckpt_state.plan.signal, &info);
}

// Parks every thread, or none. Attempts are repeated, because what cannot be parked now (a thread in vfork) often can a
// moment later; between them the program runs.
int ckpt_freeze(struct ckpt_checkpoint *c) {
    const struct ckpt_plan *plan = &ckpt_state.plan;
    long tasks = ckpt_openat(c->proc, "task", 0200000 | 02000000 /* O_DIRECTORY | O_CLOEXEC */);
    if (tasks < 0) return (int)tasks;
    uint64_t give_up = ckpt_clock(CKPT_CLOCK_MONOTONIC) + plan->freeze_patience_ns;
    uint64_t pause_ns = 10000000;
    int error = ckpt_look_for_filters(c, (int)tasks);
    for (int may = error == 0; may;) {
        c->attempts++;
        ckpt_look_at_blocked(c, (int)tasks);
        c->pause_began_ns = ckpt_clock(CKPT_CLOCK_MONOTONIC);
        error = freeze_once(c, (int)tasks, c->pause_began_ns + plan->freeze_deadline_ns);
        if (error == 0) break;
        if (error == -CKPT_ETIMEDOUT && ckpt_load(&ckpt_control()->parked) == 0) ask_for_handler(c);
        undo();
        if (error == -CKPT_ESRCH || ckpt_clock(CKPT_CLOCK_MONOTONIC) + pause_ns > give_up) break;
        ckpt_sleep(pause_ns);
        if (pause_ns < 200000000) pause_ns *= 2;
    }
    ckpt_close((int)tasks);
    return error;
}
