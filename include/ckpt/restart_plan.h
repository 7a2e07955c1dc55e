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

#define CKPT_RESTART_PLAN_VERSION 2u
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
    X(TIMER, "starting a timer") \
    X(VIEW, "mapping memory from the image") \
    X(LOADER, "loading, whose process was killed") \
    X(HOLD, "holding a thread's system calls until memory is loaded") \
    X(THREAD_SCHEDULING, "setting the scheduling of a thread") \
    X(ATTRIBUTE, "setting an attribute of the process") \
    X(LIMIT, "setting a resource limit") \
    X(SEAL, "sealing a mapping (mseal)")
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
    // State of a loading phase.
    uint64_t mask;              // what the program had blocked
    int32_t own_tid;            // that it has got
    uint32_t reserved;
};

// The loading phase (`--load lazy`): the program computes on private mappings of the image, its *front*, and no thread gets
// into a system call, while loaders read its memory into place-holders. Then the threads are held, what they have written is
// copied over, and the place-holders take the place of the front. loading.h says how.
struct ckpt_load_unit {
    uint64_t staged;            // where the pages are read to; CKPT_LOAD_PARTS: nowhere, CKPT_LOAD_HUGE: what is advised
    uint64_t byte_count, file_offset;
    uint64_t parts, part_count; // struct ckpt_load_part
    uint64_t after;             // how many units must be done before it begins
    int32_t descriptor;
    uint32_t crc;
    uint32_t kind;              // enum ckpt_load_kind
    uint32_t image;             // its index in the chain
};
enum ckpt_load_kind {
    CKPT_LOAD_RUN = 0,          // a page run, read where it belongs
    CKPT_LOAD_PARTS = 1,        // a page run of which only parts are still the program's
    CKPT_LOAD_HUGE = 2,         // MADV_HUGEPAGE
    CKPT_LOAD_FRONT = 3,        // into the front, before the program runs; parts: struct iovec
};
struct ckpt_load_part { uint64_t offset, staged, byte_count; };
struct ckpt_load_range { uint64_t start, end, staged; };    // of a front, and its place-holder
struct ckpt_loading {
    uint64_t begin, begin_count;            // operations of the loader: closing what it does not need
    uint64_t units, unit_count;
    uint64_t ranges, range_count;
    uint64_t moves, move_count;             // operations of the loader when all is loaded and every thread held
    uint64_t track, track_count;            // then, unless the program has written more pages than `dirty` has room for
    uint64_t finish, finish_count;          // and at last: the program's signal actions
    uint64_t front_count;                   // of the units: those that the program waits for
    uint64_t dirty, dirty_room, dirty_count;        // pages that the program has written: they must not be clean
    uint64_t stacks, stack_byte_count;      // one for each loader and one for the process that makes the first
    uint64_t bounce;                        // CKPT_RUN_PAGES_MAX pages for each loader
    uint64_t lines;                         // two of CKPT_RESTART_LINE_BYTES, zero-terminated, for each image and failure (damaged,
                                            // unreadable): what is said, and the status file's
    int32_t page_map;                       // /proc/self/pagemap
    uint32_t loader_count;                  // at most CKPT_LOADERS_MAX
    // State. Futexes but for the first two.
    int32_t program, pidfd;
    uint32_t loader;                        // its process id; cleared by the kernel when it ends
    uint32_t go;                            // 1: the loader is ready; 2: memory is the program's
    uint32_t next, done;                    // units
    uint32_t begun, held;                   // threads
    uint32_t staying;                       // threads; the last one that leaves takes the block away, when the loader has ended
    uint32_t is_over, is_lost;
    uint32_t failed;                        // 1 + 2 × image + kind of the failure
    uint32_t is_closed;                     // the program's descriptor of the status file
    uint32_t reserved;
};
#define CKPT_LOADERS_MAX 8u
#define CKPT_RESTART_LINE_BYTES 4352u

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
    uint64_t loading;                   // struct ckpt_loading; 0: all memory is loaded
};

CKPT_ASSERT_SIZE(ckpt_restart_operation, 72);
CKPT_ASSERT_SIZE(ckpt_restart_thread, 64);
CKPT_ASSERT_SIZE(ckpt_load_unit, 64);
CKPT_ASSERT_SIZE(ckpt_loading, 224);
CKPT_ASSERT_SIZE(ckpt_restart_plan, 160);
#endif
