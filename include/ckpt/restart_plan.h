// SPDX-License-Identifier: Apache-2.0
// The restart plan: what plan time tells restorer time. A list of operations with their arguments.
//
// Plan time copies the restorer and its plan into one block, at a place that neither `ckpt-restart` nor the program uses:
//
//     block_start   code             read and execute; all that stays in the program's memory (struct ckpt_restart_context)
//                   plan, data       struct ckpt_restart_plan, strings, operations, threads
//                   stacks           one for each thread, until rt_sigreturn
//     block_end     parking place    for the parts of the vdso, while everything else is taken away
//
// Every pointer is an absolute address inside the block, or one that the program will have.
#ifndef CKPT_RESTART_PLAN_H
#define CKPT_RESTART_PLAN_H

#include "image.h"

#define CKPT_RESTART_PLAN_VERSION 1u
#define CKPT_RESTART_STATUS 126     // exit status after the point of no return
#define CKPT_RESTART_STACK_BYTES 4096u

// Where a restart was when the kernel said no: one list for the enum and its text.
#define CKPT_RESTART_STEP_LIST(X) \
    X(NONE, "nothing") \
    X(SIGNALS_BLOCK, "blocking the signals") \
    X(RSEQ_RELEASE, "giving back the restarter's own rseq") \
    X(VDSO_PARK, "moving the vdso aside") \
    X(UNMAP, "giving back the restarter's memory") \
    X(MOVE, "moving a mapping to its place") \
    X(MAP, "creating an empty mapping") \
    X(VDSO_PLACE, "moving the vdso to its place") \
    X(LAYOUT, "setting the memory layout (PR_SET_MM_MAP)") \
    X(SIGNAL_ACTION, "setting a signal action") \
    X(THREAD_BASE, "setting the FS or GS base of a thread") \
    X(THREAD_ADDRESS, "setting the address that is cleared when a thread ends") \
    X(THREAD_ROBUST, "setting a robust list") \
    X(THREAD_RSEQ, "registering rseq") \
    X(THREAD_NAME, "naming a thread") \
    X(THREAD_RIGHTS, "dropping capabilities") \
    X(THREAD_SIGNAL, "queueing a pending signal again") \
    X(WAIT, "waiting for the threads") \
    X(CLOSE, "closing the restarter's descriptors") \
    X(PLACE_ID, "writing a thread id") \
    X(TIMER, "starting the timer of the periodic checkpoint")
enum ckpt_restart_step {
#define X(name, text) CKPT_RESTART_STEP_##name,
    CKPT_RESTART_STEP_LIST(X)
#undef X
    CKPT_RESTART_STEP_COUNT
};
#define CKPT_RESTART_STEP_BYTES 64u // of one text in the plan, zero-terminated

enum ckpt_restart_check {
    CKPT_RESTART_ANY = 0,       // the result does not matter
    CKPT_RESTART_SUCCESS = 1,   // the result is no error
    CKPT_RESTART_EQUAL = 2,     // the result is `expected`
};
// A number that is no system call: writes the low `arguments[2]` (4 or 8) bytes of arguments[1] | arguments[3] at arguments[0].
#define CKPT_RESTART_POKE 0xffffffffu
// In `substitute`: argument i is the caller's own thread id (bit i), or its process id (bit 8 + i).
#define CKPT_RESTART_OWN_TID(i) (1u << (i))
#define CKPT_RESTART_OWN_PID(i) (256u << (i))

struct ckpt_restart_operation {
    uint32_t step;              // enum ckpt_restart_step
    uint32_t check;             // enum ckpt_restart_check
    uint64_t expected;
    uint32_t number;            // of the system call, or CKPT_RESTART_POKE
    uint32_t substitute;
    uint64_t arguments[6];
};

struct ckpt_restart_thread {
    int32_t tid;                // wanted; 0: the kernel's choice
    uint32_t ends;              // 1: a leader that had ended: ends again when the others run
    uint64_t ucontext;          // stack pointer for rt_sigreturn
    uint64_t stack_start, stack_byte_count;
    uint64_t operations;        // address of its first operation: in this thread, when memory is the program's
    uint64_t operation_count;
};

struct ckpt_restart_plan {
    uint32_t version, byte_count;       // CKPT_RESTART_PLAN_VERSION, sizeof(struct ckpt_restart_plan)
    uint64_t before, before_count;      // operations of the leader: from the old memory to the program's
    uint64_t after, after_count;        // operations of the leader when every thread is ready
    uint64_t threads, thread_count;     // the leader first
    uint64_t step_texts;                // CKPT_RESTART_STEP_COUNT times CKPT_RESTART_STEP_BYTES
    uint64_t message, message_byte_count;           // "ckpt-restart: IMAGE: CLASS: ": what a failure begins with
    uint64_t remedy, remedy_byte_count;             // what a failure ends with
    uint64_t status, status_byte_count;             // JSON of the status file up to the step's text
    uint64_t release_start, release_byte_count;     // unmapped by the last thread that leaves
    int32_t status_descriptor;          // -1: none
    int32_t spawn_failed;               // result: index of the thread that could not be made
    // State, shared by the threads. `phase` and `arrived` are futexes.
    uint32_t phase;                     // 1: memory is the program's; 2: run
    uint32_t arrived;                   // threads that have done their operations
    uint32_t present;                   // threads that have not left
    uint32_t failed;                    // 1: a failure is being told
};

CKPT_ASSERT_SIZE(ckpt_restart_operation, 72);
CKPT_ASSERT_SIZE(ckpt_restart_thread, 48);
CKPT_ASSERT_SIZE(ckpt_restart_plan, 152);
#endif
