// SPDX-License-Identifier: Apache-2.0
// Calls in which a thread was blocked when a signal of ours came: they go on, instead of returning EINTR.
// Signal time: safe. The scribe looks at /proc before the park signals are sent, and changes the frames of parked threads.
//
// Kernel: after a handler, SA_RESTART repeats read, accept, waitid, futex without time-out and others (-ERESTARTSYS), but poll,
// select, epoll_wait, nanosleep, sigtimedwait, semop, msgrcv and every futex with a time-out return EINTR (-ERESTARTNOHAND,
// -ERESTART_RESTARTBLOCK, signal(7)). Here the frame is changed so that rt_sigreturn goes to the instruction `syscall` once more,
// with the number of the call in rax.
//
// The number is not in the frame. /proc/PID/task/T/syscall has it while a thread is blocked; when it cannot be read (it needs what a
// debugger needs: Yama), and for the thread that took the trigger, the instruction before `syscall` is looked at, which in most
// functions loads it.
//
// The time-out
//   - an absolute one, and one that the kernel counts down in the program's memory (select, ppoll, nanosleep with both arguments the
//     same), need nothing;
//   - any other is what is left of it, by a detour (blocked.S). When the call began is when the thread last stopped running:
//     se.exec_start of /proc/PID/task/T/sched. It holds as long as the thread has not run since, which the count of its voluntary
//     switches tells: else the call returns EINTR, as before. Never too early, and late by the pause.
//
// Not changed: a call with a signal mask of its own (sigsuspend, ppoll and others). Where the program's handler has just run, the
// call's EINTR says so, and the frame is the same. And what was changed is undone when a signal of the program has come meanwhile:
// its handler runs first then, and the call has to say EINTR behind it (an alarm that ends a wait).
#include "engine.h"

enum { R8, R9, R10, R11, RDI = 8, RSI, RDX = 12, RAX, RCX, RSP, RIP }; // in a ucontext, behind its first five words
enum rule { RULE_NONE, RULE_REPEAT, RULE_MILLISECONDS, RULE_TIME };

struct blocked {
    int32_t proc_tid;
    uint32_t number;
    uint64_t arguments[6], sp, pc;
    uint64_t switches, began_ns;    // began_ns 0: not known
};
#define BLOCKED_OFFSET (CKPT_SCRATCH_OFFSET + (3ull << 20))
#define TEXT_OFFSET (CKPT_SCRATCH_OFFSET + (1ull << 20))
_Static_assert(CKPT_THREADS_MAX * sizeof(struct blocked) <= 1 << 20, "room");

extern uint8_t ckpt_resume_start[], ckpt_resume_end[];
void ckpt_resume_rdx_ms(void), ckpt_resume_r10_ms(void), ckpt_resume_rdi_time(void), ckpt_resume_rdx_time(void), ckpt_resume_r10_time(void);

static const uint8_t argument_registers[6] = {RDI, RSI, RDX, R10, R8, R9};

static int peek(uint64_t address, void *to, uint64_t byte_count) {
    uint64_t here[2] = {(uint64_t)to, byte_count}, there[2] = {address, byte_count};
    return ckpt_call(__NR_process_vm_readv, ckpt_getpid(), here, 1, there, 1, 0) == (long)byte_count;
}

// A mask in the last argument of pselect6: {address, length}.
static int has_mask(uint64_t argument) {
    uint64_t mask[2];
    return argument != 0 && (!peek(argument, mask, sizeof mask) || mask[0] != 0);
}

// How this call goes on; *argument: which of its arguments is the time-out.
static enum rule rule_of(uint32_t number, const uint64_t *a, int *argument) {
    enum { FUTEX_WAIT = 0, FUTEX_LOCK_PI = 6, FUTEX_WAIT_BITSET = 9, FUTEX_LOCK_PI2 = 13 };
    switch (number) {
    case __NR_poll: *argument = 2; return (int32_t)a[2] < 0 ? RULE_REPEAT : RULE_MILLISECONDS;
    case __NR_epoll_pwait: if (a[4]) return RULE_NONE; // fall through
    case __NR_epoll_wait: *argument = 3; return (int32_t)a[3] < 0 ? RULE_REPEAT : RULE_MILLISECONDS;
    case 441 /* epoll_pwait2, since 5.11 */: *argument = 3; return a[4] ? RULE_NONE : a[3] ? RULE_TIME : RULE_REPEAT;
    case __NR_select: return RULE_REPEAT;
    case __NR_pselect6: return has_mask(a[5]) ? RULE_NONE : RULE_REPEAT;
    case __NR_ppoll: return a[3] ? RULE_NONE : RULE_REPEAT;
    case __NR_nanosleep: *argument = 0; return a[0] == a[1] ? RULE_REPEAT : RULE_TIME;
    case __NR_clock_nanosleep: *argument = 2; return a[1] & 1 /* TIMER_ABSTIME */ || a[2] == a[3] ? RULE_REPEAT : RULE_TIME;
    case __NR_rt_sigtimedwait: *argument = 2; return a[2] ? RULE_TIME : RULE_REPEAT;
    case __NR_semtimedop: *argument = 3; return a[3] ? RULE_TIME : RULE_REPEAT;
    case __NR_pause: case __NR_semop: case __NR_msgrcv: case __NR_msgsnd: return RULE_REPEAT;
    case __NR_futex:
        *argument = 3;
        switch (a[1] & 0x7f) {
        case FUTEX_WAIT: return a[3] ? RULE_TIME : RULE_REPEAT;
        case FUTEX_WAIT_BITSET: case FUTEX_LOCK_PI: case FUTEX_LOCK_PI2: return RULE_REPEAT; // absolute
        default: return RULE_NONE;
        }
    default: return RULE_NONE;
    }
}

static const char *skip_line(const char *at) {
    while (*at && *at != '\n') at++;
    return *at ? at + 1 : at;
}

// The number behind "NAME   :   " in a file of the scheduler; one with a fraction of six digits in millionths.
static int find_figure(const char *text, const char *name, uint64_t *figure) {
    size_t length = ckpt_length(name);
    for (const char *line = text; *line; line = skip_line(line)) {
        if (!ckpt_same(line, name, length) || (line[length] != ' ' && line[length] != ':')) continue;
        const char *at = line + length;
        while (*at == ' ' || *at == ':') at++;
        const char *end = ckpt_number(at, 10, figure);
        uint64_t fraction = 0;
        if (*end == '.') { ckpt_number(end + 1, 10, &fraction); *figure = *figure * 1000000 + fraction; }
        return end != at;
    }
    return 0;
}

static long read_of_thread(struct ckpt_checkpoint *c, int32_t proc_tid, const char *name, char *text) {
    char path[64], *end = path + sizeof path;
    ckpt_append(ckpt_append(ckpt_append_number(ckpt_append(path, end, "task/"), end, (uint64_t)proc_tid, 10, 1), end, "/"), end, name);
    return ckpt_read_text(c->proc, path, text, 16384);
}

// What the scheduler's clock of a processor is behind CLOCK_MONOTONIC. Kernel: each processor has its own, which leaves out
// what the host or interrupts took (rq_clock_task), so this one is asked there.
static int clock_behind(uint32_t processor, char *text, int64_t *behind) {
    uint64_t wanted[16] = {0}, before[16] = {0}, figure;
    if (processor >= sizeof wanted * 8) return 0;
    wanted[processor / 64] = 1ull << processor % 64;
    long byte_count = ckpt_call(__NR_sched_getaffinity, 0, sizeof before, before);
    if (byte_count <= 0 || ckpt_call(__NR_sched_setaffinity, 0, sizeof wanted, wanted) < 0) return 0;
    ckpt_yield(); // which brings exec_start up to date
    uint64_t now = ckpt_clock(CKPT_CLOCK_MONOTONIC);
    int known = ckpt_read_text(-100, "/proc/self/sched", text, 16384) > 0 && find_figure(text, "se.exec_start", &figure);
    ckpt_call(__NR_sched_setaffinity, 0, byte_count, before);
    if (known) *behind = (int64_t)(now - figure);
    return known;
}

struct processor { uint32_t number; int known; int64_t behind; };

// When the call began, and how often the thread has stopped since it exists.
static void look_at_time(struct ckpt_checkpoint *c, struct blocked *b, char *text, struct processor *last) {
    uint64_t started = 0, processor = 0;
    if (read_of_thread(c, b->proc_tid, "sched", text) <= 0) return;
    if (!find_figure(text, "se.exec_start", &started) || !find_figure(text, "nr_voluntary_switches", &b->switches)) return;
    if (read_of_thread(c, b->proc_tid, "stat", text) <= 0) return;
    ckpt_number(ckpt_stat_field(text, 39), 10, &processor);
    if (last->number != processor + 1) {
        last->number = (uint32_t)processor + 1;
        last->known = clock_behind((uint32_t)processor, text, &last->behind);
    }
    if (last->known) b->began_ns = started + (uint64_t)last->behind;
}

static int look_at(struct ckpt_checkpoint *c, int32_t proc_tid, struct blocked *b, char *text, struct processor *last) {
    uint64_t number;
    if (read_of_thread(c, proc_tid, "syscall", text) <= 0) return 0;
    const char *at = ckpt_number(text, 10, &number);
    if (at == text || *at != ' ') return 0; // "running", or "-1 …": not in a call
    ckpt_memset(b, 0, sizeof *b);
    b->proc_tid = proc_tid;
    b->number = (uint32_t)number;
    uint64_t *fields[8] = {&b->arguments[0], &b->arguments[1], &b->arguments[2], &b->arguments[3], &b->arguments[4], &b->arguments[5], &b->sp, &b->pc};
    for (int i = 0; i < 8; i++) {
        if (!ckpt_same(at, " 0x", 3)) return 0;
        at = ckpt_number(at + 3, 16, fields[i]);
    }
    int argument;
    enum rule rule = rule_of(b->number, b->arguments, &argument);
    if (rule >= RULE_MILLISECONDS) look_at_time(c, b, text, last);
    return rule != RULE_NONE;
}

void ckpt_look_at_blocked(struct ckpt_checkpoint *c, int tasks) {
    struct blocked *blocked = (struct blocked *)(ckpt_arena + BLOCKED_OFFSET);
    uint8_t *entries = (uint8_t *)(ckpt_arena + CKPT_SCRATCH_OFFSET);
    char *text = (char *)(ckpt_arena + TEXT_OFFSET);
    struct processor last = {0, 0, 0};
    c->blocked_count = 0;
    ckpt_call(__NR_lseek, tasks, 0, 0);
    long got;
    while ((got = ckpt_call(__NR_getdents64, tasks, entries, 1 << 16)) > 0)
        for (long at = 0; at < got; at += *(uint16_t *)(entries + at + 16)) {
            uint64_t number;
            const char *name = (const char *)(entries + at + 19);
            if (ckpt_number(name, 10, &number) == name || c->blocked_count == CKPT_THREADS_MAX) continue;
            c->blocked_count += (uint32_t)look_at(c, (int32_t)number, &blocked[c->blocked_count], text, &last);
        }
}

// Whether one of these pending signals has a handler that will run when this frame returns. Ours do not count: they change nothing.
// (The scribe has the handlers of the moment when it began.)
static int has_handler_for(uint64_t pending, const uint64_t *ucontext) {
    uint64_t own = 1ull << (ckpt_state.plan.signal - 1) | 1ull << (CKPT_PARK_SIGNAL - 1);
    if (ckpt_state.plan.exit_signal) own |= 1ull << (ckpt_state.plan.exit_signal - 1);
    for (pending &= ~(ucontext[37] /* uc_sigmask */ | own); pending; pending &= pending - 1) {
        struct ckpt_kernel_action action = {0, 0, 0, 0};
        ckpt_sigaction(__builtin_ctzll(pending) + 1, NULL, &action);
        if (action.handler > 1) return 1;
    }
    return 0;
}

void ckpt_interrupt_for(struct ckpt_slot *slot, uint64_t pending) {
    uint64_t *registers = (uint64_t *)slot->ucontext + 5;
    if (slot->interrupted_pc == 0 || !has_handler_for(pending, (const uint64_t *)slot->ucontext)) return;
    registers[RAX] = (uint64_t)-CKPT_EINTR;
    registers[RIP] = slot->interrupted_pc;
    slot->interrupted_pc = 0;
}

void ckpt_leave_blocked(struct ckpt_slot *slot) {
    uint64_t pending = 0;
    if (slot->interrupted_pc && ckpt_call(__NR_rt_sigpending, &pending, sizeof pending) == 0) ckpt_interrupt_for(slot, pending);
}

static void repeat(uint64_t *registers, uint32_t number) {
    registers[RAX] = number;
    registers[RIP] -= 2;
}

// The number that the instruction before `syscall` loads: mov $NUMBER, %eax.
static int number_before(uint64_t pc, uint32_t *number) {
    uint8_t code[7];
    if (!peek(pc - 7, code, sizeof code) || code[0] != 0xb8 || code[5] != 0x0f || code[6] != 0x05) return 0;
    ckpt_memcpy(number, code + 1, 4);
    return 1;
}

static int is_interrupted(const uint64_t *registers) { return (int64_t)registers[RAX] == -CKPT_EINTR; }

// What needs no time-out, where nobody has looked.
static void repeat_known(uint64_t *registers) {
    uint64_t arguments[6];
    uint32_t number;
    int argument;
    if (!number_before(registers[RIP], &number)) return;
    for (int i = 0; i < 6; i++) arguments[i] = registers[argument_registers[i]];
    if (rule_of(number, arguments, &argument) == RULE_REPEAT) repeat(registers, number);
}

void ckpt_repeat_interrupted(uint64_t ucontext) {
    uint64_t *registers = (uint64_t *)ucontext + 5, pending = 0;
    if (!is_interrupted(registers) || ckpt_call(__NR_rt_sigpending, &pending, sizeof pending) < 0) return;
    if (!has_handler_for(pending, (const uint64_t *)ucontext)) repeat_known(registers);
}

// Nanoseconds that are left of a struct timespec; ~0: so long that nothing has to be done.
static int time_left(const struct blocked *b, uint64_t address, uint64_t elapsed_ns, int is_known, uint64_t *left) {
    struct ckpt_timespec time;
    uint64_t rest = b->number == __NR_nanosleep ? b->arguments[1] : b->number == __NR_clock_nanosleep ? b->arguments[3] : 0;
    // Kernel: an interrupted sleep has said how much is left.
    if (rest) { elapsed_ns = 0; is_known = 1; address = rest; }
    if (!is_known || !peek(address, &time, sizeof time) || time.seconds < 0) return 0;
    if (time.seconds > 1000000000) { *left = ~0ull; return 1; }
    uint64_t all = (uint64_t)time.seconds * 1000000000u + (uint64_t)time.nanoseconds;
    *left = all > elapsed_ns ? all - elapsed_ns : 0;
    return 1;
}

static void detour(uint64_t *registers, uint32_t number, uint64_t left, void (*way)(void)) {
    registers[RAX] = number;
    registers[RCX] = registers[RIP];
    registers[R11] = left;
    registers[RIP] = (uint64_t)way;
}

int ckpt_is_on_detour(uint64_t pc) { return pc >= (uint64_t)ckpt_resume_start && pc < (uint64_t)ckpt_resume_end; }

static void go_on(const struct ckpt_slot *slot, const struct blocked *b, uint64_t *registers) {
    int argument = 0, on_detour = ckpt_is_on_detour(registers[RIP]);
    enum rule rule = rule_of(b->number, b->arguments, &argument);
    uint64_t value = b->arguments[argument], left = 0, now = ckpt_clock(CKPT_CLOCK_MONOTONIC);
    int is_known = b->began_ns && b->began_ns <= now && slot->switches == b->switches;
    if (rule == RULE_REPEAT) { repeat(registers, b->number); return; }
    if (rule == RULE_MILLISECONDS) {
        uint64_t all = value * 1000000, elapsed = now - b->began_ns;
        if (!is_known) return;
        left = all > elapsed ? (all - elapsed + 999999) / 1000000 : 0;
        if (on_detour) { registers[argument_registers[argument]] = left; repeat(registers, b->number); }
        else detour(registers, b->number, left, argument == 2 ? ckpt_resume_rdx_ms : ckpt_resume_r10_ms);
    }
    if (rule == RULE_TIME) {
        if (!time_left(b, value, now - b->began_ns, is_known, &left)) return;
        if (left == ~0ull) { repeat(registers, b->number); return; }
        if (on_detour) {
            // Its struct timespec is in the frame of the detour, above the signal's.
            *(struct ckpt_timespec *)value = (struct ckpt_timespec){(int64_t)(left / 1000000000u), (int64_t)(left % 1000000000u)};
            repeat(registers, b->number);
        } else detour(registers, b->number, left, argument == 0 ? ckpt_resume_rdi_time : argument == 2 ? ckpt_resume_rdx_time : ckpt_resume_r10_time);
    }
}

static const struct blocked *find(struct ckpt_checkpoint *c, int32_t proc_tid, uint32_t hint, const uint64_t *registers) {
    const struct blocked *blocked = (const struct blocked *)(ckpt_arena + BLOCKED_OFFSET);
    for (uint32_t i = 0; i < c->blocked_count; i++) {
        const struct blocked *b = &blocked[(hint + i) % c->blocked_count];
        if (b->proc_tid != proc_tid) continue;
        int same = b->pc == registers[RIP] && b->sp == registers[RSP];
        for (int k = 0; k < 6; k++) same &= b->arguments[k] == registers[argument_registers[k]];
        return same ? b : NULL;
    }
    return NULL;
}

void ckpt_mend_blocked(struct ckpt_checkpoint *c, struct ckpt_slot *slot, int32_t proc_tid, uint32_t hint) {
    uint64_t *registers = (uint64_t *)slot->ucontext + 5, pc = registers[RIP];
    if (!is_interrupted(registers)) return;
    const struct blocked *b = find(c, proc_tid, hint, registers);
    if (b) go_on(slot, b, registers); else repeat_known(registers);
    if (registers[RIP] != pc) slot->interrupted_pc = pc;
}
