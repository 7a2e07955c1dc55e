// SPDX-License-Identifier: Apache-2.0
// What the files of the engine share. Laws of this folder: no libc, no malloc, no locks that a killed scribe could hold,
// no TLS, no floating point; memory comes from the arena; a function returns 0 or a negative errno.
#ifndef CKPT_ENGINE_PRIVATE_H
#define CKPT_ENGINE_PRIVATE_H

#include "include/ckpt_engine.h"
#include "system.h"

#pragma GCC visibility push(hidden)

// The compiler emits calls of memcpy and memset for struct copies at any level; they stay inside the engine.
void *ckpt_memcpy(void *to, const void *from, size_t byte_count);
void *ckpt_memset(void *to, int byte, size_t byte_count);
#ifndef CKPT_MEMORY_C
__asm__(".set memcpy, ckpt_memcpy\n.set memset, ckpt_memset\n");
#endif

// The arena: one anonymous mapping, empty after a restart. Zero means idle everywhere in it.
#define CKPT_ARENA_BYTES (256ull << 20)
#define CKPT_SCRIBE_STACK_OFFSET 0x10000ull
#define CKPT_SCRIBE_STACK_BYTES 0x20000ull
#define CKPT_SLOTS_OFFSET (1ull << 20)
#define CKPT_SLOT_BYTES 8192u           // a thread's record, and above it the stack on which it is parked
#define CKPT_SLOT_COUNT 4096u
#define CKPT_THREADS_MAX (CKPT_SLOT_COUNT / 2)
#define CKPT_BUFFERS_OFFSET (34ull << 20) // of the output
#define CKPT_BUFFER_BYTES (1ull << 20)
#define CKPT_BUFFER_COUNT 4u
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

enum ckpt_work { CKPT_WORK_IDLE = 0, CKPT_WORK_RUNNING = 1, CKPT_WORK_AGAIN = 2 };
enum ckpt_command { CKPT_COMMAND_NONE = 0, CKPT_COMMAND_CAPTURE = 1, CKPT_COMMAND_DONE = 2, CKPT_COMMAND_EXIT = 3 };
#define CKPT_NONCES 16

struct ckpt_control {               // first page of the arena; MADV_WIPEONFORK: zeros in a forked child
    uint32_t armed;
    uint32_t work;                  // enum ckpt_work
    uint32_t inside;                // threads on a slot's stack (entry.S)
    uint32_t slot_count;            // slots ever claimed; the slot is this modulo CKPT_SLOT_COUNT (entry.S)
    uint64_t cookie;                // of the park signal in this epoch; 0: no freeze (entry.S)
    uint32_t lock;                  // of trigger.c (entry.S)
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
};

struct ckpt_slot {
    uint64_t saved_sp, saved_rbx;   // entry.S
    uint32_t ready;                 // epoch in which this record is complete
    int32_t tid;
    uint64_t ucontext;
    uint64_t fs_base, gs_base, tid_address, robust_list, robust_list_byte_count;
    uint8_t name[16];
};

// Ranges that fork does not copy (capture_unforked.c).
#define CKPT_UNFORKED_MAX 64u
struct ckpt_unforked { uint64_t start, end; };
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
    struct ckpt_unforked unforked[CKPT_UNFORKED_MAX];
    uint32_t unforked_count;
    uint64_t cost_ns;               // what the last checkpoint cost the program: its pause and the slowdown; 0: not measured
    uint64_t durable_ns;            // monotonic time of the last durable image of this process; 0: none
    uint64_t next_interval_ns;      // found from the last cost, taken up by the next trigger; 0: none
};
extern struct ckpt_state ckpt_state;
extern uint64_t ckpt_arena;         // address of the arena; 0: none (entry.S)
extern uint64_t ckpt_park_chain;    // handler of the park signal before ours (entry.S)

static inline struct ckpt_control *ckpt_control(void) { return (struct ckpt_control *)ckpt_arena; }
static inline struct ckpt_slot *ckpt_slot(uint32_t index) {
    return (struct ckpt_slot *)(ckpt_arena + CKPT_SLOTS_OFFSET + (uint64_t)(index % CKPT_SLOT_COUNT) * CKPT_SLOT_BYTES);
}

// entry.S
void ckpt_trigger_entry(int, void *, void *);
void ckpt_park_entry(int, void *, void *);
void ckpt_signal_return(void);
long ckpt_spawn(uint64_t flags, void *stack_top, uint32_t *parent_tid, uint32_t *child_tid, void (*body)(void));

// signals
#define CKPT_PARK_SIGNAL 33
struct ckpt_kernel_action { uint64_t handler, flags, restorer, mask; };
#define CKPT_SA_SIGINFO 4u
#define CKPT_SA_ONSTACK 0x08000000u
#define CKPT_SA_RESTART 0x10000000u
#define CKPT_SA_RESTORER 0x04000000u
struct ckpt_siginfo { int32_t number, error, code, pad; int32_t pid; uint32_t uid; uint64_t value; uint8_t rest[96]; };
static inline long ckpt_sigaction(int number, const struct ckpt_kernel_action *new, struct ckpt_kernel_action *old) {
    return ckpt_call(__NR_rt_sigaction, number, new, old, 8);
}
static inline uint64_t ckpt_block_signals(void) {
    uint64_t all = ~0ull, old = 0;
    ckpt_call(__NR_rt_sigprocmask, 0, &all, &old, 8);
    return old;
}
static inline void ckpt_restore_signals(uint64_t mask) { ckpt_call(__NR_rt_sigprocmask, 2, &mask, NULL, 8); }

// arm.c
int ckpt_make_arena(void);
// trigger.c
int64_t ckpt_start(uint32_t flags, uint64_t nonce);
void ckpt_lock(void);
void ckpt_unlock(void);
int ckpt_make_ready(void);          // after a restart: the arena is empty. 0: this process is armed
void ckpt_bury_scribe(void);        // the scribe was killed: undo what it left
int ckpt_install_park_handler(void);
void ckpt_reap_scribe(void);

// scribe.c
void ckpt_scribe(void);

// interval.c: the periodic checkpoint, and the least time between two
int ckpt_prepare_interval(const struct ckpt_plan *plan); // the timer, not started
void ckpt_start_interval(void);     // Order: behind the handlers, because it may fire at once
void ckpt_stop_interval(void);      // Order: before the handlers go
void ckpt_renew_interval(void);     // by a thread of the program, with the lock held
int ckpt_is_periodic(const struct ckpt_siginfo *info);
uint64_t ckpt_optimal_interval(uint64_t cost_ns, uint64_t failure_ns);
struct ckpt_checkpoint;
int ckpt_too_soon(struct ckpt_checkpoint *c, int exit_after); // the scribe's first question: 0, or the error of the report
void ckpt_note_durable(struct ckpt_checkpoint *c); // by the scribe, behind the commit

// One checkpoint as the scribe sees it.
struct ckpt_bump { uint64_t base, used, limit; };
struct ckpt_segment { uint64_t start, end, file_offset, file_byte_count; uint32_t protection, mapping; };
struct ckpt_checkpoint {
    int proc;                       // descriptor of /proc/PID of the program
    int output;                     // the image being written
    int directory;                  // descriptor of the image's directory
    int replaced;                   // the image at the path, locked until this checkpoint is over
    int direct;                     // the output takes direct I/O
    int sink;                       // socket to the process that writes the output (sink.c); -1: the engine writes it
    int32_t sink_pid;
    uint64_t sink_progress;         // size of the output when the sink was last found slow
    int32_t pid;                    // of the program, in the scribe's namespace
    int32_t proc_pid;               // the same in the namespace of /proc
    int32_t live_tid;               // a thread (as /proc names it) that has not ended
    int foreign_proc;               // /proc belongs to another process namespace
    int frozen;                     // 0: a survey
    int has_hooks;
    int named;                      // the requester named the path: whatever image of ours is there is replaced
    uint32_t step;
    int32_t stuck_tid; uint8_t stuck_name[16];
    uint32_t attempts;
    uint64_t blob_cursor;           // end of what is written so far
    struct ckpt_bump tables, strings;
    struct ckpt_ident ident;
    struct ckpt_process process;
    struct ckpt_mapping *mappings; uint32_t mapping_count;
    struct ckpt_thread *threads; uint32_t thread_count;
    struct ckpt_signal_action *actions; uint32_t action_count;
    struct ckpt_descriptor *descriptors; uint32_t descriptor_count;
    struct ckpt_pipe *pipes; uint32_t pipe_count;
    struct ckpt_eventfd *eventfds; uint32_t eventfd_count;
    struct ckpt_timerfd *timerfds; uint32_t timerfd_count;
    struct ckpt_epoll_entry *epolls; uint32_t epoll_count;
    struct ckpt_blob *blobs; uint64_t *blob_memory; uint32_t blob_count; // blob_memory 0: already in the file
    struct ckpt_shadow *shadows;    // copies of what the child does not have
    int parent_map;                 // /proc/PID/pagemap of the program's memory, opened before the fork
    struct ckpt_run *runs; uint32_t run_count;
    struct ckpt_segment *segments; uint32_t segment_count;
    uint64_t string_byte_count;     // of the string table; segments lie behind it
    uint8_t auxv[1024]; uint32_t auxv_byte_count;
    uint64_t memory_byte_count, page_byte_count, stored_byte_count;
    uint32_t unsupported_count;
    uint64_t pause_began_ns;
    uint32_t exclusion_mark;        // of this freeze
    struct ckpt_report report;
    char image_path[CKPT_PATH_BYTES];
};

// arena.c
struct ckpt_checkpoint *ckpt_begin(void);
void *ckpt_take(struct ckpt_bump *bump, uint64_t byte_count); // aligned to 16; NULL when the arena is too small
void *ckpt_extend(struct ckpt_bump *bump, uint64_t byte_count); // directly behind what was taken last: one more record of a table
uint32_t ckpt_string(struct ckpt_checkpoint *c, const char *text, size_t length); // 0 when empty or no room

// text.c: bounded text handling and /proc files
size_t ckpt_length(const char *text);
int ckpt_same(const char *a, const char *b, size_t byte_count);
char *ckpt_append(char *to, const char *end, const char *text);
char *ckpt_append_number(char *to, const char *end, uint64_t number, unsigned base, int digits);
const char *ckpt_number(const char *text, unsigned base, uint64_t *number);
int ckpt_find_field(const char *text, const char *field, unsigned base, uint64_t *number); // "Field:\t123"
long ckpt_read_text(int directory, const char *path, char *buffer, size_t byte_count); // zero-terminated; length or negative errno
long ckpt_read_link(int directory, const char *path, char *buffer, size_t byte_count);

// freeze.c
void ckpt_park(struct ckpt_slot *slot, struct ckpt_siginfo *info, void *ucontext);
int ckpt_freeze(struct ckpt_checkpoint *c);
void ckpt_thaw(uint32_t command);

// capture_<kind>.c: facts into the tables of the checkpoint
void ckpt_capture_processor(struct ckpt_checkpoint *c); // before the freeze
int ckpt_capture_process(struct ckpt_checkpoint *c);
int ckpt_capture_threads(struct ckpt_checkpoint *c);
void ckpt_capture_signals(struct ckpt_signal_action *actions); // by a thread of the program
int ckpt_capture_mappings(struct ckpt_checkpoint *c);
int ckpt_capture_descriptors(struct ckpt_checkpoint *c);
int ckpt_capture_file(struct ckpt_checkpoint *c, struct ckpt_descriptor *d);
int ckpt_capture_pipe(struct ckpt_checkpoint *c, struct ckpt_descriptor *d);
int ckpt_capture_eventfd(struct ckpt_checkpoint *c, struct ckpt_descriptor *d, const char *fdinfo);
int ckpt_capture_timerfd(struct ckpt_checkpoint *c, struct ckpt_descriptor *d, const char *fdinfo);
int ckpt_capture_socket(struct ckpt_checkpoint *c, struct ckpt_descriptor *d);
int ckpt_capture_epoll(struct ckpt_checkpoint *c, struct ckpt_descriptor *d, const char *fdinfo);
void ckpt_descriptor_path(struct ckpt_checkpoint *c, int number, char *buffer, size_t byte_count); // "task/T/fd/N" below c->proc

// capture_unforked.c
int ckpt_capture_unforked(struct ckpt_checkpoint *c);
int ckpt_find_unforked(struct ckpt_checkpoint *c, struct ckpt_unforked *missing);
int ckpt_remember_unforked(const struct ckpt_unforked *range);
// exclusion.c
enum ckpt_page_exclusion {
    CKPT_PAGE_INCLUDED = 0,     // as the tracker says
    CKPT_PAGE_DEAD = 1,         // in no image; zero after a restart
    CKPT_PAGE_READ_ONLY = 2,    // as in the parent, whatever the tracker says; without a parent it is written
    CKPT_PAGE_PARTLY = 3,       // as the tracker says, with its dead bytes cleared
    CKPT_PAGE_OWED = 4,         // written whatever the tracker says, with its dead bytes cleared
};
// What the page at `address` is; returns how far (at most `end`) the pages behind it are the same. O(log n), no lock.
uint64_t ckpt_exclusion_stretch(uint64_t address, uint64_t end, uint32_t *exclusion);
uint32_t ckpt_exclusion_of_page(uint64_t address);
void ckpt_clear_dead_bytes(uint64_t address, uint8_t *page); // in the copy of one page; O(log n) for each range in it
// The table itself: does not change in a freeze.
const struct ckpt_excluded *ckpt_exclusions(uint32_t *count);
// In a freeze: memory that is there no more, or again. What is there now is included.
void ckpt_forget_exclusion(uint64_t start, uint64_t end);
// In the freeze: a mark, to be settled when the image is durable that the next increment builds on.
uint32_t ckpt_exclusions_mark(void);
void ckpt_exclusions_settle(uint32_t mark);
// snapshot.c: the copy-on-write child writes the image
int ckpt_write_image(struct ckpt_checkpoint *c, struct ckpt_unforked *missing);
// pages.c, notes.c
int ckpt_write_pages(struct ckpt_checkpoint *c);
int ckpt_write_notes(struct ckpt_checkpoint *c);
uint8_t *ckpt_build_notes(struct ckpt_checkpoint *c, uint64_t *byte_count); // NULL when the arena is too small
// output.c
int ckpt_output_open(struct ckpt_checkpoint *c);
void ckpt_output_begin(struct ckpt_checkpoint *c);
// Queues whole pages for writing at a page-aligned offset and returns; *crc (when not NULL) becomes their CRC32C.
int ckpt_output_put(struct ckpt_checkpoint *c, const void *bytes, uint64_t byte_count, uint64_t offset, uint32_t *crc);
int ckpt_output_finish(struct ckpt_checkpoint *c); // everything queued is written, or the first error
// Writes at once, without the queue.
int ckpt_output_write(struct ckpt_checkpoint *c, const void *bytes, uint64_t byte_count, uint64_t offset); // byte_count: whole pages
// sink.c: instead of writing. No offset twice, and nothing later that lies between two puts less than 256 KiB apart which follow
// one another: those are zeros. A failure sets step SINK.
int ckpt_sink_start(struct ckpt_checkpoint *c); // by the scribe, behind ckpt_output_open
int ckpt_sink_put(struct ckpt_checkpoint *c, const void *bytes, uint64_t byte_count, uint64_t offset); // whole pages; by one process at a time
// The last: notes and program headers as they are without compression, and the page with the ELF header. Waits for the answer.
int ckpt_sink_finish(struct ckpt_checkpoint *c, const void *tail, uint64_t byte_count, uint64_t offset, const void *header);
void ckpt_sink_end(struct ckpt_checkpoint *c); // by the scribe, in any case; the sink is gone behind it
// commit.c
int ckpt_commit(struct ckpt_checkpoint *c);
uint64_t ckpt_read_identifier(const char *path); // 0: no image of ours

#pragma GCC visibility pop

#pragma GCC poison malloc free calloc realloc printf fprintf snprintf strlen strcmp strcpy memcmp errno abort
#endif
