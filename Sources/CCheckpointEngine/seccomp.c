// SPDX-License-Identifier: Apache-2.0
// Seccomp filters: those that the program was started with (a container's), and those that it has installed itself, which may
// end it for a call that a checkpoint makes. So no checkpoint begins behind a filter that was not tried.
// Signal time: safe. A look is one call where there is no filter; the trial, at plan time, is made by a child.
#include "engine.h"

enum { GET_SECCOMP = 21, SET_DUMPABLE = 4 };

// Filters of the calling thread. Kernel: "Seccomp_filters:" since 5.11. Read in small pieces: the handler's stack is small.
static uint32_t count_filters(void) {
    static const char pattern[] = "\nSeccomp_filters:\t";
    char piece[512];
    uint64_t count = 0;
    uint32_t matched = 0, digits = 0, is_over = 0;
    long file = ckpt_open("/proc/thread-self/status", 02000000, 0), got;
    while (file >= 0 && !is_over && (got = ckpt_read((int)file, piece, sizeof piece)) > 0)
        for (long i = 0; i < got && !is_over; i++) {
            if (matched < sizeof pattern - 1) {
                matched = piece[i] == pattern[matched] ? matched + 1 : piece[i] == '\n';
            } else if (piece[i] >= '0' && piece[i] <= '9') {
                count = count * 10 + (uint64_t)(piece[i] - '0');
                digits++;
            } else is_over = 1;
        }
    if (file >= 0) ckpt_close((int)file);
    return digits ? (uint32_t)count : 1;
}

static int has_filters(void) {
    long mode = ckpt_call(__NR_prctl, GET_SECCOMP);
    return mode != 0 && mode != -CKPT_EINVAL_ERRNO; // a kernel without seccomp
}

// Before the program has run: what is there now is not its own.
__attribute__((constructor)) static void note_inherited_filters(void) {
    if (has_filters()) ckpt_state.inherited_filters = ckpt_state.accepted_filters = count_filters();
}

int ckpt_is_filtered(void) { return has_filters() && count_filters() > ckpt_load(&ckpt_state.accepted_filters); }

// A report without a checkpoint. With the trigger's lock held, and no call that a filter could have forbidden but a futex's.
int64_t ckpt_refuse_filtered(void) {
    struct ckpt_control *control = ckpt_control();
    struct ckpt_live *live = &ckpt_state.live;
    int64_t ticket = (int64_t)ckpt_add(&live->requested, 1);
    // The scribe at work answers: it looks itself.
    if (ckpt_load(&control->work) == CKPT_WORK_AGAIN || ckpt_swap_if(&control->work, CKPT_WORK_RUNNING, CKPT_WORK_AGAIN)) return ticket;
    struct ckpt_report *report = &live->reports[live->report_count % CKPT_REPORT_RING];
    ckpt_memset(report, 0, sizeof *report);
    report->outcome = CKPT_OUTCOME_FAILED;
    report->step = CKPT_STEP_SECCOMP;
    report->error = -CKPT_EPERM;
    report->ticket = (uint64_t)ticket;
    ckpt_add(&live->report_count, 1);
    ckpt_store(&live->completed, (uint64_t)ticket);
    ckpt_engine_announce();
    return ticket;
}

// By the scribe, before it sends a signal to any thread: a filter may be one thread's alone.
int ckpt_look_for_filters(struct ckpt_checkpoint *c, int tasks) {
    uint8_t *entries = (uint8_t *)(ckpt_arena + CKPT_SCRATCH_OFFSET);
    char *text = (char *)(ckpt_arena + CKPT_SCRATCH_OFFSET + (1 << 20)), path[64], *end = path + sizeof path;
    long got;
    ckpt_call(__NR_lseek, tasks, 0, 0);
    while ((got = ckpt_call(__NR_getdents64, tasks, entries, 1 << 16)) > 0)
        for (long at = 0; at < got; at += *(uint16_t *)(entries + at + 16)) {
            uint64_t number, count = 0;
            const char *name = (const char *)(entries + at + 19);
            if (ckpt_number(name, 10, &number) == name) continue;
            ckpt_append(ckpt_append(path, end, name), end, "/status");
            if (ckpt_read_text(tasks, path, text, 16384) <= 0) continue; // it has ended
            if (!ckpt_find_field(text, "Seccomp_filters:", 10, &count) || count <= ckpt_load(&ckpt_state.accepted_filters)) continue;
            c->step = CKPT_STEP_SECCOMP;
            c->stuck_tid = (int32_t)number;
            return -CKPT_EPERM;
        }
    return 0;
}

// Every call of a checkpoint in a harmless form. Where errors matter, a filter's EPERM, EACCES or ENOSYS would make checkpoints fail.
struct trial { int16_t number, matters; int64_t arguments[4]; const char *name; };
#define NEEDED(name, ...) {__NR_##name, 1, {__VA_ARGS__}, #name}
#define USEFUL(name, ...) {__NR_##name, 0, {__VA_ARGS__}, #name}
static const struct trial trials[] = {
    NEEDED(clone, 0x10000 /* CLONE_THREAD alone: EINVAL */), NEEDED(wait4, -1, 0, 1), NEEDED(rt_sigaction, 33, 0, 0, 8), NEEDED(rt_sigprocmask, 0, 0, 0, 8),
    NEEDED(rt_sigpending, 0, 8), NEEDED(rt_tgsigqueueinfo, -1, -1, 33), NEEDED(gettid, 0), NEEDED(getpid, 0), NEEDED(getppid, 0), NEEDED(arch_prctl, 0x1003),
    NEEDED(prctl, 16), NEEDED(get_robust_list, 0), NEEDED(futex, 0, 129), NEEDED(sched_yield, 0), NEEDED(nanosleep, 0), NEEDED(clock_gettime, 1),
    NEEDED(getrandom, 0, 0), NEEDED(mmap, 0, 0), NEEDED(munmap, 0, 0), NEEDED(mprotect, 0, 0), NEEDED(madvise, 0, 0), NEEDED(brk, 0),
    NEEDED(close_range, 1 << 30, 1 << 30), NEEDED(setsid, 0), NEEDED(openat, -1, 0), NEEDED(read, -1), NEEDED(pread64, -1), NEEDED(write, -1), NEEDED(pwrite64, -1),
    NEEDED(close, -1), NEEDED(fstat, -1), NEEDED(newfstatat, -1), NEEDED(lseek, -1), NEEDED(getdents64, -1), NEEDED(readlinkat, -1), NEEDED(fcntl, -1),
    NEEDED(ftruncate, -1), NEEDED(fsync, -1), NEEDED(linkat, -1), NEEDED(renameat, -1), NEEDED(unlinkat, -1), NEEDED(mkdirat, -1), NEEDED(flock, -1),
    NEEDED(pipe2, 0), NEEDED(ioctl, -1), NEEDED(uname, 0), NEEDED(getpgid, 0), NEEDED(getsid, 0), NEEDED(getuid, 0), NEEDED(getgid, 0), NEEDED(geteuid, 0),
    USEFUL(userfaultfd, -1), USEFUL(fallocate, -1), USEFUL(fstatfs, -1), USEFUL(chdir, 0), USEFUL(kcmp, -1, -1), USEFUL(getrusage, 1), USEFUL(tee, -1), USEFUL(personality, 0xffffffff),
    USEFUL(prlimit64, 0, 99), USEFUL(sched_getattr, -1), USEFUL(sched_getscheduler, -1), USEFUL(sched_setscheduler, -1), USEFUL(sched_getaffinity, 0, 0),
    USEFUL(sched_setaffinity, 0, 0), USEFUL(ioprio_get, 0), USEFUL(timerfd_gettime, -1), USEFUL(mincore, 1), USEFUL(process_vm_readv, -1), USEFUL(membarrier, -1),
    USEFUL(socket, -1), USEFUL(connect, -1), USEFUL(setsockopt, -1), USEFUL(getsockopt, -1), USEFUL(sendto, -1), USEFUL(recvfrom, -1), USEFUL(poll, 0),
    USEFUL(timer_create, -1), USEFUL(timer_settime, -1), USEFUL(timer_delete, -1), USEFUL(memfd_create, 0), USEFUL(rt_sigqueueinfo, -1),
};
#define TRIAL_COUNT (sizeof trials / sizeof *trials)

static const char *refused_call;
const char *ckpt_engine_refused_call(void) { return refused_call; }

static void try_all(volatile uint32_t *state) {
    ckpt_call(__NR_prctl, SET_DUMPABLE, 0); // no core
    for (uint32_t i = 0; i < TRIAL_COUNT; i++) {
        const struct trial *trial = &trials[i];
        state[0] = i;
        long result = ckpt_call(trial->number, trial->arguments[0], trial->arguments[1], trial->arguments[2], trial->arguments[3]);
        if (trial->matters && (result == -CKPT_EPERM || result == -CKPT_EACCES || result == -CKPT_ENOSYS)) ckpt_exit_group(1);
    }
    state[1] = 1;
    ckpt_exit_group(0);
}

// Kernel: a child has the filters of the thread that makes it, and a filter ends only the process that makes the call.
int ckpt_try_filters(void) {
    refused_call = NULL;
    if (!ckpt_is_filtered()) return 0;
    long page = ckpt_call(__NR_mmap, NULL, CKPT_PAGE_SIZE, 3, 0x21 /* MAP_SHARED | MAP_ANONYMOUS */, -1, 0);
    if (page < 0 && page > -4096) return (int)page;
    volatile uint32_t *state = (volatile uint32_t *)page;
    uint64_t mask = ckpt_block_signals();
    long child = ckpt_call(__NR_clone, 0, 0, 0, 0, 0); // no signal at its end
    if (child == 0) try_all(state);
    while (child > 0 && ckpt_call(__NR_wait4, child, NULL, 0x40000000 /* __WALL */, NULL) == -CKPT_EINTR) {}
    ckpt_restore_signals(mask);
    int error = child < 0 ? (int)child : state[1] ? 0 : -CKPT_EPERM;
    refused_call = error == 0 ? NULL : child < 0 ? "clone" : trials[state[0]].name;
    ckpt_call(__NR_munmap, page, CKPT_PAGE_SIZE);
    if (error == 0) ckpt_store(&ckpt_state.accepted_filters, count_filters());
    return error;
}
