// SPDX-License-Identifier: Apache-2.0
// The image: raw facts as the kernel told them, from signal time through the file to plan time.
//
// An image is an ELF core file (ET_CORE, x86-64). Layout of the file:
//
//     offset 0      ELF header, written last
//     4096 …        page data and blobs; each PT_LOAD starts at a multiple of 4096, holes are zero pages
//     tail          notes: CKPT_NOTE_IDENT first, then the standard notes, then the other notes of owner "CKPT";
//                   program headers: PT_NOTE first, then the PT_LOADs by ascending address; section header 0, if any
//
// Readers go by the offsets in the headers, not by this order. Documentation/image-format.md is for those who write one.
//
// Every number is little-endian and fixed-width. Every table is a note whose descriptor begins with
// struct ckpt_table; a reader steps by `record_size`, so records may grow at their end within a major version.
// Strings are offsets into CKPT_NOTE_STRINGS (zero-terminated bytes; offset 0 is the empty string).
#ifndef CKPT_IMAGE_H
#define CKPT_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#define CKPT_IMAGE_MAJOR 1u
#define CKPT_IMAGE_MINOR 0u
#define CKPT_PAGE_SIZE 4096u
#define CKPT_NOTE_OWNER "CKPT"
// A checksummed run is at most this long, so that runs can be checked and loaded in parallel.
#define CKPT_RUN_PAGES_MAX 256u
// Inside one mapping, a gap without content of at least this many bytes separates two PT_LOADs; a smaller one is a hole.
#define CKPT_SEGMENT_GAP (1ull << 20)

// Debuggers (BFD) take a note of an owner that they do not know for a standard one of the same type: hence numbers that
// no standard note has.
#define CKPT_NOTE_BASE 0x434b0000u
enum ckpt_note_type {
    CKPT_NOTE_IDENT = CKPT_NOTE_BASE + 1, // struct ckpt_ident; always the first note
    CKPT_NOTE_PROCESS = CKPT_NOTE_BASE + 2, // struct ckpt_process
    CKPT_NOTE_MAPPINGS = CKPT_NOTE_BASE + 3, // table of struct ckpt_mapping, ascending, no overlap
    CKPT_NOTE_RUNS = CKPT_NOTE_BASE + 4, // table of struct ckpt_run, ascending, no overlap
    CKPT_NOTE_THREADS = CKPT_NOTE_BASE + 5, // table of struct ckpt_thread; the leader first
    CKPT_NOTE_SIGNALS = CKPT_NOTE_BASE + 6, // table of struct ckpt_signal_action
    CKPT_NOTE_DESCRIPTORS = CKPT_NOTE_BASE + 7, // table of struct ckpt_descriptor, ascending by number
    CKPT_NOTE_PIPES = CKPT_NOTE_BASE + 8, // table of struct ckpt_pipe
    CKPT_NOTE_EVENTFDS = CKPT_NOTE_BASE + 9, // table of struct ckpt_eventfd
    CKPT_NOTE_EPOLLS = CKPT_NOTE_BASE + 10, // table of struct ckpt_epoll_entry
    CKPT_NOTE_TIMERFDS = CKPT_NOTE_BASE + 11, // table of struct ckpt_timerfd
    CKPT_NOTE_BLOBS = CKPT_NOTE_BASE + 12, // table of struct ckpt_blob: bytes that are no memory (pipe contents, embedded files)
    CKPT_NOTE_STRINGS = CKPT_NOTE_BASE + 13, // raw bytes, no table header
    CKPT_NOTE_CHUNKS = CKPT_NOTE_BASE + 14, // table of struct ckpt_chunk, ascending by image_offset: compressed images only
    CKPT_NOTE_TIMERS = CKPT_NOTE_BASE + 15, // table of struct ckpt_timer
    CKPT_NOTE_ITIMERS = CKPT_NOTE_BASE + 16, // table of struct ckpt_itimer
    CKPT_NOTE_SIGNALFDS = CKPT_NOTE_BASE + 17, // table of struct ckpt_signalfd
    CKPT_NOTE_QUEUED = CKPT_NOTE_BASE + 18, // table of struct ckpt_signal_queued
    CKPT_NOTE_SCHEDULINGS = CKPT_NOTE_BASE + 19, // table of struct ckpt_scheduling: threads that have not ended
    CKPT_NOTE_LIMITS = CKPT_NOTE_BASE + 20, // table of struct ckpt_limit
    CKPT_NOTE_ATTRIBUTES = CKPT_NOTE_BASE + 21, // table of struct ckpt_attribute
    CKPT_NOTE_PROCESSOR = CKPT_NOTE_BASE + 27, // struct ckpt_processor
    CKPT_NOTE_SHARED = CKPT_NOTE_BASE + 23, // table of struct ckpt_shared, ascending by address
    CKPT_NOTE_GUARDS = CKPT_NOTE_BASE + 24, // table of struct ckpt_guard_pages, ascending, no overlap
};

struct ckpt_table {
    uint32_t version;           // 1
    uint32_t record_size;
    uint32_t count;
    uint32_t reserved;          // 0
};

// Checksums are CRC32C (Castagnoli), initial value and final xor 0xffffffff. This note is the same in every major version,
// at least up to its checksum: how else could a reader tell a later version from damage.
struct ckpt_ident {
    uint16_t major, minor;      // of the format
    uint32_t flags;             // enum ckpt_ident_flag
    uint64_t identifier;        // 48 random bits, never 0; written as 12 hex digits
    uint64_t parent;            // identifier of the parent; 0: a full image
    uint64_t run;               // random identity of one run of the program: a restart begins another run
    uint64_t sequence;          // checkpoints of this run so far, this one included
    uint64_t created_realtime_ns;
    uint64_t file_byte_count;   // of the whole image
    uint64_t program_headers_offset;
    uint64_t notes_offset;
    uint64_t notes_byte_count;
    uint32_t program_header_count;
    uint32_t elf_header_crc;    // of the 64 bytes at offset 0
    uint32_t program_headers_crc; // of program_header_count * 56 bytes (and of section header 0, 64 bytes, when e_shnum is 1)
    uint32_t notes_crc;         // of all bytes of the notes behind this note
    uint32_t depth;             // increments from the last full image to this one; 0: a full image. A parent's is one less
    uint32_t ident_crc;         // of this whole note (12-byte note header, owner padded to 8 bytes, this struct with ident_crc = 0)
};
enum ckpt_ident_flag {
    CKPT_IDENT_EXIT = 1,        // taken by checkpoint-and-exit
    CKPT_IDENT_COMPRESSED = 2,  // offsets of runs and blobs are those of the image before compression: CKPT_NOTE_CHUNKS leads to the bytes
};

struct ckpt_process {
    int32_t pid, parent_pid, group, session;  // in the program's own process namespace
    uint32_t uid, gid;
    uint32_t umask;
    uint32_t thread_count;      // of CKPT_NOTE_THREADS
    uint64_t pending_signals;   // bit n-1: signal n is pending for the process
    // memory layout fields, in the order of struct prctl_mm_map
    uint64_t start_code, end_code, start_data, end_data, start_brk, brk, start_stack;
    uint64_t arg_start, arg_end, env_start, env_end;
    uint64_t vdso_start, vdso_end;      // 0, 0: none
    uint64_t auxv_blob;                 // unused, 0: the auxiliary vector is the standard note NT_AUXV
    uint32_t executable;                // string: path (/proc/PID/exe)
    uint32_t directory;                 // string: working directory
    uint32_t root;                      // string: root directory
    uint32_t kernel_release;            // string
    uint8_t build_id[20];               // of the executable; zeros: none
    uint32_t build_id_byte_count;
    uint8_t boot_id[16];                // /proc/sys/kernel/random/boot_id; zeros: unknown
    uint64_t realtime_ns, monotonic_ns, boottime_ns;  // at the freeze
    // processor
    uint64_t xfeatures;                 // XCR0
    uint32_t xsave_byte_count;          // size of the XSAVE area in the signal frame
    uint32_t cpu_level;                 // 1…4: x86-64-v1 … v4, the level that this host has
    uint32_t cpuid[8];                  // leaf 1 ECX, EDX; leaf 7.0 EBX, ECX, EDX; leaf 7.1 EAX; leaf 0x80000001 ECX, EDX
    // the engine inside the program
    uint64_t restart_context;           // address of struct ckpt_restart_context, which ckpt-restart fills
    uint64_t arena_start, arena_end;    // anonymous, empty after a restart
    uint64_t beacon_start, beacon_end;  // a memfd of this name, mapped shared and read-only, one page
    uint32_t beacon_name;               // string
    uint32_t reserved;
    uint64_t pause_ns;                  // of this checkpoint, as far as it was known when the notes were written
};

// The processor, beside what struct ckpt_process says of it.
#define CKPT_COMPONENT_COUNT 32u
struct ckpt_processor {
    uint64_t permitted;         // state components that this program may use: AMX only when it has asked for it (ARCH_GET_XCOMP_PERM)
    uint32_t level;             // CKPT_CPU: the program promises to use no more than x86-64-v1 … v4; 0: no promise
    uint32_t cpuid[3];          // leaf 13.1 EAX, leaf 7.1 EDX, leaf 0x80000008 EBX
    struct { uint32_t offset, byte_count; } components[CKPT_COMPONENT_COUNT]; // of the XSAVE area in the signal frames (leaf 13); 0, 0: not there
};

enum ckpt_mapping_kind {
    CKPT_MAPPING_ANONYMOUS = 1, // private anonymous, the thread stacks and the heap included
    CKPT_MAPPING_FILE = 2,      // private mapping of a file, or a shared one that nobody here can write
    CKPT_MAPPING_STACK = 3,     // the main stack: grows down
    CKPT_MAPPING_HEAP = 4,      // brk
    CKPT_MAPPING_VDSO = 5,      // its content is for debuggers; a restart moves the host's own there
    CKPT_MAPPING_VVAR = 6,      // never saved ([vvar] and [vvar_vclock]); the host's own is moved there
    CKPT_MAPPING_SHARED_ANONYMOUS = 7, // of an object that no name leads to: shared anonymous memory, memfd, System V
    CKPT_MAPPING_SHARED_FILE = 8,   // of a file, shared: writable, or the file is deleted
    CKPT_MAPPING_ARENA = 9,     // the engine's own; no content
    CKPT_MAPPING_BEACON = 10,   // the engine's own; no content: a restart makes it anew from its name
    CKPT_MAPPING_OTHER = 11,    // a device, hugetlbfs, …: cannot be restored
    CKPT_MAPPING_OBJECT = 12,   // no mapping: the content of a struct ckpt_shared, at an address that no program has
};
enum ckpt_mapping_flag {
    CKPT_MAPPING_SHARED = 1, CKPT_MAPPING_DELETED = 2,
    CKPT_MAPPING_GROWS_DOWN = 4, CKPT_MAPPING_WIPE_ON_FORK = 8, CKPT_MAPPING_DONT_FORK = 16,
    CKPT_MAPPING_LOCKED = 32, CKPT_MAPPING_HUGE = 64, CKPT_MAPPING_NO_HUGE = 128, CKPT_MAPPING_DONT_DUMP = 256,
    CKPT_MAPPING_DROPPABLE = 512,       // MAP_DROPPABLE: the kernel may empty it at any time; never saved (it holds the state of vDSO getrandom)
    CKPT_MAPPING_SEALED = 1024,  // mseal
};
struct ckpt_mapping {
    uint64_t start, end;
    uint32_t kind;              // enum ckpt_mapping_kind
    uint32_t protection;        // PROT_READ 1, PROT_WRITE 2, PROT_EXEC 4
    uint32_t flags;             // enum ckpt_mapping_flag
    uint32_t name;              // string: as in /proc/PID/maps, unescaped, without " (deleted)"
    uint64_t file_offset;
    uint64_t device, inode;     // device as stat gives it
    uint32_t object;            // 1 + index into CKPT_NOTE_SHARED; 0: none
    uint32_t protection_key;    // 0: none
};

// An object of shared memory. Its mappings and descriptors refer to it; its content is there once, as page runs from `address` on,
// and complete in each image. Behind the last page of a program, and a multiple of 2 MiB:
#define CKPT_OBJECTS_START (1ull << 60)
#define CKPT_OBJECTS_END (1ull << 61)
enum ckpt_shared_kind {
    CKPT_SHARED_ANONYMOUS = 1,  // MAP_SHARED | MAP_ANONYMOUS
    CKPT_SHARED_MEMFD = 2,
    CKPT_SHARED_DELETED = 3,    // a file that no name leads to any more
    CKPT_SHARED_SYSTEM_V = 4,   // inode: the segment's id
    CKPT_SHARED_FILE = 5,       // a file with a name
};
enum ckpt_shared_flag {
    CKPT_SHARED_EXACT = 1,      // byte_count is the object's size; else only what is mapped of it is known
    CKPT_SHARED_WITH_OTHERS = 2, // other processes have it too
    CKPT_SHARED_SEALS = 4,      // `seals` is known
};
struct ckpt_shared {
    uint64_t address;           // of the mapping of kind OBJECT that has its content
    uint64_t byte_count;
    uint64_t device, inode;
    uint32_t kind;              // enum ckpt_shared_kind
    uint32_t flags;             // enum ckpt_shared_flag
    uint32_t seals;             // F_SEAL_…
    uint32_t mode;              // st_mode; System V: permissions; 0: not known
    uint32_t name;              // string: as in /proc/PID/maps, without " (deleted)"
    uint32_t key;               // System V
    int64_t modified_ns;        // of a file
};
struct ckpt_guard_pages { uint64_t start, end; }; // MADV_GUARD_INSTALL

enum ckpt_run_kind {
    CKPT_RUN_HERE = 1,          // file_offset and crc are valid
    CKPT_RUN_ZERO = 2,          // populated, all bytes zero; nothing in the file
    CKPT_RUN_PARENT = 3,        // as in the parent; zeros where that has nothing
};
// The runs of an image are complete: an increment has a run of kind PARENT for each page that it does not hold itself.
struct ckpt_run {               // pages of a mapping in no run were never populated: they read as zeros
    uint64_t address;
    uint64_t file_offset;
    uint32_t page_count;        // at most CKPT_RUN_PAGES_MAX when HERE
    uint32_t kind;
    uint32_t crc;
    uint32_t reserved;
};

enum ckpt_thread_flag { CKPT_THREAD_LEADER = 1, CKPT_THREAD_ENDED = 2 /* a leader that called pthread_exit */ };
struct ckpt_thread {
    int32_t tid;                // in the program's own process namespace
    uint32_t flags;
    uint64_t ucontext;          // address of the signal frame's ucontext: restored by rt_sigreturn with SP = ucontext
    uint64_t fs_base, gs_base;
    uint64_t tid_address;       // cleared by the kernel at thread exit (set_tid_address); glibc: &pthread->tid
    uint64_t robust_list;
    uint64_t robust_list_byte_count;
    uint64_t rseq;              // address; 0: not registered
    uint32_t rseq_byte_count, rseq_signature;
    uint64_t signal_mask;       // bit n-1: signal n is blocked
    uint64_t pending_signals;   // for this thread alone
    uint64_t alternate_stack;
    uint64_t alternate_stack_byte_count;
    uint32_t alternate_stack_flags;
    uint32_t reserved;
    uint8_t name[16];
};

#define CKPT_PROCESSOR_BYTES 128u
struct ckpt_scheduling {
    int32_t tid;
    uint32_t policy;            // SCHED_…
    uint32_t flags;             // SCHED_FLAG_…: 1 children begin anew (SCHED_RESET_ON_FORK)
    int32_t nice;
    uint32_t priority;          // of SCHED_FIFO and SCHED_RR
    uint32_t io_priority;       // as ioprio_get tells: class << 13 | level; 0: as the nice value says
    uint64_t runtime_ns, deadline_ns, period_ns; // of SCHED_DEADLINE; runtime of others: a time slice of their own, or 0
    uint64_t timer_slack_ns;    // 0: none, as real-time threads have it
    uint32_t processor_byte_count; // of `processors`; 0: may run on every one that the process was allowed, or not known
    uint32_t reserved;
    uint8_t processors[CKPT_PROCESSOR_BYTES]; // bit n % 8 of byte n / 8: may run on processor n
};

struct ckpt_limit { uint32_t resource /* RLIMIT_… */, reserved; uint64_t soft, hard; };

// What prctl and its like tell. `tid` 0: of the process, or of every thread that has no record of its own. Not there: unknown.
enum ckpt_attribute_kind {
    CKPT_ATTRIBUTE_DEATH_SIGNAL = 1, CKPT_ATTRIBUTE_NO_NEW_PRIVILEGES = 2, CKPT_ATTRIBUTE_KEEP_CAPABILITIES = 3,
    CKPT_ATTRIBUTE_SECUREBITS = 4, CKPT_ATTRIBUTE_PERSONALITY = 5, CKPT_ATTRIBUTE_TIME_STAMPS = 6 /* PR_GET_TSC */,
    CKPT_ATTRIBUTE_MACHINE_CHECK = 7 /* PR_MCE_KILL_GET */, CKPT_ATTRIBUTE_STORE_BYPASS = 8, CKPT_ATTRIBUTE_INDIRECT_BRANCH = 9 /* PR_GET_SPECULATION_CTRL */,
    CKPT_ATTRIBUTE_SECCOMP_MODE = 10, CKPT_ATTRIBUTE_SECCOMP_FILTERS = 11, // as /proc/PID/status tells
    // of the process
    CKPT_ATTRIBUTE_DUMPABLE = 16, CKPT_ATTRIBUTE_NO_HUGE_PAGES = 17 /* PR_GET_THP_DISABLE */, CKPT_ATTRIBUTE_SUBREAPER = 18,
    CKPT_ATTRIBUTE_OOM_ADJUSTMENT = 19 /* oom_score_adj, signed */, CKPT_ATTRIBUTE_DENY_WRITE_EXECUTE = 20 /* PR_GET_MDWE */,
    CKPT_ATTRIBUTE_INHERITED_FILTERS = 21, // seccomp filters that are the environment's: those when the program was loaded
    CKPT_ATTRIBUTE_FILTERS_ADDRESS = 22, // where a restart writes two u32: how many there are now, twice
};
struct ckpt_attribute { uint32_t kind; int32_t tid; uint64_t value; };

struct ckpt_signal_action {     // 1…64, except SIGKILL and SIGSTOP
    uint32_t number, reserved;
    uint64_t handler;           // 0: default, 1: ignored
    uint64_t flags, restorer, mask;
};
// What is said of a pending signal. Of one number and target in the order in which they come; a signal that is pending (see
// struct ckpt_process and struct ckpt_thread) and not here came as kill or tgkill of the program itself would send it.
struct ckpt_signal_queued {
    int32_t tid;                // of the thread that it is for; 0: the process
    uint32_t reserved;
    uint8_t information[128];   // siginfo_t
};

struct ckpt_timer {             // POSIX timer: timer_create
    int32_t id;                 // the kernel's
    int32_t clock;              // CLOCK_…, as /proc/PID/timers has it; negative: CPU time (include/linux/posix-timers.h)
    uint32_t notify;            // SIGEV_SIGNAL 0, SIGEV_NONE 1, SIGEV_THREAD 2; SIGEV_THREAD_ID 4: `tid` gets the signal
    int32_t signal;
    int32_t tid;                // 0: of no thread of the program
    uint32_t overrun;           // timer_getoverrun
    uint64_t value;             // sigev_value
    uint64_t value_ns;          // until the next expiration; 0: disarmed
    uint64_t interval_ns;
};
struct ckpt_itimer {            // interval timer: setitimer, alarm
    uint32_t which, reserved;   // ITIMER_REAL 0, ITIMER_VIRTUAL 1, ITIMER_PROF 2
    uint64_t value_ns;          // until the next expiration; 0: as soon as its signal has been taken
    uint64_t interval_ns;
};

enum ckpt_descriptor_kind {
    CKPT_DESCRIPTOR_OTHER = 0,  // named by preflight; a restart refuses it
    CKPT_DESCRIPTOR_FILE = 1, CKPT_DESCRIPTOR_DIRECTORY = 2, CKPT_DESCRIPTOR_PIPE = 3, CKPT_DESCRIPTOR_FIFO = 4,
    CKPT_DESCRIPTOR_EVENTFD = 5, CKPT_DESCRIPTOR_EPOLL = 6, CKPT_DESCRIPTOR_TIMERFD = 7,
    CKPT_DESCRIPTOR_TERMINAL = 8, CKPT_DESCRIPTOR_DEVICE = 9 /* null zero full random urandom */,
    CKPT_DESCRIPTOR_SOCKET = 10, CKPT_DESCRIPTOR_SIGNALFD = 11, CKPT_DESCRIPTOR_INOTIFY = 12, CKPT_DESCRIPTOR_MEMFD = 13,
    CKPT_DESCRIPTOR_PIDFD = 14,
};
enum ckpt_descriptor_flag {
    CKPT_DESCRIPTOR_DELETED = 1,      // no name leads to this file any more
    CKPT_DESCRIPTOR_FINGERPRINT = 2,  // head_crc and tail_crc are valid
    CKPT_DESCRIPTOR_EMBEDDED = 4,     // `detail` is the index of the blob with the file's content
    CKPT_DESCRIPTOR_UNCONNECTED = 8,  // a Unix socket, neither bound nor connected; `detail` is its type (SOCK_…)
    CKPT_DESCRIPTOR_OBJECT = 16,      // `detail` is the index into CKPT_NOTE_SHARED
};
#define CKPT_NO_DETAIL 0xffffffffu
#define CKPT_FINGERPRINT_BYTES 65536u // head_crc: the first bytes; tail_crc: the last ones before `byte_count`
struct ckpt_descriptor {
    int32_t number;
    uint32_t kind;
    uint32_t flags;             // enum ckpt_descriptor_flag
    uint32_t close_on_exec;     // 0 or 1
    uint32_t status_flags;      // O_…, as in fdinfo without O_CLOEXEC
    int32_t inherited;          // 0, 1, 2: this is (a duplicate of) a standard stream that the program was given; -1: its own
    int32_t shared_with;        // lowest number with the same open file description; itself when it is the first
    uint32_t detail;            // index into the kind's table, or CKPT_NO_DETAIL
    uint64_t position;
    uint64_t device, inode, rdev; // as stat gives them
    uint32_t mode;              // st_mode
    uint32_t path;              // string: /proc/PID/fd/N, without " (deleted)"
    uint64_t byte_count;        // st_size
    int64_t modified_ns, changed_ns;
    uint32_t head_crc, tail_crc;
};

struct ckpt_pipe {              // one for each pipe; a descriptor's `detail` leads here
    uint64_t inode;
    uint64_t capacity;          // F_GETPIPE_SZ
    uint32_t blob;              // content, or CKPT_NO_DETAIL when empty
    uint32_t ends;              // bit 0: this process has a read end; bit 1: a write end
};
struct ckpt_eventfd { uint64_t count; uint32_t semaphore, reserved; };
struct ckpt_timerfd {
    int32_t clock;              // CLOCK_…
    uint32_t settime_flags;     // TFD_TIMER_ABSTIME 1, TFD_TIMER_CANCEL_ON_SET 2
    uint64_t ticks;             // expirations not yet read
    uint64_t value_ns;          // until the next expiration; 0: disarmed
    uint64_t interval_ns;
    uint64_t clock_ns;          // of the timer's clock when this was read; 0: not known
};
struct ckpt_signalfd { uint64_t mask; }; // bit n-1: signal n is read there
struct ckpt_epoll_entry {
    int32_t epoll, target;      // descriptor numbers
    uint32_t events, reserved;
    uint64_t data;
    uint64_t device, inode;     // of the target when it was added: differs when the number was used again
};
struct ckpt_blob { uint64_t file_offset, byte_count; uint32_t crc, reserved; };

// Bytes of the image before compression, [image_offset, image_offset + byte_count), as they are stored. No two overlap; a run
// or a blob may lie in several.
enum ckpt_compression { CKPT_COMPRESSION_NONE = 0 /* stored as they are */, CKPT_COMPRESSION_LZ4 = 1 /* one LZ4 block */, CKPT_COMPRESSION_ZSTD = 2 /* one frame */ };
#define CKPT_CHUNK_BYTES_MAX (1u << 20) // byte_count at most: chunks are decompressed in parallel
struct ckpt_chunk {
    uint64_t image_offset;
    uint64_t file_offset;
    uint32_t byte_count;
    uint32_t stored_byte_count;
    uint32_t compression;       // enum ckpt_compression
    uint32_t crc;               // of the stored bytes
};

#define CKPT_ASSERT_SIZE(type, bytes) _Static_assert(sizeof(struct type) == (bytes), #type " is on disk")
CKPT_ASSERT_SIZE(ckpt_table, 16);
CKPT_ASSERT_SIZE(ckpt_ident, 104);
CKPT_ASSERT_SIZE(ckpt_process, 336);
CKPT_ASSERT_SIZE(ckpt_processor, 280);
CKPT_ASSERT_SIZE(ckpt_mapping, 64);
CKPT_ASSERT_SIZE(ckpt_shared, 64);
CKPT_ASSERT_SIZE(ckpt_guard_pages, 16);
CKPT_ASSERT_SIZE(ckpt_run, 32);
CKPT_ASSERT_SIZE(ckpt_thread, 128);
CKPT_ASSERT_SIZE(ckpt_scheduling, 192);
CKPT_ASSERT_SIZE(ckpt_limit, 24);
CKPT_ASSERT_SIZE(ckpt_attribute, 16);
CKPT_ASSERT_SIZE(ckpt_signal_action, 40);
CKPT_ASSERT_SIZE(ckpt_descriptor, 104);
CKPT_ASSERT_SIZE(ckpt_pipe, 24);
CKPT_ASSERT_SIZE(ckpt_eventfd, 16);
CKPT_ASSERT_SIZE(ckpt_timerfd, 40);
CKPT_ASSERT_SIZE(ckpt_signalfd, 8);
CKPT_ASSERT_SIZE(ckpt_signal_queued, 136);
CKPT_ASSERT_SIZE(ckpt_timer, 48);
CKPT_ASSERT_SIZE(ckpt_itimer, 24);
CKPT_ASSERT_SIZE(ckpt_epoll_entry, 40);
CKPT_ASSERT_SIZE(ckpt_blob, 24);
CKPT_ASSERT_SIZE(ckpt_chunk, 32);
#endif
