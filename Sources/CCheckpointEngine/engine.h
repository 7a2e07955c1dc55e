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
#define CKPT_HOT_PAGES 32768u
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
// What mappings are advised (madvise, mlock), as CKPT_MAPPING_… flags.
#define CKPT_ADVISED_MAX 256u
struct ckpt_advised { uint64_t start, end; uint32_t advice, reserved; };
struct ckpt_shadow { uint64_t address; const uint8_t *copy; uint32_t page_count; struct ckpt_shadow *next; };

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
    uint32_t direct_io;             // the program was seen with direct I/O: nothing is copied while it runs
};
extern struct ckpt_state ckpt_state;
extern uint64_t ckpt_arena;         // address of the arena; 0: none (entry.S)
extern uint64_t ckpt_guard_arena;   // the arena whose table of guarded pages holds in this process; 0: none (entry.S)
extern uint64_t ckpt_park_chain;    // handler of the park signal before ours (entry.S)

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
struct ckpt_checkpoint;
void ckpt_connect_requesters(struct ckpt_requesters *requesters);
void ckpt_tell(struct ckpt_checkpoint *c, int error, struct ckpt_requesters *requesters);

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
struct ckpt_block { uint64_t number; struct ckpt_page *pages; };  // 2 MiB of addresses
struct ckpt_ledger { struct ckpt_bump memory; struct ckpt_block *blocks; uint32_t *slots, *order; uint32_t count, ordered; };

// As PAGEMAP_SCAN gives it (struct page_region, include/uapi/linux/fs.h).
struct ckpt_region { uint64_t start, end, categories; };
#define CKPT_REGION_WRITTEN 2u
#define CKPT_REGION_FILE 4u
#define CKPT_REGION_PRESENT 8u
#define CKPT_REGION_SWAPPED 16u
#define CKPT_REGION_ZERO 32u
#define CKPT_REGION_GUARD 256u      // a guard page made by madvise (since 6.15)
#define CKPT_REGION_POPULATED (CKPT_REGION_PRESENT | CKPT_REGION_SWAPPED)
struct ckpt_checkpoint {
    int proc;                       // descriptor of /proc/PID of the program
    int output;                     // the image being written
    int directory;                  // descriptor of the image's directory
    int replaced;                   // the image at the path, locked until this checkpoint is over
    int direct;                     // the output takes direct I/O
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
    uint32_t tracked_count;         // file mappings in the table that this checkpoint makes
    struct ckpt_bump tables, strings;
    struct ckpt_ident ident;
    struct ckpt_process process;
    struct ckpt_mapping *mappings; uint32_t mapping_count;
    struct ckpt_thread *threads; uint32_t thread_count;
    struct ckpt_frame *frames;      // of the same threads
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
    uint64_t memory_byte_count, page_byte_count, page_count; // populated pages: here, zero or the parent's
    uint32_t unsupported_count;
    uint64_t pause_began_ns;
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
int ckpt_note_advice(struct ckpt_checkpoint *c);
void ckpt_apply_advice(struct ckpt_checkpoint *c);
int ckpt_remember_unforked(const struct ckpt_unforked *range);
// ledger.c
int ckpt_ledger_begin(struct ckpt_checkpoint *c);
struct ckpt_page *ckpt_ledger_find(struct ckpt_checkpoint *c, uint64_t address);   // NULL: nothing is known of its block
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
int ckpt_copy_shadow(struct ckpt_checkpoint *c, const struct ckpt_mapping *m, const struct ckpt_shadow *shadow);
// The same into the arena: -ENOSPC when it is full.
int64_t ckpt_copy_to_arena(struct ckpt_checkpoint *c, const struct ckpt_mapping *m, uint64_t start, uint64_t end);
int ckpt_flush_hot(struct ckpt_checkpoint *c);  // writes the copies in the arena to the file
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
// final.c: in the freeze
int ckpt_final_scan(struct ckpt_checkpoint *c, uint64_t *page_count);
int ckpt_final_copy(struct ckpt_checkpoint *c, int by_child);
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
int ckpt_output_finish(struct ckpt_checkpoint *c); // the same, and the helpers end
// Writes at once, without the queue.
int ckpt_output_write(struct ckpt_checkpoint *c, const void *bytes, uint64_t byte_count, uint64_t offset); // byte_count: whole pages
// commit.c
int ckpt_commit(struct ckpt_checkpoint *c);
uint64_t ckpt_read_identifier(const char *path); // 0: no image of ours
int ckpt_divert(struct ckpt_checkpoint *c);      // to the name of this run alone
int ckpt_has_base(struct ckpt_checkpoint *c);    // the base is at the image's path or in its folder

#pragma GCC visibility pop

#pragma GCC poison malloc free calloc realloc printf fprintf snprintf strlen strcmp strcpy memcmp errno abort
#endif
