// SPDX-License-Identifier: Apache-2.0
// The restorer: executes the plan in an address space that is torn down and rebuilt, and becomes the program.
// Restorer time: one section, no relocation, no undefined symbol, no constant outside the code; stacks inside the block.
//
// How memory changes, in the leader (the operations `before`); the other threads sleep inside the block all the while:
//
//     1  old:  ckpt-restart | vdso | place-holders | block          signals blocked, own rseq given back
//     2        ckpt-restart |      | place-holders | block | vdso   vdso parked behind the block
//     3                            | place-holders | block | vdso   everything else unmapped
//     4        program's mappings                  | block | vdso   place-holders moved, empty mappings made
//     5        program's mappings | vdso           | block          vdso moved, layout and signal actions set
//     6  all threads: FS, GS, tid address, robust list, rseq, name, rights; then a barrier
//     7  leader: descriptors closed, pending signals queued, timers started; then each thread: rt_sigreturn, and the last one unmaps the
//        block except its code
#include "include/ckpt_restorer.h"

// Order: before the checksum's functions, which are copied with the restorer.
#define CKPT_CRC32C_FUNCTION static __attribute__((section(".ckpt_restorer"), no_stack_protector, noinline, used, target("crc32,general-regs-only")))
#include "../../include/ckpt/crc32c.h"

#define RESTORER __attribute__((section(".ckpt_restorer"), no_stack_protector, noinline, used, target("general-regs-only")))

enum { SYS_PWRITE64 = 18, SYS_WRITE = 1, SYS_GETPID = 39, SYS_FTRUNCATE = 77, SYS_FUTEX = 202, SYS_GETTID = 186,
       SYS_EXIT_GROUP = 231, SYS_CLONE3 = 435, SYS_NANOSLEEP = 35 };
enum { FUTEX_WAIT_PRIVATE = 128, FUTEX_WAKE_PRIVATE = 129 };
#define LAST_ERROR 0xfffffffffffff001ull
#define EXISTS ((uint64_t)-17)

// The section's borders: module-level assembly comes first in the object, subsection 8000 last in the section.
asm(".pushsection .ckpt_restorer,\"ax\",@progbits\n"
    ".globl ckpt_restorer_begin\n.hidden ckpt_restorer_begin\nckpt_restorer_begin:\n.Lckpt_first:\n"
    ".subsection 8000\n.globl ckpt_restorer_end\n.hidden ckpt_restorer_end\nckpt_restorer_end:\n.Lckpt_last:\n"
    ".popsection\n");

static inline __attribute__((always_inline, target("general-regs-only")))
uint64_t call(uint64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f) {
    uint64_t result;
    register uint64_t r10 asm("r10") = d;
    register uint64_t r8 asm("r8") = e;
    register uint64_t r9 asm("r9") = f;
    asm volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                 : "rcx", "r11", "memory");
    return result;
}

RESTORER static uint64_t append(uint8_t *line, uint64_t used, uint64_t from, uint64_t byte_count) {
    const volatile uint8_t *source = (const volatile uint8_t *)from;
    for (uint64_t i = 0; i < byte_count && used < 1000; i++) {
        if (source[i] == 0) break;
        line[used++] = source[i];
    }
    return used;
}

RESTORER static uint64_t append_number(uint8_t *line, uint64_t used, uint64_t number) {
    uint64_t divisor = 1;
    while (number / divisor >= 10) divisor *= 10;
    for (; divisor > 0; divisor /= 10) line[used++] = (uint8_t)('0' + number / divisor % 10);
    return used;
}

// One line on standard error, the step in the status file, status 126.
RESTORER _Noreturn static void fail(struct ckpt_restart_plan *plan, uint32_t step, uint64_t result) {
    if (__atomic_exchange_n(&plan->failed, 1, __ATOMIC_SEQ_CST) == 0) {
        uint8_t line[1100];
        uint64_t text = plan->step_texts + (uint64_t)step * CKPT_RESTART_STEP_BYTES, error = 0 - result;
        uint64_t used = append(line, 0, plan->message, plan->message_byte_count);
        used = append(line, used, text, CKPT_RESTART_STEP_BYTES);
        uint64_t word = 0x20726f7272652820ull; // " (error "
        used = append(line, used, (uint64_t)&word, 8);
        used = append_number(line, used, error);
        used = append(line, used, plan->remedy, plan->remedy_byte_count);
        call(SYS_WRITE, 2, (uint64_t)line, used, 0, 0, 0);
        if (plan->status_descriptor >= 0) {
            used = append(line, 0, plan->status, plan->status_byte_count);
            used = append(line, used, text, CKPT_RESTART_STEP_BYTES);
            uint64_t quoted = 0x6f6e727265222c22ull, end = 0x3a22; // ","errno and ":
            used = append(line, used, (uint64_t)&quoted, 8);
            used = append(line, used, (uint64_t)&end, 2);
            used = append_number(line, used, error);
            end = 0x0a7d; // }\n
            used = append(line, used, (uint64_t)&end, 2);
            call(SYS_FTRUNCATE, (uint64_t)(uint32_t)plan->status_descriptor, 0, 0, 0, 0, 0);
            call(SYS_PWRITE64, (uint64_t)(uint32_t)plan->status_descriptor, (uint64_t)line, used, 0, 0, 0);
        }
        // The loader is a process of its own: a thread that is held ends the program.
        struct ckpt_loading *loading = (struct ckpt_loading *)plan->loading;
        if (loading) {
            __atomic_store_n(&loading->is_lost, 1, __ATOMIC_SEQ_CST);
            call(SYS_FUTEX, (uint64_t)&loading->is_over, FUTEX_WAKE_PRIVATE, 0x7fffffff, 0, 0, 0);
        }
        call(SYS_EXIT_GROUP, CKPT_RESTART_STATUS, 0, 0, 0, 0, 0);
    }
    for (;;) call(SYS_FUTEX, (uint64_t)&plan->failed, FUTEX_WAIT_PRIVATE, 1, 0, 0, 0);
}

RESTORER static void execute(struct ckpt_restart_plan *plan, uint64_t operations, uint64_t count) {
    const struct ckpt_restart_operation *operation = (const struct ckpt_restart_operation *)operations;
    for (const struct ckpt_restart_operation *end = operation + count; operation != end; operation++) {
        uint64_t arguments[6];
        for (uint32_t i = 0; i < 6; i++) {
            arguments[i] = operation->arguments[i];
            if (operation->substitute & CKPT_RESTART_OWN_TID(i)) arguments[i] = call(SYS_GETTID, 0, 0, 0, 0, 0, 0);
            if (operation->substitute & CKPT_RESTART_OWN_PID(i)) arguments[i] = call(SYS_GETPID, 0, 0, 0, 0, 0, 0);
        }
        if (operation->number == CKPT_RESTART_POKE) {
            if (arguments[2] == 4) *(volatile uint32_t *)arguments[0] = (uint32_t)(arguments[1] | arguments[3]);
            else *(volatile uint64_t *)arguments[0] = arguments[1] | arguments[3];
            continue;
        }
        uint64_t result = call(operation->number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
        if (operation->check == CKPT_RESTART_SUCCESS && result >= LAST_ERROR) fail(plan, operation->step, result);
        if (operation->check == CKPT_RESTART_EQUAL && result != operation->expected) fail(plan, operation->step, result);
    }
}

RESTORER static void wait_for(uint32_t *word, uint32_t wanted) {
    for (;;) {
        uint32_t now = __atomic_load_n(word, __ATOMIC_SEQ_CST);
        if (now >= wanted) return;
        call(SYS_FUTEX, (uint64_t)word, FUTEX_WAIT_PRIVATE, now, 0, 0, 0);
    }
}

RESTORER static void set_phase(struct ckpt_restart_plan *plan, uint32_t phase) {
    __atomic_store_n(&plan->phase, phase, __ATOMIC_SEQ_CST);
    call(SYS_FUTEX, (uint64_t)&plan->phase, FUTEX_WAKE_PRIVATE, 0x7fffffff, 0, 0, 0);
}

#include "loading.h"

// Becomes the program. From the decrement on nothing in the block but this code is used: the last thread takes the rest away.
RESTORER _Noreturn static void leave(struct ckpt_restart_plan *plan, struct ckpt_restart_thread *thread) {
    if (plan->loading && !thread->ends) begin_hold(plan, thread);
    register uint64_t ends asm("r8") = thread->ends;
    asm volatile(
        "movl $-1, %%eax\n lock xaddl %%eax, (%[present])\n"
        "cmpl $1, %%eax\n jne 1f\n"
        "movl $11, %%eax\n syscall\n"                           // munmap
        "1: testl %%r8d, %%r8d\n jnz 2f\n"
        "movq %[ucontext], %%rsp\n movl $15, %%eax\n syscall\n ud2\n"  // rt_sigreturn
        "2: xorl %%edi, %%edi\n movl $60, %%eax\n syscall\n ud2\n"     // exit of this thread alone
        : : [present] "b"(&plan->present), "D"(plan->release_start), "S"(plan->release_byte_count),
            [ucontext] "d"(thread->ucontext), "r"(ends) : "rax", "rcx", "r11", "memory");
    __builtin_unreachable();
}

RESTORER _Noreturn static void ckpt_restorer_thread(struct ckpt_restart_thread *thread, struct ckpt_restart_plan *plan) {
    wait_for(&plan->phase, 1);
    execute(plan, thread->operations, thread->operation_count);
    __atomic_add_fetch(&plan->arrived, 1, __ATOMIC_SEQ_CST);
    call(SYS_FUTEX, (uint64_t)&plan->arrived, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0);
    wait_for(&plan->phase, 2);
    leave(plan, thread);
}

RESTORER _Noreturn static void ckpt_restorer_leader(struct ckpt_restart_plan *plan) {
    struct ckpt_restart_thread *leader = (struct ckpt_restart_thread *)plan->threads;
    execute(plan, plan->before, plan->before_count);
    if (plan->loading) start_loading(plan);
    set_phase(plan, 1);
    execute(plan, leader->operations, leader->operation_count);
    wait_for(&plan->arrived, (uint32_t)plan->thread_count - 1);
    execute(plan, plan->after, plan->after_count);
    set_phase(plan, 2);
    leave(plan, leader);
}

// In the child, which shares our memory: its stack is fresh, registers are ours.
RESTORER static uint64_t spawn_one(uint64_t *arguments, struct ckpt_restart_thread *thread, struct ckpt_restart_plan *plan) {
    uint64_t result;
    register struct ckpt_restart_thread *own asm("r12") = thread;
    register struct ckpt_restart_plan *shared asm("r13") = plan;
    asm volatile("syscall\n testq %%rax, %%rax\n jnz 1f\n"
                 "xorl %%ebp, %%ebp\n movq %%r12, %%rdi\n movq %%r13, %%rsi\n call ckpt_restorer_thread\n ud2\n 1:\n"
                 : "=a"(result) : "a"((uint64_t)SYS_CLONE3), "D"(arguments), "S"(88ul), "r"(own), "r"(shared)
                 : "rcx", "r11", "memory");
    return result;
}

RESTORER static uint64_t spawn_all(struct ckpt_restart_plan *plan) {
    struct ckpt_restart_thread *threads = (struct ckpt_restart_thread *)plan->threads;
    for (uint64_t i = 1; i < plan->thread_count; i++) {
        volatile uint64_t arguments[11];                // struct clone_args
        uint32_t tid = (uint32_t)threads[i].tid;
        for (uint32_t k = 0; k < 11; k++) arguments[k] = 0;
        // CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM. The rest (TLS, tid address)
        // is for memory that is not there yet: the thread's own operations.
        arguments[0] = 0x100 | 0x200 | 0x400 | 0x800 | 0x10000 | 0x40000;
        arguments[5] = threads[i].stack_start;
        arguments[6] = threads[i].stack_byte_count;
        arguments[8] = tid ? (uint64_t)&tid : 0;        // set_tid, set_tid_size
        arguments[9] = tid ? 1 : 0;
        uint64_t result = spawn_one((uint64_t *)arguments, &threads[i], plan);
        // An id that was free a moment ago: on a busy host whoever has it now is mostly gone in another moment.
        for (uint32_t turn = 0; result == EXISTS && turn < 2000; turn++) {
            volatile uint64_t time[2];          // one constant would lie outside the section
            time[0] = 0, time[1] = 1000000;
            call(SYS_NANOSLEEP, (uint64_t)time, 0, 0, 0, 0, 0);
            result = spawn_one((uint64_t *)arguments, &threads[i], plan);
        }
        if (result >= LAST_ERROR) {
            plan->spawn_failed = (int32_t)i;
            return result;
        }
        threads[i].own_tid = (int32_t)result;
    }
    plan->spawn_failed = (int32_t)plan->thread_count;
    return plan->loading ? make_loader(plan) : 0;
}

// The two doors, for plan time: it knows where the copy is.
RESTORER static uint64_t spawn_door(struct ckpt_restart_plan *plan) { return spawn_all(plan); }

__attribute__((naked, used, section(".ckpt_restorer")))
static void enter_door(void) { // rdi: plan, rsi: top of the leader's stack
    asm volatile("movq %rsi, %rsp\n xorl %ebp, %ebp\n call ckpt_restorer_leader\n ud2\n");
}

uint64_t ckpt_restorer_code_start(void) { return (uint64_t)ckpt_restorer_begin; }
uint64_t ckpt_restorer_code_byte_count(void) { return (uint64_t)(ckpt_restorer_end - ckpt_restorer_begin); }
uint64_t ckpt_restorer_hold(uint64_t code) { return code + ((uint64_t)&ckpt_restorer_hold_signal - (uint64_t)ckpt_restorer_begin); }
uint64_t ckpt_restorer_hold_return(uint64_t code) { return code + ((uint64_t)ckpt_hold_return - (uint64_t)ckpt_restorer_begin); }

int64_t ckpt_restorer_spawn(uint64_t code, uint64_t plan) {
    uint64_t (*door)(struct ckpt_restart_plan *) =
        (uint64_t (*)(struct ckpt_restart_plan *))(code + ((uint64_t)&spawn_door - (uint64_t)ckpt_restorer_begin));
    return (int64_t)door((struct ckpt_restart_plan *)plan);
}

_Noreturn void ckpt_restorer_enter(uint64_t code, uint64_t plan) {
    void (*door)(uint64_t, uint64_t) = (void (*)(uint64_t, uint64_t))(code + ((uint64_t)&enter_door - (uint64_t)ckpt_restorer_begin));
    const struct ckpt_restart_thread *leader = (const struct ckpt_restart_thread *)((struct ckpt_restart_plan *)plan)->threads;
    door(plan, leader->stack_start + leader->stack_byte_count);
    __builtin_unreachable();
}
