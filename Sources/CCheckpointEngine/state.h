// SPDX-License-Identifier: Apache-2.0
// What the engine keeps: the arena's parts, the control page and the slots in it, and the state that is saved with the program.
// Signal time: safe. Declarations only.
#ifndef CKPT_STATE_PRIVATE_H
#define CKPT_STATE_PRIVATE_H

#include "include/ckpt_engine.h"

#pragma GCC visibility push(hidden)

// The arena: one anonymous mapping, empty after a restart. Zero means idle everywhere in it.
#define CKPT_ARENA_BYTES (704ull << 20)
#define CKPT_SCRIBE_STACK_OFFSET 0x10000ull
#define CKPT_SCRIBE_STACK_BYTES 0x20000ull
#define CKPT_SLOTS_OFFSET (1ull << 20)
#define CKPT_SLOT_BYTES 8192u           // a thread's record, and above it the stack on which it is parked
#define CKPT_SLOT_COUNT 4096u
#define CKPT_THREADS_MAX (CKPT_SLOT_COUNT / 2)
#define CKPT_BUFFERS_OFFSET (34ull << 20) // of the output
#define CKPT_BUFFER_BYTES (1ull << 20)
#define CKPT_BUFFER_COUNT 4u
#define CKPT_TRACKED_OFFSET (38ull << 20) // of file mappings; stays from one checkpoint to the next (tracker.c)
#define CKPT_OUTPUT_OFFSET (39ull << 20)  // struct output, stacks of its helpers
#define CKPT_SINK_STACK_OFFSET (CKPT_OUTPUT_OFFSET + 0x50000ull)
#define CKPT_SINK_STACK_BYTES 0x10000ull
#define CKPT_STRINGS_OFFSET (40ull << 20)
#define CKPT_STRINGS_BYTES (8ull << 20)
#define CKPT_BOUNCE_OFFSET (48ull << 20)
#define CKPT_BOUNCE_BYTES ((uint64_t)CKPT_RUN_PAGES_MAX * CKPT_PAGE_SIZE)
#define CKPT_SCRATCH_OFFSET (50ull << 20) // text of a /proc file, directory entries
#define CKPT_SCRATCH_BYTES (16ull << 20)
#define CKPT_TABLES_OFFSET (66ull << 20)
#define CKPT_TABLES_BYTES (190ull << 20)
#define CKPT_LEDGER_OFFSET (256ull << 20) // which page is where (ledger.c)
#define CKPT_LEDGER_BYTES (256ull << 20)
#define CKPT_HOT_OFFSET (512ull << 20)    // copies of pages that are written often, and of those that the freeze copies
#ifdef CKPT_TEST_HOOKS
#define CKPT_HOT_PAGES ckpt_test_hot_pages // room for so many, or for fewer (Tests/Engine)
extern uint32_t ckpt_test_hot_pages;
#else
#define CKPT_HOT_PAGES 32768u
#endif
#define CKPT_HOT_RESERVE 2048u // of them, for what is copied besides: stacks, the engine's state
#define CKPT_SPANS_OFFSET (640ull << 20)  // what a scan has found
#define CKPT_SPANS_BYTES (40ull << 20)
#define CKPT_REGIONS_OFFSET (680ull << 20) // as the kernel tells it (tracker.c)
#define CKPT_REGIONS_BYTES (8ull << 20)
#define CKPT_GUARD_OFFSET (688ull << 20)  // of the tracker by mprotect; stays from one checkpoint to the next (guard.c)
#define CKPT_GUARD_BYTES (16ull << 20)
#define CKPT_GUARD_STACK 0x8000ull        // the handler's stack ends here (entry.S)
#define CKPT_GUARD_TEXT 0x10000ull        // the handler's text of /proc/self/maps, then the scribe's
#define CKPT_GUARD_TABLE 0x40000ull
#define CKPT_EMPTIED_BYTES (CKPT_GUARD_OFFSET - CKPT_STRINGS_OFFSET) // what a checkpoint gives back

enum ckpt_work { CKPT_WORK_IDLE = 0, CKPT_WORK_RUNNING = 1, CKPT_WORK_AGAIN = 2 };
enum ckpt_command { CKPT_COMMAND_NONE = 0, CKPT_COMMAND_CAPTURE = 1, CKPT_COMMAND_DONE = 2, CKPT_COMMAND_EXIT = 3 };
enum ckpt_asked { CKPT_ASKED_NOTHING = 0, CKPT_ASKED_TAKE = 1, CKPT_ASKED_GIVE_BACK = 2, CKPT_ASKED_BOTH = 3 };
#define CKPT_NONCES 16

struct ckpt_control {               // first page of the arena; MADV_WIPEONFORK: zeros in a forked child
    uint32_t armed;
    uint32_t work;                  // enum ckpt_work
    uint32_t inside;                // threads on a slot's stack (entry.S)
    uint32_t slot_count;            // slots ever claimed; the slot is this modulo CKPT_SLOT_COUNT (entry.S)
    uint64_t cookie;                // of the park signal in this epoch; 0: no freeze (entry.S)
    uint32_t lock;                  // of trigger.c (entry.S)
    uint32_t guard_lock;            // of the handler in guard.c (entry.S)
    uint32_t epoch;                 // odd: freezing or frozen; futex of the parked threads
    uint32_t parked;                // threads parked in this epoch; futex of the scribe
    uint32_t slot_first;            // value of slot_count when this epoch began
    uint32_t captor;                // epoch that has a captor
    uint32_t command;               // enum ckpt_command, to the captor; futex
    uint32_t scribe;                // id of the scribe, cleared by the kernel when it ends in whatever way
    uint32_t scribe_started;        // id of the last scribe: to be reaped
    uint32_t exit_requested;
    uint64_t ticket;                // newest ticket that the checkpoint under way will answer
    uint64_t began_ns;              // monotonic time of the request
    uint64_t nonces[CKPT_NONCES];   // of `ckpt save`, taken by the scribe
    uint32_t periodic_requested;    // by the interval's timer
    uint32_t was_not_dumpable;      // the scribe has made the program dumpable and takes it back (dumpable.c)
    uint64_t is_subreaper;          // as the captor sees it
    // What the captor asks the kernel (capture_timer.c).
    uint32_t timer_count;
    int32_t timer_error;
    uint64_t timers;                // struct ckpt_timer, so many
    uint64_t timers_ns;             // monotonic time when it did
    int64_t itimers[3][4];          // struct itimerval of ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF
    uint64_t queue;                 // struct queue: pending signals (capture_signal.c)
};

#define CKPT_THREAD_ATTRIBUTES 12u
#define CKPT_UNKNOWN (~0ull)
struct ckpt_slot {
    uint64_t saved_sp, saved_rbx;   // entry.S
    uint32_t ready;                 // epoch in which this record is complete
    int32_t tid;
    uint64_t ucontext;
    uint64_t fs_base, gs_base, tid_address, robust_list, robust_list_byte_count;
    uint8_t name[16];
    uint64_t interrupted_pc;        // where a call returns to that goes on instead (blocked.c); 0: none
    uint64_t switches;              // how often the thread has stopped running of itself
    uint64_t timer_slack_ns;
    uint64_t attributes[CKPT_THREAD_ATTRIBUTES]; // by kind (capture_attribute.c); CKPT_UNKNOWN
    uint64_t pending, shared_pending; // signals that it is to take out of its queue and the process's (capture_signal.c)
    uint32_t asked;                 // enum ckpt_asked, by the scribe; futex
    uint32_t taken_first, taken_count; // what it has taken and not yet given back
};

// Ranges that fork does not copy (capture_unforked.c).
#define CKPT_UNFORKED_MAX 512u
struct ckpt_unforked { uint64_t start, end; };
// What mappings are advised (madvise, mlock), as CKPT_MAPPING_… flags.
#define CKPT_ADVISED_MAX 256u
struct ckpt_advised { uint64_t start, end; uint32_t advice, reserved; };
struct ckpt_shadow { uint64_t address; const uint8_t *copy; uint32_t page_count; struct ckpt_shadow *next; };

// Exclusions (exclusion.c), saved with the program's memory; apart from the rest, because most of it is never touched.
#define CKPT_EXCLUSIONS_MAX 4096u
struct ckpt_excluded {
    uint64_t start, end;
    uint32_t kind;                  // enum ckpt_exclusion; 0: was excluded, and is included again
    uint32_t since;                 // the mark of the first freeze behind this change
};
struct ckpt_exclusion_table { uint32_t count, reserved; struct ckpt_excluded ranges[CKPT_EXCLUSIONS_MAX]; };
struct ckpt_exclusion_state {
    uint32_t version;               // tables[version & 1] is valid
    uint32_t lock;                  // id of the process that changes the other one
    uint32_t epoch, settled;        // marks given out; the newest that an image has
    struct ckpt_exclusion_table tables[2];
};
extern struct ckpt_exclusion_state ckpt_exclusion_state;

struct ckpt_state {                 // saved with the program's memory
    struct ckpt_live live;
    struct ckpt_plan plan;
    uint64_t arena, beacon;
    uint64_t run, sequence;
    uint64_t head;                  // identifier of the image at the path that this run may replace; 0: there was none
    uint64_t own_head;              // identifier written last by this run
    uint64_t restart_seen;          // restart_count for which the arena was made ready
    int32_t pid;
    uint32_t diverted;              // the path belongs to another run: images go to program.ID.img
    uint64_t previous_park_handler; // glibc's, or 0
    uint32_t disarmed;              // the arena is mapped, empty and nobody's
    char beacon_name[32];
    char executable[CKPT_PATH_BYTES]; // at enable(): a restarted process is made from another
    struct ckpt_unforked unforked[CKPT_UNFORKED_MAX];
    uint32_t unforked_count;
    struct ckpt_advised advised[CKPT_ADVISED_MAX];
    uint32_t advised_count;
    uint64_t advised_layout;        // of the mappings when this was read
    // The tracker: its descriptor in the program's table (-1: none) and how to know it again.
    int32_t tracker_descriptor;
    uint64_t tracker_device, tracker_inode;
    // What the tracker calls clean is as in this image: 0: nothing is proven, the next image is a full one.
    uint64_t base;
    uint32_t base_depth;
    uint64_t base_page_count;       // populated pages then
    uint32_t tracked_half, tracked_count; // of the table of file mappings that belongs to the base
    uint32_t tracks_exclusions;     // this tracker has seen every mapping: what is not registered is newer than its exclusions
    uint32_t direct_io;             // the program was seen with direct I/O: nothing is copied while it runs
    uint32_t has_workers;           // the kernel was seen with threads of io_uring in it (freeze.c)
    uint64_t cost_ns;               // what the last checkpoint cost the program: its pause and the slowdown; 0: not measured
    uint64_t durable_ns;            // monotonic time of the last durable image of this process; 0: none
    uint64_t next_interval_ns;      // found from the last cost, taken up by the next trigger; 0: none
    // Seccomp filters: those of the environment, and up to how many checkpoints are known to work (seccomp.c). A restart sets both.
    uint32_t inherited_filters, accepted_filters;
};
extern struct ckpt_state ckpt_state;
extern uint64_t ckpt_arena;         // address of the arena; 0: none (entry.S)
extern uint64_t ckpt_guard_arena;   // the arena whose table of guarded pages holds in this process; 0: none (entry.S)
extern uint64_t ckpt_park_chain;    // handler of the park signal before ours (entry.S)

#pragma GCC visibility pop
#endif
