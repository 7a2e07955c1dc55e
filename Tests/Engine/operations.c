// SPDX-License-Identifier: Apache-2.0
// The operations of the tracker's test. They do not know what is mapped where: what fails, fails, and what faults is jumped out of.
#define _GNU_SOURCE
#include "operations.h"
#include "faulty.h"
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/futex.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define WINDOW 0x100000000000ull // where they are
#define WINDOW_PAGES 2048u
#define FILES 4
#define FILE_PAGES 48u

struct operation_counts *counts;

// Randomness that a round begins anew, so that one round can be told from the next.
__thread uint64_t draws;
uint64_t draw(void) {
    uint64_t z = (draws += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}
uint64_t below(uint64_t limit) { return draw() % limit; }
int one_in(uint64_t n) { return below(n) == 0; }

static __thread sigjmp_buf out;
static __thread volatile sig_atomic_t catching;
void on_fault(int number) {
    if (catching) siglongjmp(out, 1);
    signal(number, SIG_DFL);
}

static char paths[FILES][4200];
volatile int concurrent;
int no_self_memory;

struct operation_notes *notes;
static __thread struct operation_note note;
uint64_t clock_now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static uint64_t some_page(void) {
    uint64_t page = WINDOW + below(WINDOW_PAGES) * 4096;
    if (note.page_count < 4) note.pages[note.page_count++] = page;
    return page;
}
static uint64_t some_length(void) {
    uint64_t pages = one_in(40) ? 512 : one_in(4) ? 1 + below(64) : one_in(3) ? 1 + below(8) : 1;
    return pages * 4096;
}
static uint64_t within(uint64_t address, uint64_t length) {
    uint64_t end = WINDOW + WINDOW_PAGES * 4096;
    return address + length > end ? end - address : length;
}

static void fill(uint8_t *to, size_t byte_count) { for (size_t i = 0; i < byte_count; i++) to[i] = (uint8_t)draw(); }

// Each operation returns 0 or a negative number when it did nothing.
static int write_bytes(void) {
    uint8_t *to = (uint8_t *)some_page() + below(4096);
    *(volatile uint8_t *)to = (uint8_t)draw();
    return 0;
}
static int write_pages(void) {
    uint64_t at = some_page(), length = within(at, some_length());
    if (length > 64 * 4096) length = 64 * 4096;
    for (uint64_t i = 0; i < length; i += 4096) for (int k = 0; k < 4; k++) *(volatile uint64_t *)(at + i + below(512) * 8) = draw();
    return 0;
}
static int zero_page(void) { memset((void *)some_page(), 0, 4096); return 0; }
static int read_pages(void) {
    uint64_t at = some_page(), length = within(at, some_length());
    for (uint64_t i = 0; i < length; i += 4096) (void)*(volatile uint8_t *)(at + i);
    return 0;
}
static int map_anonymous(void) {
    uint64_t at = some_page(), length = within(at, some_length());
    int protection = one_in(8) ? PROT_NONE : one_in(8) ? PROT_READ : PROT_READ | PROT_WRITE;
    return mmap((void *)at, length, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | (one_in(16) ? MAP_POPULATE : 0), -1, 0) == MAP_FAILED ? -1 : 0;
}
static int map_file(void) {
    uint64_t at = some_page(), length = within(at, (1 + below(FILE_PAGES + 4)) * 4096);
    int file = open(paths[below(FILES)], O_RDONLY | O_CLOEXEC);
    int protection = one_in(3) ? PROT_READ : one_in(8) ? PROT_NONE : PROT_READ | PROT_WRITE;
    void *result = mmap((void *)at, length, protection, MAP_PRIVATE | MAP_FIXED, file, (off_t)(below(8) * 4096));
    close(file);
    return result == MAP_FAILED ? -1 : 0;
}
static int unmap(void) { uint64_t at = some_page(); return munmap((void *)at, within(at, some_length())); }
static int protect(void) {
    uint64_t at = some_page();
    return mprotect((void *)at, within(at, some_length()), one_in(4) ? PROT_NONE : one_in(3) ? PROT_READ : PROT_READ | PROT_WRITE);
}
static int protect_cycle(void) {
    uint64_t at = some_page(), length = within(at, some_length());
    int result = mprotect((void *)at, length, one_in(2) ? PROT_NONE : PROT_READ);
    if (one_in(4)) sched_yield();
    return result | mprotect((void *)at, length, PROT_READ | PROT_WRITE);
}
static int move(void) {
    uint64_t from = some_page(), to = some_page(), length = within(from, some_length()), grown = one_in(2) ? length : some_length();
    grown = within(to, grown);
    int flags = MREMAP_MAYMOVE | MREMAP_FIXED | (one_in(6) && grown == length ? 4 /* MREMAP_DONTUNMAP */ : 0);
    return mremap((void *)from, length, grown, flags, (void *)to) == MAP_FAILED ? -1 : 0;
}
static int resize(void) {
    uint64_t at = some_page(), length = within(at, some_length());
    return mremap((void *)at, length, within(at, some_length()), 0) == MAP_FAILED ? -1 : 0;
}
static int advise(int advice) { uint64_t at = some_page(); return madvise((void *)at, within(at, some_length()), advice); }
static int drop(void) { return advise(MADV_DONTNEED); }
static int free_lazily(void) { return advise(MADV_FREE); }
static int advise_huge(void) { return madvise((void *)(some_page() & ~0x1fffffull), 2 << 20, one_in(3) ? MADV_NOHUGEPAGE : MADV_HUGEPAGE); }
static int collapse(void) { return madvise((void *)(some_page() & ~0x1fffffull), 2 << 20, 25 /* MADV_COLLAPSE */); }
static int make_huge(void) {
    uint64_t at = some_page() & ~0x1fffffull;
    if (mmap((void *)at, 2 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED) return -1;
    madvise((void *)at, 2 << 20, MADV_HUGEPAGE);
    for (int i = 0; i < 8; i++) *(volatile uint64_t *)(at + below(512) * 4096) = draw();
    return 0;
}
// In a new mapping. Kernel: MADV_GUARD_INSTALL over write-protected pages of a file that are not there never returns, because
// zapping them leaves their markers (mm/madvise.c, mm/memory.c of 6.18). While a checkpoint is taken they may come at any moment.
static int guard(void) {
    if (one_in(3)) return advise(103 /* MADV_GUARD_REMOVE */);
    uint64_t at = some_page(), length = within(at, some_length());
    int file = one_in(3) && !concurrent ? open(paths[below(FILES)], O_RDONLY | O_CLOEXEC) : -1;
    void *result = mmap((void *)at, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | (file < 0 ? MAP_ANONYMOUS : 0), file, 0);
    if (file >= 0) close(file);
    if (result == MAP_FAILED) return -1;
    for (uint64_t i = 0; file < 0 && i < length; i += 4096) if (one_in(2)) *(volatile uint64_t *)(at + i) = draw();
    uint64_t from = below(length / 4096) * 4096;
    return madvise((void *)(at + from), one_in(2) ? 4096 : length - from, 102 /* MADV_GUARD_INSTALL, since 6.13 */);
}
static int page_out(void) { return advise(one_in(2) ? MADV_PAGEOUT : MADV_COLD); }
static int populate(void) { return advise(one_in(2) ? 22 /* MADV_POPULATE_READ */ : 23); }
// In a new mapping. Kernel: mlock of a private mapping of a file whose pages are write-protected where they are not there was seen to go
// on for ever (__mm_populate: each fault is resolved, and the page is still not as it was wanted; mm/gup.c and mm/memory.c of 6.18).
static int lock_pages(void) {
    uint64_t at = some_page(), length = within(at, some_length());
    if (one_in(2)) return munlock((void *)at, length);
    if (mmap((void *)at, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED) return -1;
    return mlock((void *)at, length);
}
static int never_fork(void) { return one_in(6) ? advise(one_in(2) ? MADV_DONTFORK : MADV_WIPEONFORK) : advise(one_in(2) ? MADV_DOFORK : MADV_KEEPONFORK); }

static uint8_t *break_start, *break_end;
static int move_break(void) {
    uint8_t *now = (uint8_t *)syscall(SYS_brk, 0);
    if (now != break_end) { break_start = break_end = now; } // the C library has moved it
    uint8_t *wanted = break_start + below(64) * 4096 + (one_in(3) ? 100 : 0);
    break_end = (uint8_t *)syscall(SYS_brk, wanted);
    for (uint8_t *at = break_start; at + 4096 <= break_end; at += 4096) if (one_in(3)) *(volatile uint64_t *)at = draw();
    return 0;
}

static int change_file(void) {
    if (!one_in(30)) return -1;
    int file = open(paths[below(FILES)], O_RDWR | O_CLOEXEC);
    uint8_t bytes[5000];
    fill(bytes, sizeof bytes);
    long result = pwrite(file, bytes, 1 + below(sizeof bytes), (off_t)below(FILE_PAGES * 4096));
    close(file);
    return result < 0 ? -1 : 0;
}
static int truncate_file(void) {
    if (!one_in(40)) return -1;
    const char *path = paths[below(FILES)];
    int result = truncate(path, (off_t)below(FILE_PAGES * 4096));
    return one_in(2) ? truncate(path, FILE_PAGES * 4096) : result;
}
static int replace_file(void) {
    if (!one_in(60)) return -1;
    const char *path = paths[below(FILES)];
    char other[4300];
    snprintf(other, sizeof other, "%s.%d", path, (int)syscall(SYS_gettid));
    int file = open(other, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    static __thread uint8_t bytes[4096];
    for (unsigned i = 0; i < FILE_PAGES; i++) { fill(bytes, 64); if (write(file, bytes, sizeof bytes) < 0) break; }
    close(file);
    return rename(other, path);
}
static int read_into(void) {
    int file = open(one_in(2) ? "/dev/urandom" : paths[below(FILES)], O_RDONLY | O_CLOEXEC);
    uint64_t at = some_page() + below(4096);
    long result;
    if (one_in(2)) {
        struct iovec parts[3] = {{(void *)at, below(9000)}, {(void *)(some_page() + below(4096)), below(3000)}, {(void *)some_page(), 4096}};
        result = readv(file, parts, 3);
    } else result = read(file, (void *)at, below(20000));
    close(file);
    return result < 0 ? -1 : 0;
}
// Not while a checkpoint is taken: who opens, reads directly and closes meanwhile is not seen (a limit that the README names).
static int read_directly(void) {
    if (concurrent) return 0;
    int file = open(paths[below(FILES)], O_RDONLY | O_DIRECT | O_CLOEXEC);
    if (file < 0) return -1;
    uint64_t at = some_page();
    long result = pread(file, (void *)at, within(at, (1 + below(16)) * 4096), (off_t)(below(16) * 4096));
    close(file);
    return result < 0 ? -1 : 0;
}
// io_uring: by the calling thread or by one of the kernel's; into memory that was registered, past its protections and its pages'
// marks. A request may wait for its data while checkpoints are taken.
static struct { struct io_uring ring; int is_open, pipe[2]; } later;
static int finish_ring(struct io_uring *ring) {
    struct io_uring_cqe *answer;
    int result = io_uring_wait_cqe(ring, &answer);
    if (result == 0) result = answer->res;
    io_uring_queue_exit(ring);
    return result;
}
static int submit_read(struct io_uring *ring, int file, uint64_t at, unsigned length, int is_registered) {
    struct iovec memory = {(void *)at, length};
    if (io_uring_queue_init(4, ring, 0) < 0) return -1;
    int result = is_registered ? io_uring_register_buffers(ring, &memory, 1) : 0;
    struct io_uring_sqe *request = io_uring_get_sqe(ring);
    if (is_registered) io_uring_prep_read_fixed(request, file, (void *)at, length, 0, 0);
    else io_uring_prep_read(request, file, (void *)at, length, 0);
    if (one_in(2)) io_uring_sqe_set_flags(request, IOSQE_ASYNC);
    if (result == 0) result = io_uring_submit(ring) == 1 ? 0 : -1;
    if (result < 0) io_uring_queue_exit(ring);
    return result;
}
// Not while a checkpoint is taken: the kernel's workers write while the program is frozen. (An image with an open ring is refused.)
static int read_by_ring(void) {
    if (concurrent) return -1;
    struct io_uring ring;
    int is_registered = one_in(2);
    int file = open(one_in(3) ? "/dev/urandom" : paths[below(FILES)], O_RDONLY | O_CLOEXEC | (is_registered && one_in(2) ? O_DIRECT : 0));
    if (file < 0) return -1;
    uint64_t at = some_page() + (is_registered ? 0 : below(4096));
    int result = submit_read(&ring, file, at, (unsigned)within(at, (1 + below(4)) * 4096), is_registered);
    if (result == 0) result = finish_ring(&ring);
    close(file);
    return result;
}
static int read_later(void) {
    if (concurrent || (!later.is_open && !one_in(8))) return -1;
    if (!later.is_open) {
        if (pipe2(later.pipe, O_CLOEXEC)) return -1;
        if (submit_read(&later.ring, later.pipe[0], some_page(), 4096, one_in(3) ? 0 : 1) == 0) { later.is_open = 1; return 0; }
    } else {
        uint8_t bytes[4096];
        fill(bytes, sizeof bytes);
        if (write(later.pipe[1], bytes, sizeof bytes) > 0) finish_ring(&later.ring);
        later.is_open = 0;
    }
    close(later.pipe[0]);
    close(later.pipe[1]);
    return 0;
}
static int pass_pipe(void) {
    int ends[2];
    uint8_t bytes[3000];
    if (pipe2(ends, O_CLOEXEC)) return -1;
    fill(bytes, sizeof bytes);
    long result = write(ends[1], bytes, sizeof bytes);
    if (result > 0) result = read(ends[0], (void *)(some_page() + below(4096)), sizeof bytes);
    close(ends[0]);
    close(ends[1]);
    return result < 0 ? -1 : 0;
}
static void touch(uint64_t at) {
    catching = 1;
    if (sigsetjmp(out, 1) == 0) *(volatile uint64_t *)at = draw();
    catching = 0;
}
// A child writes its copy of the memory, or ours.
static int fork_child(void) {
    pid_t parent = getpid();
    // A child that writes our memory while we are frozen writes behind everybody's back.
    int what = (int)below(3), status;
    if (what == 1 && concurrent) what = 2;
    pid_t child = fork();
    if (child < 0) return -1;
    if (child == 0) {
        uint8_t bytes[8192];
        fill(bytes, sizeof bytes);
        for (int i = 0; i < 8; i++) {
            uint64_t at = some_page();
            struct iovec from = {bytes, sizeof bytes}, to = {(void *)(at + below(4096)), sizeof bytes};
            if (what == 0) touch(at);
            if (what == 1) process_vm_writev(parent, &from, 1, &to, 1, 0);
            if (what == 2) process_vm_readv(parent, &from, 1, &to, 1, 0);
        }
        _exit(0);
    }
    for (int i = 0; i < 4; i++) touch(some_page());
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    return 0;
}
static int futex_words(void) {
    uint32_t *word = (uint32_t *)(some_page() + below(1024) * 4), *other = (uint32_t *)(some_page() + below(1024) * 4);
    // FUTEX_WAKE_OP: other = random
    return (int)syscall(SYS_futex, word, FUTEX_WAKE_OP | FUTEX_PRIVATE_FLAG, 1, 1UL, other, FUTEX_OP(FUTEX_OP_SET, below(2048), FUTEX_OP_CMP_EQ, 0));
}
// The same: the kernel holds the page while it writes.
static int self_memory(void) {
    if (concurrent || no_self_memory) return 0;
    int file = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
    uint8_t bytes[6000];
    fill(bytes, sizeof bytes);
    long result = pwrite(file, bytes, 1 + below(sizeof bytes), (off_t)(some_page() + below(4096)));
    close(file);
    return result < 0 ? -1 : 0;
}
// A mapping that the kernel extends downwards when the page below it is touched (expand_stack of mm/mmap.c), like the first stack.
#define GROWING_TOP (WINDOW - (64ull << 20))
#define GROWING_BYTES (8ull << 20)
static int grow_down(void) {
    static uint64_t lowest;
    uint64_t length = (1 + below(16)) * 4096;
    if (one_in(3) || !lowest) {
        if (one_in(2)) munmap((void *)(GROWING_TOP - GROWING_BYTES), GROWING_BYTES);
        lowest = GROWING_TOP - length;
        int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_GROWSDOWN;
        if (mmap((void *)lowest, length, PROT_READ | PROT_WRITE, flags, -1, 0) == MAP_FAILED) return -1;
    }
    if (one_in(6)) return mprotect((void *)(GROWING_TOP - 8 * 4096), 4 * 4096, one_in(2) ? PROT_READ : PROT_READ | PROT_WRITE);
    uint64_t at = lowest - below(80) * 4096;
    if (at < GROWING_TOP - GROWING_BYTES) return -1;
    *(volatile uint64_t *)(at + below(512) * 8) = draw();
    if (at < lowest) lowest = at;
    return 0;
}
// The clock of the day is set: the engine sees hours or years pass, forwards or backwards. Not forwards while threads change files:
// the times of these do not jump here, so a file whose change is under way would seem to have been left alone for long.
static int jump_clock(void) {
    static const int64_t jumps[] = {0, 1000000000, 3600000000000, 315360000000000000};
    clock_jump_ns = jumps[below(4)] * (!concurrent && one_in(2) ? 1 : -1);
    return 0;
}
static int use_stack(void) {
    volatile char bytes[65536];
    for (size_t i = 0; i < sizeof bytes; i += 1000) bytes[i] = (char)below(100);
    return bytes[1000] >= 0 ? 0 : -1;
}

const struct operation operations[] = {
    {"write-bytes", write_bytes, 30}, {"write-pages", write_pages, 30}, {"zero-page", zero_page, 4}, {"read-pages", read_pages, 8},
    {"map-anonymous", map_anonymous, 14}, {"map-file", map_file, 8}, {"unmap", unmap, 5}, {"protect", protect, 5}, {"protect-cycle", protect_cycle, 6},
    {"move", move, 8}, {"resize", resize, 6}, {"drop", drop, 8}, {"free-lazily", free_lazily, 4}, {"huge", advise_huge, 3}, {"collapse", collapse, 3},
    {"make-huge", make_huge, 2}, {"guard", guard, 4}, {"page-out", page_out, 3}, {"populate", populate, 3}, {"lock", lock_pages, 1}, {"never-fork", never_fork, 1},
    {"break", move_break, 4}, {"change-file", change_file, 6}, {"truncate-file", truncate_file, 6}, {"replace-file", replace_file, 6}, {"read", read_into, 6},
    {"read-directly", read_directly, 3}, {"pipe", pass_pipe, 3}, {"fork", fork_child, 3}, {"futex", futex_words, 4}, {"self-memory", self_memory, 3},
    {"stack", use_stack, 4}, {"ring", read_by_ring, 3}, {"ring-later", read_later, 4}, {"grow-down", grow_down, 6}, {"clock", jump_clock, 2},
};
const unsigned operation_count = sizeof operations / sizeof *operations;

void operate(const char *only) {
    static unsigned total;
    unsigned sum = 0;
    volatile unsigned which = 0;
    if (!total) { for (unsigned i = 0; i < operation_count; i++) sum += operations[i].weight; total = sum; }
    for (unsigned at = (unsigned)below(total); at >= operations[which].weight; which++) at -= operations[which].weight;
    // "--only X" leaves the plain operations in: the others need something to work on.
    if (only && which > 4 && !strstr(only, operations[which].name)) return;
    // What the threads change at once must not pull the break away from the C library.
    volatile int result = -1;
    note = (struct operation_note){.operation = which, .thread = (uint32_t)syscall(SYS_gettid), .began_ns = clock_now()};
    catching = 1;
    if (sigsetjmp(out, 1) == 0) result = operations[which].run();
    catching = 0;
    note.ended_ns = clock_now();
    note.result = result;
    uint32_t at = __atomic_fetch_add(&notes->count, 1, __ATOMIC_RELAXED);
    notes->notes[at % NOTES_MAX] = note;
    __atomic_add_fetch(result < 0 ? &counts->failed[which] : &counts->done[which], 1, __ATOMIC_RELAXED);
}

void make_files(const char *directory) {
    uint8_t bytes[4096];
    for (int i = 0; i < FILES; i++) {
        snprintf(paths[i], sizeof paths[i], "%s/file%d", directory, i);
        int file = open(paths[i], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        for (unsigned k = 0; k < FILE_PAGES; k++) { fill(bytes, sizeof bytes); if (write(file, bytes, k + 1 < FILE_PAGES ? 4096 : 1234) < 0) break; }
        close(file);
    }
}
