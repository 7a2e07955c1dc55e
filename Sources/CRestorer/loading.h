// SPDX-License-Identifier: Apache-2.0
// The loading phase of `--load lazy`. Restorer time: a part of restorer.c, in its section.
//
// The program runs on its *front*: private mappings of the image. Reads are exact there, and what it writes is its own; but a
// system call could tell the difference (madvise with MADV_DONTNEED brings the image's bytes back, mremap grows on into the
// file, a forked child would keep it for ever). So no thread gets into a system call: the kernel hands each to `hold`, which
// waits until all memory is anonymous and lets the thread make the call then, as if it came just now. Signals wait as long,
// but for those that a thread's own instruction brings upon it: they are held too, and then come again by themselves.
//
//     program's threads                            loaders (processes that share the memory)
//     instructions, on the front                   read runs into place-holders, compare checksums
//     hold: at its next system call, or by         all is read: a signal to each thread
//       the loader's signal
//     ...                                          all are held: copy what was written in the front, move the
//     ...                                            place-holders over it, arm the tracker, put back signal actions
//     call off the dispatch, mask back, return     end; whoever is the last takes the block away
//
// Nothing that the program does in this phase is seen by anybody, so when a page turns out to be damaged, it is ended and
// nothing is lost.
//
// Kernel: PR_SET_SYSCALL_USER_DISPATCH since 5.11 (kernel/entry/syscall_user_dispatch.c): for one thread, needs no privilege,
// is not inherited, can be called off, and spares calls from one range of addresses, here this code. The signal's frame has
// the instruction pointer behind the call and the number in RAX, so two bytes back it is as before.

enum { SYS_RT_SIGTIMEDWAIT = 128, SYS_RT_TGSIGQUEUEINFO = 297, SYS_CLONE = 56, SYS_WAIT4 = 61, SYS_PRCTL = 157,
       SYS_PREAD64 = 17, SYS_PREADV = 295, SYS_MADVISE = 28, SYS_POLL = 7, SYS_PIDFD_OPEN = 434, SYS_EXIT = 60, SYS_CLOSE = 3, SYS_MUNMAP = 11 };
enum { SIGNAL_TRAP = 5, SIGNAL_SYS = 31, SIGNAL_HOLD = 33, CODE_DISPATCH = 2, CODE_KERNEL = 0x80 };
enum { DISPATCH = 59, FRAME_RIP = 168 / 8, FRAME_MASK = 296 / 8 };
enum { WAIT_ALL = 0x40000000 };
// What a thread cannot keep from itself (ILL, TRAP, BUS, FPE, SEGV, SYS), and our own.
#define HELD_SIGNALS ((1ull << 3) | (1ull << 4) | (1ull << 6) | (1ull << 7) | (1ull << 10) | (1ull << 30) | (1ull << 32))
#define PAGE_BYTES 4096ull
#define ENTRIES 512ull // of the page map, at a time
#define ERROR(result) ((result) >= LAST_ERROR)
#define NO_PROCESS ((uint64_t)-3)

extern const uint8_t ckpt_restorer_begin[] __attribute__((visibility("hidden")));
extern const uint8_t ckpt_restorer_end[] __attribute__((visibility("hidden")));
extern const uint8_t ckpt_hold_return[] __attribute__((visibility("hidden")));

// Where this copy of the code is; the plan is behind it.
static inline __attribute__((always_inline, target("general-regs-only"))) uint64_t own_code(void) {
    uint64_t start;
    asm("leaq .Lckpt_first(%%rip), %0" : "=r"(start));
    return start;
}
static inline __attribute__((always_inline, target("general-regs-only"))) uint64_t own_code_end(void) {
    uint64_t end;
    asm("leaq .Lckpt_last(%%rip), %0" : "=r"(end));
    return (end + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
}

// The kernel's way back from `hold`.
asm(".pushsection .ckpt_restorer,\"ax\",@progbits\n.globl ckpt_hold_return\n.hidden ckpt_hold_return\nckpt_hold_return: movl $15, %eax\n syscall\n ud2\n.popsection\n");

static inline __attribute__((always_inline, target("general-regs-only")))
void wake(uint32_t *word) { call(SYS_FUTEX, (uint64_t)word, FUTEX_WAKE_PRIVATE, 0x7fffffff, 0, 0, 0); }

// Waits at most as long for the word to be another.
static inline __attribute__((always_inline, target("general-regs-only")))
void wait_a_while(uint32_t *word, uint32_t now, uint64_t milliseconds) {
    uint64_t time[2] = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    call(SYS_FUTEX, (uint64_t)word, FUTEX_WAIT_PRIVATE, now, (uint64_t)time, 0, 0);
}

// Somebody has killed it. Order: it says that all is over, or lost, before it ends.
static inline __attribute__((always_inline, target("general-regs-only"))) int loader_is_gone(struct ckpt_loading *loading) {
    return __atomic_load_n(&loading->loader, __ATOMIC_SEQ_CST) == 0 && !__atomic_load_n(&loading->is_over, __ATOMIC_SEQ_CST)
        && !__atomic_load_n(&loading->is_lost, __ATOMIC_SEQ_CST);
}

static inline __attribute__((always_inline, target("general-regs-only"))) int program_has_ended(const struct ckpt_loading *loading) {
    struct { int32_t descriptor; int16_t events, got; } poll = {loading->pidfd, 1, 0};
    return call(SYS_POLL, (uint64_t)&poll, 1, 0, 0, 0, 0) == 1;
}

// MARK: the program's threads

// Before a thread becomes the program: its mask, so that no signal comes in the phase, and its system calls.
RESTORER static void begin_hold(struct ckpt_restart_plan *plan, struct ckpt_restart_thread *thread) {
    uint64_t *mask = (uint64_t *)thread->ucontext + FRAME_MASK;
    thread->mask = *mask;
    *mask = ~HELD_SIGNALS;
    thread->own_tid = (int32_t)call(SYS_GETTID, 0, 0, 0, 0, 0, 0);
    // Every signal is blocked until this thread becomes the program.
    uint32_t *begun = &((struct ckpt_loading *)plan->loading)->begun;
    __atomic_add_fetch(begun, 1, __ATOMIC_SEQ_CST);
    wake(begun);
    uint64_t code = own_code(), result = call(SYS_PRCTL, DISPATCH, 1 /* PR_SYS_DISPATCH_ON */, code, own_code_end() - code, 0, 0);
    if (ERROR(result)) fail(plan, CKPT_RESTART_STEP_HOLD, result);
}

// The instruction that this frame's signal interrupted has not been executed, as far as the program can tell.
static inline __attribute__((always_inline, target("general-regs-only")))
void step_back(int signal, const uint32_t *information, uint64_t *frame) {
    const volatile uint8_t *at = (const volatile uint8_t *)frame[FRAME_RIP];
    if (signal == SIGNAL_SYS && information[2] == CODE_DISPATCH) frame[FRAME_RIP] -= 2;
    // A breakpoint, of one byte or of two, has been executed already.
    if (signal == SIGNAL_TRAP && information[2] == CODE_KERNEL) frame[FRAME_RIP] -= at[-1] == 0xcc ? 1 : at[-2] == 0xcd ? 2 : 0;
}

// A handler of the phase.
RESTORER static void ckpt_restorer_hold_signal(int signal, uint32_t *information, uint64_t *frame) {
    struct ckpt_restart_plan *plan = (struct ckpt_restart_plan *)own_code_end();
    struct ckpt_loading *loading = (struct ckpt_loading *)plan->loading;
    struct ckpt_restart_thread *threads = (struct ckpt_restart_thread *)plan->threads, *thread = threads;
    int32_t tid = (int32_t)call(SYS_GETTID, 0, 0, 0, 0, 0, 0);
    while (thread->own_tid != tid) thread++;
    step_back(signal, information, frame);
    // Sent by somebody: it waits as the others do. Kernel: whatever its si_code, a process may send it to itself.
    if ((int32_t)information[2] <= 0 && signal != SIGNAL_HOLD)
        call(SYS_RT_TGSIGQUEUEINFO, (uint64_t)(uint32_t)loading->program, (uint64_t)(uint32_t)tid, (uint64_t)(uint32_t)signal, (uint64_t)information, 0, 0);
    __atomic_add_fetch(&loading->held, 1, __ATOMIC_SEQ_CST);
    wake(&loading->held);
    while (!__atomic_load_n(&loading->is_over, __ATOMIC_SEQ_CST)) {
        if (__atomic_load_n(&loading->is_lost, __ATOMIC_SEQ_CST)) call(SYS_EXIT_GROUP, CKPT_RESTART_STATUS, 0, 0, 0, 0, 0);
        if (loader_is_gone(loading)) fail(plan, CKPT_RESTART_STEP_LOADER, NO_PROCESS);
        wait_a_while(&loading->is_over, 0, 500);
    }
    // The loader's signal may have come while this handler ran, or several times.
    uint64_t set = 1ull << (SIGNAL_HOLD - 1), now[2] = {0, 0};
    while (!ERROR(call(SYS_RT_SIGTIMEDWAIT, (uint64_t)&set, 0, (uint64_t)now, 8, 0, 0))) {}
    // Order: before any thread goes on, because a number that is free may be the program's next.
    if (__atomic_exchange_n(&loading->is_closed, 1, __ATOMIC_SEQ_CST) == 0 && plan->status_descriptor >= 0)
        call(SYS_CLOSE, (uint64_t)(uint32_t)plan->status_descriptor, 0, 0, 0, 0, 0);
    call(SYS_PRCTL, DISPATCH, 0 /* PR_SYS_DISPATCH_OFF */, 0, 0, 0, 0);
    frame[FRAME_MASK] = thread->mask;
    // From the decrement on nothing of the block but this code is used, except by the last thread.
    if (__atomic_sub_fetch(&loading->staying, 1, __ATOMIC_SEQ_CST) != 0) return;
    // Order: the loader writes its stack until it ends, and would be killed for it where the memory is protected by then, with the
    // program's action for SIGSEGV. All signals are blocked here, so nothing of a next checkpoint comes before.
    uint64_t time[2] = {0, 500000000};
    for (uint32_t now; (now = __atomic_load_n(&loading->loader, __ATOMIC_SEQ_CST)) != 0;)
        call(SYS_FUTEX, (uint64_t)&loading->loader, 0 /* FUTEX_WAIT: the kernel's wake is not private */, now, (uint64_t)time, 0, 0);
    call(SYS_MUNMAP, plan->release_start, plan->release_byte_count, 0, 0, 0, 0);
}

// MARK: the loaders

RESTORER static uint64_t read_all(int32_t descriptor, uint64_t to, uint64_t byte_count, uint64_t offset) {
    for (uint64_t done = 0; done < byte_count;) {
        uint64_t got = call(SYS_PREAD64, (uint64_t)(uint32_t)descriptor, to + done, byte_count - done, offset + done, 0, 0);
        if (ERROR(got)) return got;
        if (got == 0) return (uint64_t)-5; // the file has become shorter
        done += got;
    }
    return 0;
}

enum { LINE_DAMAGED = 1, LINE_UNREADABLE = 2 };

// Into the front. The checksum is compared when the run is read into the place-holder.
RESTORER static uint64_t read_front(const struct ckpt_load_unit *unit) {
    uint64_t got = call(SYS_PREADV, (uint64_t)(uint32_t)unit->descriptor, unit->parts, unit->part_count, unit->file_offset, 0, 0);
    if (got == unit->byte_count) return 0;
    const uint64_t *place = (const uint64_t *)unit->parts; // struct iovec
    uint64_t offset = unit->file_offset, error = 0;
    for (uint64_t i = 0; i < unit->part_count && !error; offset += place[1], place += 2, i++) error = read_all(unit->descriptor, place[0], place[1], offset);
    return error;
}

// 0, or the kind of the failure.
RESTORER static uint32_t load_unit(const struct ckpt_load_unit *unit, uint64_t bounce) {
    if (unit->kind == CKPT_LOAD_HUGE) {
        call(SYS_MADVISE, unit->staged, unit->byte_count, 14 /* MADV_HUGEPAGE */, 0, 0, 0);
        return 0;
    }
    if (unit->kind == CKPT_LOAD_FRONT) return read_front(unit) ? LINE_UNREADABLE : 0;
    uint64_t to = unit->kind == CKPT_LOAD_PARTS ? bounce : unit->staged;
    if (read_all(unit->descriptor, to, unit->byte_count, unit->file_offset)) return LINE_UNREADABLE;
    if (ckpt_crc32c(0, (const void *)to, unit->byte_count) != unit->crc) return LINE_DAMAGED;
    const struct ckpt_load_part *part = (const struct ckpt_load_part *)unit->parts;
    for (uint64_t i = 0; i < unit->part_count; i++)
        for (uint64_t k = 0; k < part[i].byte_count; k += 8)
            *(volatile uint64_t *)(part[i].staged + k) = *(const volatile uint64_t *)(to + part[i].offset + k);
    return 0;
}

RESTORER static void load_units(struct ckpt_loading *loading, uint64_t bounce) {
    const struct ckpt_load_unit *units = (const struct ckpt_load_unit *)loading->units;
    for (;;) {
        uint64_t index = __atomic_fetch_add(&loading->next, 1, __ATOMIC_SEQ_CST);
        if (index >= loading->unit_count) return;
        wait_for(&loading->done, (uint32_t)units[index].after);
        if (program_has_ended(loading)) call(SYS_EXIT_GROUP, 0, 0, 0, 0, 0, 0);
        if (!__atomic_load_n(&loading->failed, __ATOMIC_SEQ_CST)) {
            uint32_t kind = load_unit(&units[index], bounce);
            if (kind) __atomic_store_n(&loading->failed, 2 * units[index].image + kind, __ATOMIC_SEQ_CST);
        }
        __atomic_add_fetch(&loading->done, 1, __ATOMIC_SEQ_CST);
        wake(&loading->done);
    }
}

// CLONE_VM | CLONE_SIGHAND, no signal at the end: a process with the program's memory and signal actions, and descriptors of its own.
#define CLONE_PROCESS 0x900ull
// With CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID: its word is cleared when it ends, however that comes.
#define CLONE_LOADER (CLONE_PROCESS | 0x100000ull | 0x200000ull)
// With CLONE_THREAD | CLONE_FILES | CLONE_FS: a thread of the loader, which ends with it.
#define CLONE_HELPER (CLONE_LOADER | 0x10000ull | 0x400ull | 0x200ull)

// Not 0 while this one lives. A helper's is at the far end of its stack.
RESTORER static uint32_t *word_of(struct ckpt_loading *loading, uint64_t index) {
    return index == 0 ? &loading->loader : (uint32_t *)(loading->stacks + index * loading->stack_byte_count);
}

// The child runs `body(plan, index)` on the stack of this index.
RESTORER static uint64_t start_loader(struct ckpt_restart_plan *plan, uint64_t flags, uint64_t index, void (*body)(struct ckpt_restart_plan *, uint64_t)) {
    struct ckpt_loading *loading = (struct ckpt_loading *)plan->loading;
    uint64_t result, top = loading->stacks + (index + 1) * loading->stack_byte_count;
    register void (*own)(struct ckpt_restart_plan *, uint64_t) asm("r12") = body;
    register struct ckpt_restart_plan *shared asm("r13") = plan;
    register uint64_t number asm("r14") = index;
    register uint64_t word asm("r10") = (uint64_t)word_of(loading, index);
    register uint64_t base asm("r8") = 0;
    asm volatile("syscall\n testq %%rax, %%rax\n jnz 1f\n"
                 "xorl %%ebp, %%ebp\n movq %%r13, %%rdi\n movq %%r14, %%rsi\n call *%%r12\n ud2\n 1:\n"
                 : "=a"(result) : "a"((uint64_t)SYS_CLONE), "D"(flags), "S"(top), "d"(word), "r"(word), "r"(base), "r"(own), "r"(shared), "r"(number)
                 : "rcx", "r11", "memory");
    return result;
}

RESTORER static void help(struct ckpt_restart_plan *plan, uint64_t index) {
    struct ckpt_loading *loading = (struct ckpt_loading *)plan->loading;
    wait_for(&loading->go, 2);
    load_units(loading, loading->bounce + index * CKPT_RUN_PAGES_MAX * PAGE_BYTES);
    call(SYS_EXIT, 0, 0, 0, 0, 0, 0);
}

// Every thread into `hold`.
RESTORER static void signal_all(struct ckpt_restart_plan *plan) {
    uint64_t pid = (uint64_t)(uint32_t)((struct ckpt_loading *)plan->loading)->program;
    const struct ckpt_restart_thread *threads = (const struct ckpt_restart_thread *)plan->threads;
    volatile uint64_t information[16];
    for (int i = 0; i < 16; i++) information[i] = 0;
    information[0] = SIGNAL_HOLD;
    information[1] = 0xffffffff; // SI_QUEUE; what is queued with a value reaches our own handler alone
    for (uint64_t i = 0; i < plan->thread_count; i++)
        if (!threads[i].ends)
            call(SYS_RT_TGSIGQUEUEINFO, pid, (uint64_t)(uint32_t)threads[i].own_tid, SIGNAL_HOLD, (uint64_t)information, 0, 0);
}

// Waits until the word is so much; when the program has ended meanwhile, so does the loader. It may also be stopped, for any time.
// `asks`: each time again, because a signal gets lost where too many are queued (RLIMIT_SIGPENDING).
RESTORER static void wait_for_program(struct ckpt_restart_plan *plan, uint32_t *word, uint32_t wanted, int asks) {
    for (uint32_t now; (now = __atomic_load_n(word, __ATOMIC_SEQ_CST)) < wanted;) {
        if (program_has_ended((const struct ckpt_loading *)plan->loading)) call(SYS_EXIT_GROUP, 0, 0, 0, 0, 0, 0);
        if (asks) signal_all(plan);
        wait_a_while(word, now, 100);
    }
}

// Pages of the front that the program has made its own: what differs from the image goes into the place-holder.
RESTORER static uint64_t copy_written(struct ckpt_loading *loading, const struct ckpt_load_range *range) {
    uint64_t *entries = (uint64_t *)loading->bounce, *dirty = (uint64_t *)loading->dirty;
    for (uint64_t at = range->start; at < range->end; at += ENTRIES * PAGE_BYTES) {
        uint64_t count = (range->end - at) / PAGE_BYTES < ENTRIES ? (range->end - at) / PAGE_BYTES : ENTRIES;
        uint64_t error = read_all(loading->page_map, (uint64_t)entries, count * 8, at / PAGE_BYTES * 8);
        if (error) return error;
        for (uint64_t i = 0; i < count; i++) {
            // Present or swapped out (bits 63 and 62), and not a page of the file (61).
            if (!(entries[i] >> 62) || entries[i] >> 61 & 1) continue;
            const volatile uint64_t *from = (const volatile uint64_t *)(at + i * PAGE_BYTES);
            volatile uint64_t *to = (volatile uint64_t *)(range->staged + (at - range->start) + i * PAGE_BYTES);
            uint64_t k = 0;
            while (k < PAGE_BYTES / 8 && from[k] == to[k]) k++;
            if (k == PAGE_BYTES / 8) continue;
            for (; k < PAGE_BYTES / 8; k++) to[k] = from[k];
            if (loading->dirty_count < loading->dirty_room) dirty[loading->dirty_count] = (uint64_t)from;
            loading->dirty_count++;
        }
    }
    return 0;
}

RESTORER static uint64_t length(uint64_t text) {
    uint64_t count = 0;
    while (((const volatile uint8_t *)text)[count]) count++;
    return count;
}

// A thread that is held ends the program.
RESTORER _Noreturn static void fail_loading(struct ckpt_restart_plan *plan, uint32_t failed) {
    struct ckpt_loading *loading = (struct ckpt_loading *)plan->loading;
    uint64_t line = loading->lines + (uint64_t)(failed - 1) * 2 * CKPT_RESTART_LINE_BYTES, status = line + CKPT_RESTART_LINE_BYTES;
    call(SYS_WRITE, 2, line, length(line), 0, 0, 0);
    if (plan->status_descriptor >= 0) {
        call(SYS_FTRUNCATE, (uint64_t)(uint32_t)plan->status_descriptor, 0, 0, 0, 0, 0);
        call(SYS_PWRITE64, (uint64_t)(uint32_t)plan->status_descriptor, status, length(status), 0, 0, 0);
    }
    __atomic_store_n(&loading->is_lost, 1, __ATOMIC_SEQ_CST);
    wake(&loading->is_over);
    // Order: a thread that gets there now ends the program by itself, without a loader.
    wait_for_program(plan, &loading->held, 1, 1);
    call(SYS_EXIT_GROUP, 0, 0, 0, 0, 0, 0);
    __builtin_unreachable();
}

RESTORER static void load(struct ckpt_restart_plan *plan, uint64_t index) {
    struct ckpt_loading *loading = (struct ckpt_loading *)plan->loading;
    const struct ckpt_restart_thread *threads = (const struct ckpt_restart_thread *)plan->threads;
    uint32_t living = 0;
    for (uint64_t i = 0; i < plan->thread_count; i++) living += threads[i].ends == 0;
    loading->staying = living;
    execute(plan, loading->begin, loading->begin_count);
    uint64_t pidfd = call(SYS_PIDFD_OPEN, (uint64_t)(uint32_t)loading->program, 0, 0, 0, 0, 0);
    if (ERROR(pidfd)) call(SYS_EXIT_GROUP, 0, 0, 0, 0, 0, 0);
    loading->pidfd = (int32_t)pidfd;
    while (++index < loading->loader_count && !ERROR(start_loader(plan, CLONE_HELPER, index, help))) {}
    __atomic_store_n(&loading->go, 1, __ATOMIC_SEQ_CST);
    wake(&loading->go);
    wait_for_program(plan, &loading->go, 2, 0);
    load_units(loading, loading->bounce);
    wait_for(&loading->done, (uint32_t)loading->unit_count);
    // A damaged page may have ended the program already.
    if (loading->failed) fail_loading(plan, loading->failed);
    // Order: a thread may still be on its way to `begin_hold` when there was little to read.
    wait_for_program(plan, &loading->begun, living, 0);
    wait_for_program(plan, &loading->held, living, 1);
    const struct ckpt_load_range *ranges = (const struct ckpt_load_range *)loading->ranges;
    for (uint64_t i = 0; i < loading->range_count; i++)
        if (copy_written(loading, &ranges[i])) fail_loading(plan, LINE_UNREADABLE);
    execute(plan, loading->moves, loading->move_count);
    if (loading->dirty_count <= loading->dirty_room) {
        execute(plan, loading->track, loading->track_count);
        // A thread that is held writes its stack.
        for (uint64_t i = 0; i < loading->dirty_count; i++)
            __atomic_fetch_or((uint64_t *)((const uint64_t *)loading->dirty)[i], 0, __ATOMIC_SEQ_CST);
    }
    execute(plan, loading->finish, loading->finish_count);
    // A leader that had ended leaves its part of the block before the program runs; see `leave`.
    for (uint32_t now; (now = __atomic_load_n(&plan->present, __ATOMIC_SEQ_CST)) > 1;) wait_a_while(&plan->present, now, 1);
    // Order: they write their stacks until they end; the program may have a checkpoint as soon as all is over (see `hold`).
    for (index = 1; index < loading->loader_count; index++)
        for (uint32_t now; (now = __atomic_load_n(word_of(loading, index), __ATOMIC_SEQ_CST)) != 0;) wait_a_while(word_of(loading, index), now, 1);
    __atomic_store_n(&loading->is_over, 1, __ATOMIC_SEQ_CST);
    wake(&loading->is_over);
    call(SYS_EXIT_GROUP, 0, 0, 0, 0, 0, 0);
    __builtin_unreachable();
}

// The loader is no child of the program's: a process between them ends at once.
RESTORER static void launch(struct ckpt_restart_plan *plan, uint64_t index) {
    struct ckpt_loading *loading = (struct ckpt_loading *)plan->loading;
    (void)index;
    if (ERROR(start_loader(plan, CLONE_LOADER, 0, load))) __atomic_store_n(&loading->loader, 0, __ATOMIC_SEQ_CST);
    call(SYS_EXIT, 0, 0, 0, 0, 0, 0);
}

// Before the point of no return: makes the loader, which waits. 0, or an error.
RESTORER static uint64_t make_loader(struct ckpt_restart_plan *plan) {
    struct ckpt_loading *loading = (struct ckpt_loading *)plan->loading;
    loading->program = (int32_t)call(SYS_GETPID, 0, 0, 0, 0, 0, 0);
    loading->loader = 1; // until there is one
    uint64_t between = start_loader(plan, CLONE_PROCESS, loading->loader_count, launch);
    if (ERROR(between)) return between;
    call(SYS_WAIT4, between, 0, WAIT_ALL, 0, 0, 0);
    while (!__atomic_load_n(&loading->go, __ATOMIC_SEQ_CST)) {
        if (loader_is_gone(loading)) return (uint64_t)-11; // EAGAIN
        wait_a_while(&loading->go, 0, 50);
    }
    return 0;
}

// Behind it.
RESTORER static void start_loading(struct ckpt_restart_plan *plan) {
    struct ckpt_loading *loading = (struct ckpt_loading *)plan->loading;
    __atomic_store_n(&loading->go, 2, __ATOMIC_SEQ_CST);
    wake(&loading->go);
    for (uint32_t now; (now = __atomic_load_n(&loading->done, __ATOMIC_SEQ_CST)) < loading->front_count;) {
        if (loader_is_gone(loading)) fail(plan, CKPT_RESTART_STEP_LOADER, NO_PROCESS);
        wait_a_while(&loading->done, now, 100);
    }
}
