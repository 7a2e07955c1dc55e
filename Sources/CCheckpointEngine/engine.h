// SPDX-License-Identifier: Apache-2.0
// What the files of the engine share. Laws of this folder: no libc, no malloc, no locks that a killed scribe could hold,
// no TLS, no floating point; memory comes from the arena; a function returns 0 or a negative errno.
#ifndef CKPT_ENGINE_PRIVATE_H
#define CKPT_ENGINE_PRIVATE_H

#include "include/ckpt_engine.h"
#include "system.h"
#include "state.h"
struct ckpt_checkpoint;
#include "shared.h"

#pragma GCC visibility push(hidden)

// The compiler emits calls of memcpy and memset for struct copies at any level; they stay inside the engine.
void *ckpt_memcpy(void *to, const void *from, size_t byte_count);
void *ckpt_memset(void *to, int byte, size_t byte_count);
#ifndef CKPT_MEMORY_C
__asm__(".set memcpy, ckpt_memcpy\n.set memset, ckpt_memset\n");
#endif

static inline struct ckpt_control *ckpt_control(void) { return (struct ckpt_control *)ckpt_arena; }
static inline struct ckpt_slot *ckpt_slot(uint32_t index) {
    return (struct ckpt_slot *)(ckpt_arena + CKPT_SLOTS_OFFSET + (uint64_t)(index % CKPT_SLOT_COUNT) * CKPT_SLOT_BYTES);
}

// entry.S
void ckpt_trigger_entry(int, void *, void *);
void ckpt_park_entry(int, void *, void *);
void ckpt_guard_entry(int, void *, void *);
void ckpt_signal_return(void);
long ckpt_spawn(uint64_t flags, void *stack_top, uint32_t *parent_tid, uint32_t *child_tid, void (*body)(void));

// signals
#define CKPT_PARK_SIGNAL 33
#define CKPT_INSTALL_PARK 0x434b5054494e5354ull // value of the plan's signal: put back the handler of the park signal
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

struct ckpt_checkpoint;
// scribe.c, standing.c
void ckpt_scribe(void);
void ckpt_take_standing(void);
void ckpt_leave_standing(void);
// seccomp.c
int ckpt_is_filtered(void);         // by filters of which it is not known that they let checkpoints pass
int64_t ckpt_refuse_filtered(void);
int ckpt_look_for_filters(struct ckpt_checkpoint *c, int tasks);
int ckpt_try_filters(void);         // at plan time
#ifdef CKPT_TEST_HOOKS
extern void (*ckpt_test_frozen)(void); // called in the freeze, behind the last copy (Tests/Engine)
extern struct ckpt_unforked ckpt_test_shared; // shared memory outside of this range is the test's own, and left out
extern struct ckpt_unforked ckpt_test_swapped; // a range of whole mappings that is as if swapped out, on a kernel with the defect (final.c)
#endif

// What a debugger wants of a signal frame, copied in the freeze: the frame itself is the program's.
struct ckpt_frame {
    uint64_t registers[23];         // as in the ucontext: r8 … r15 rdi rsi rbp rbx rdx rax rcx rsp rip eflags cs/gs/fs/ss …
    const uint8_t *vector;          // the area of fxsave or xsave; NULL: none
    uint32_t vector_byte_count;
};

struct ckpt_stat { // Kernel: struct stat of x86-64
    uint64_t device, inode, links;
    uint32_t mode, uid, gid, pad;
    uint64_t rdev;
    int64_t byte_count, block_size, blocks;
    struct ckpt_timespec accessed, modified, changed;
    int64_t unused[3];
};
_Static_assert(sizeof(struct ckpt_stat) == 144, "struct stat");

// requester.c
struct ckpt_requesters { int sockets[CKPT_NONCES]; uint32_t count; int exit_after; char path[CKPT_PATH_BYTES]; };
void ckpt_connect_requesters(struct ckpt_requesters *requesters);
void ckpt_tell(struct ckpt_checkpoint *c, int error, struct ckpt_requesters *requesters);
// interval.c: the periodic checkpoint, and the least time between two
int ckpt_prepare_interval(const struct ckpt_plan *plan); // the timer, not started
void ckpt_start_interval(void);     // Order: behind the handlers, because it may fire at once
void ckpt_stop_interval(void);      // Order: before the handlers go
void ckpt_renew_interval(void);     // by a thread of the program, with the lock held
int ckpt_is_periodic(const struct ckpt_siginfo *info);
uint64_t ckpt_optimal_interval(uint64_t cost_ns, uint64_t failure_ns);
int ckpt_too_soon(struct ckpt_checkpoint *c, int exit_after); // the scribe's first question: 0, or the error of the report
void ckpt_note_durable(struct ckpt_checkpoint *c); // by the scribe, behind the commit

// One checkpoint as the scribe sees it.
struct ckpt_bump { uint64_t base, used, limit; };
struct ckpt_segment { uint64_t start, end, file_offset, file_byte_count; uint32_t protection, mapping; };

// Where a page of the program is in the image that is being written (ledger.c).
struct ckpt_page { uint32_t place, crc; };
#define CKPT_PLACE_NONE 0u
#define CKPT_PLACE_ZERO 1u
#define CKPT_PLACE_PARENT 2u        // clean: as in the parent
#define CKPT_PLACE_FILE 16u         // + number of the page in the file
#define CKPT_PLACE_HOT 0x80000000u  // + index of the copy in the arena: not yet written
#define CKPT_BLOCK_PAGES 512u
struct ckpt_hash { uint64_t low, high; };
struct ckpt_block { uint64_t number; struct ckpt_page *pages; struct ckpt_hash *hashes; };  // 2 MiB of addresses
struct ckpt_left { struct ckpt_left *next; uint32_t place; };      // in the file: bytes that the image does not have any more
struct ckpt_ledger { struct ckpt_bump memory; struct ckpt_block *blocks; uint32_t *slots, *order; uint32_t count, ordered; };

// As PAGEMAP_SCAN gives it (struct page_region, include/uapi/linux/fs.h).
struct ckpt_region { uint64_t start, end, categories; };
#define CKPT_REGION_WRITTEN 2u
#define CKPT_REGION_FILE 4u
#define CKPT_REGION_PRESENT 8u
#define CKPT_REGION_SWAPPED 16u
#define CKPT_REGION_ZERO 32u
#define CKPT_DOUBTS_MAX 32u
#define CKPT_REGION_GUARD 256u      // a guard page made by madvise (since 6.15)
#define CKPT_REGION_POPULATED (CKPT_REGION_PRESENT | CKPT_REGION_SWAPPED)
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
    uint64_t file_end;              // of what is written so far
    uint64_t durable_at_ns;         // monotonic time; 0: not yet
    int tracked;                    // 1: the tracker works, clean is proven
    int increment;                  // 1: clean pages are the parent's
    uint32_t last_taken;            // whether the tracker has taken the write access from the mapping that was captured last
    uint64_t guarded_count;         // when the mappings were captured last
    int distrusted;                 // guarded pages are not where they were: others may be in their place
    int has_moved;                  // of guarded pages: 0: not known, 1: no, 2: yes
    uint64_t early_pause_ns;        // of the freeze in which they were protected
    int map;                        // /proc/self/pagemap
    int memory;                     // /proc/self/mem
    struct ckpt_ledger ledger;
    uint32_t hot_count;             // copies in the arena
    uint32_t *hot_places;           // where each of them was in the file before; NONE: nowhere
    int append_only;                // the output takes no byte twice: what is written again goes to a new place
    uint64_t next_address;          // the page behind the one that was placed in the file last, and its mapping
    uint32_t next_mapping;
    struct ckpt_region *spans; uint32_t span_count; // dirty pages that the freeze found
    uint32_t tracked_count, tracked_bits; // file mappings in the table that this checkpoint makes, and bytes of their bits
    struct ckpt_unforked doubts[CKPT_DOUBTS_MAX]; uint32_t doubt_count; // what is protected there may not have been copied
    struct ckpt_bump tables, strings;
    struct ckpt_ident ident;
    struct ckpt_process process;
    struct ckpt_processor processor;
    struct ckpt_mapping *mappings; uint32_t mapping_count;
    struct ckpt_thread *threads; uint32_t thread_count;
    struct ckpt_frame *frames;      // of the same threads
    struct ckpt_scheduling *schedulings; uint32_t scheduling_count;
    struct ckpt_limit *limits; uint32_t limit_count;
    struct ckpt_attribute *attributes; uint32_t attribute_count;
    uint64_t processors[CKPT_PROCESSOR_BYTES / 8], slice_ns; // that every thread may have (capture_scheduling.c)
    struct ckpt_signal_action *actions; uint32_t action_count;
    struct ckpt_descriptor *descriptors; uint32_t descriptor_count;
    struct ckpt_pipe *pipes; uint32_t pipe_count;
    struct ckpt_eventfd *eventfds; uint32_t eventfd_count;
    struct ckpt_timerfd *timerfds; uint32_t timerfd_count;
    struct ckpt_shared *shared; uint32_t shared_count;
    struct ckpt_objects objects;    // what they are while this checkpoint is taken
    struct ckpt_guard_pages *guards; uint32_t guard_count;
    struct ckpt_signalfd *signalfds; uint32_t signalfd_count;
    struct ckpt_timer *timers; uint32_t timer_count;
    struct ckpt_itimer itimers[3]; uint32_t itimer_count;
    struct ckpt_signal_queued *queued; uint32_t queued_count;
    struct ckpt_epoll_entry *epolls; uint32_t epoll_count;
    struct ckpt_blob *blobs; uint64_t *blob_memory; uint32_t blob_count; // blob_memory 0: already in the file
    struct ckpt_shadow *shadows;    // copies of what the child does not have
    int parent_map;                 // /proc/PID/pagemap of the program's memory, opened before the fork
    struct ckpt_run *runs; uint32_t run_count;
    struct ckpt_segment *segments; uint32_t segment_count;
    uint64_t string_byte_count;     // of the string table; segments lie behind it
    uint8_t auxv[1024]; uint32_t auxv_byte_count;
    uint64_t memory_byte_count, page_byte_count, stored_byte_count, page_count; // populated pages: here, zero or the parent's
    uint32_t unsupported_count;
    uint64_t pause_began_ns;
    uint32_t blocked_count;         // threads that were in a call before the freeze (blocked.c)
    uint32_t exclusion_mark;        // of this freeze
    uint32_t exclusion_version;     // of the table, before the first round
    uint32_t is_swapped;            // some of the program's pages are swapped out
    uint64_t dead_count;            // pages that were to be copied and are excluded
    struct ckpt_left *left;         // to be cleared behind the thaw
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
const char *ckpt_stat_field(const char *text, int field); // from 3 on, of /proc/PID/stat (proc_pid_stat(5)); at its end: there is none
long ckpt_read_text(int directory, const char *path, char *buffer, size_t byte_count); // zero-terminated; length or negative errno
long ckpt_read_link(int directory, const char *path, char *buffer, size_t byte_count);

// blocked.c: calls in which threads are blocked; before the freeze, then for each thread that is parked
void ckpt_look_at_blocked(struct ckpt_checkpoint *c, int tasks);
void ckpt_mend_blocked(struct ckpt_checkpoint *c, struct ckpt_slot *slot, int32_t proc_tid, uint32_t hint); // where it may be
void ckpt_interrupt_for(struct ckpt_slot *slot, uint64_t pending); // the call returns EINTR after all, when one has a handler
void ckpt_leave_blocked(struct ckpt_slot *slot); // the thread itself, behind the freeze: a handler of the program may be about to run
int ckpt_is_on_detour(uint64_t pc); // the call is made once more, with the same registers but one
void ckpt_repeat_interrupted(uint64_t ucontext); // of this thread, in a handler; without its time-out

// freeze.c
void ckpt_park(struct ckpt_slot *slot, struct ckpt_siginfo *info, void *ucontext);
int ckpt_freeze(struct ckpt_checkpoint *c);
int ckpt_freeze_undeferred(struct ckpt_checkpoint *c, int with_hooks); // scribe.c
void ckpt_thaw(uint32_t command);
int32_t ckpt_own_tid(struct ckpt_checkpoint *c, int32_t proc_tid); // in the program's own namespace; -1: there is none

#include "capture.h"

// ledger.c
int ckpt_ledger_begin(struct ckpt_checkpoint *c);
struct ckpt_page *ckpt_ledger_find(struct ckpt_checkpoint *c, uint64_t address);   // NULL: nothing is known of its block
struct ckpt_hash *ckpt_ledger_hash(struct ckpt_checkpoint *c, uint64_t address);   // of the bytes that were copied (shared.c); NULL: no room
struct ckpt_page *ckpt_ledger_page(struct ckpt_checkpoint *c, uint64_t address);   // makes the block; NULL: no room
void ckpt_ledger_forget(struct ckpt_checkpoint *c, uint64_t start, uint64_t end);  // these pages have no content
void ckpt_ledger_sort(struct ckpt_checkpoint *c);                                  // blocks[order[i]] ascend
// copy.S
int ckpt_copy_page(void *to, const void *from); // 0, or -EFAULT when it cannot be read so
void ckpt_fault_entry(int, void *, void *);
// copy.c
int ckpt_copy_begin(struct ckpt_checkpoint *c);
// Copies pages to their places in the file. Returns how many could be read, or a negative errno.
int64_t ckpt_copy_to_file(struct ckpt_checkpoint *c, const struct ckpt_mapping *m, uint64_t start, uint64_t end);
// A page of an object, from `source`: to the file or to the arena. Returns 1, or a negative errno.
int ckpt_copy_object(struct ckpt_checkpoint *c, uint32_t object, uint64_t at, const uint8_t *source, int to_arena);
int ckpt_copy_shadow(struct ckpt_checkpoint *c, const struct ckpt_mapping *m, const struct ckpt_shadow *shadow);
// The same into the arena: -ENOSPC when it is full.
int64_t ckpt_copy_to_arena(struct ckpt_checkpoint *c, const struct ckpt_mapping *m, uint64_t start, uint64_t end);
int ckpt_flush_hot(struct ckpt_checkpoint *c);  // writes the copies in the arena to the file, and clears what is left there
int ckpt_leave(struct ckpt_checkpoint *c, struct ckpt_page *page); // this page has no content: what was copied of it is cleared
void ckpt_patch_hot(struct ckpt_checkpoint *c, const void *field, const void *value, size_t byte_count);
// How the content of a mapping is known.
enum ckpt_treatment { CKPT_TREAT_SKIP, CKPT_TREAT_ALL /* cannot be tracked: written each time */, CKPT_TREAT_MEMORY, CKPT_TREAT_FILE };
enum ckpt_treatment ckpt_treatment(const struct ckpt_mapping *m);
#include "tracker.h"
// precopy.c
uint64_t ckpt_budget_pages(void);
int ckpt_increment_pays(struct ckpt_checkpoint *c);
int ckpt_has_requests_in_flight(struct ckpt_checkpoint *c);
int ckpt_precopy(struct ckpt_checkpoint *c);
int ckpt_note_advice_alone(struct ckpt_checkpoint *c); // where nothing is copied before the freeze
// quiet.c: until the program writes little, or for a quarter of a second; whether it does.
int ckpt_await_quiet(struct ckpt_checkpoint *c);
uint64_t ckpt_faults(struct ckpt_checkpoint *c); // minor faults of the program: pages that it wrote for the first time, and others
int ckpt_is_doubted(struct ckpt_checkpoint *c, const struct ckpt_mapping *m);
// populated.c
// populated.c: of an anonymous mapping that was tracked before; `first_span`: the first of its spans
int ckpt_compare_populated(struct ckpt_checkpoint *c, const struct ckpt_mapping *m, uint32_t first_span);
// guard_pages.c: in the freeze
int ckpt_capture_guard_pages(struct ckpt_checkpoint *c);
void ckpt_begin_guard_pages(struct ckpt_checkpoint *c);
int ckpt_find_guard_pages(struct ckpt_checkpoint *c, uint64_t start, uint64_t end);
void ckpt_leave_guard_pages(struct ckpt_checkpoint *c);
// final.c: in the freeze
int ckpt_final_scan(struct ckpt_checkpoint *c, uint64_t *page_count);
int ckpt_final_copy(struct ckpt_checkpoint *c, int by_child);
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
int ckpt_has_exclusions(uint64_t start, uint64_t end);
void ckpt_clear_dead_bytes(uint64_t address, uint8_t *page); // in the copy of one page; O(log n) for each range in it
// The table itself: does not change in a freeze.
const struct ckpt_excluded *ckpt_exclusions(uint32_t *count);
// In a freeze: memory that is there no more, or again. What is there now is included.
void ckpt_forget_exclusion(uint64_t start, uint64_t end);
// In the freeze: a mark, to be settled when the image is durable that the next increment builds on.
uint32_t ckpt_exclusions_version(void);
uint32_t ckpt_exclusions_mark(void);
void ckpt_exclusions_settle(uint32_t mark);
// snapshot.c: the copy-on-write child writes the image
int ckpt_write_image(struct ckpt_checkpoint *c, struct ckpt_unforked *missing);
int ckpt_write_blobs(struct ckpt_checkpoint *c);
// pages.c, runs.c, notes.c
int ckpt_write_pages(struct ckpt_checkpoint *c); // every populated page, in the copy-on-write child
int ckpt_write_spans(struct ckpt_checkpoint *c); // those that the freeze found
int ckpt_build_runs(struct ckpt_checkpoint *c);
int ckpt_write_notes(struct ckpt_checkpoint *c);
uint8_t *ckpt_build_notes(struct ckpt_checkpoint *c, uint64_t *byte_count); // NULL when the arena is too small
// output.c
int ckpt_output_open(struct ckpt_checkpoint *c);
void ckpt_output_forget(void);              // the helpers of a scribe that was killed are gone
void ckpt_output_begin(struct ckpt_checkpoint *c);
// Queues whole pages for writing at a page-aligned offset and returns.
int ckpt_output_put(struct ckpt_checkpoint *c, const void *bytes, uint64_t byte_count, uint64_t offset);
// Room for the page at this offset, to be filled and then kept; NULL with *error when something could not be written.
uint8_t *ckpt_output_page(struct ckpt_checkpoint *c, uint64_t offset, int *error);
void ckpt_output_keep(struct ckpt_checkpoint *c);
int ckpt_output_flush(struct ckpt_checkpoint *c); // everything queued is written, or the first error
void ckpt_output_end(struct ckpt_checkpoint *c);   // the helpers end, whatever is queued
// A job for a helper, one at a time; its result.
void ckpt_output_beside(struct ckpt_checkpoint *c, int (*job)(struct ckpt_checkpoint *));
int ckpt_output_await_job(struct ckpt_checkpoint *c);
int ckpt_output_finish(struct ckpt_checkpoint *c); // the same, and the helpers end
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
int ckpt_divert(struct ckpt_checkpoint *c);      // to the name of this run alone
int ckpt_has_base(struct ckpt_checkpoint *c);    // the base is at the image's path or in its folder

#pragma GCC visibility pop

#pragma GCC poison malloc free calloc realloc printf fprintf snprintf strlen strcmp strcpy memcmp errno abort
#endif
