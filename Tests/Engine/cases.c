// SPDX-License-Identifier: Apache-2.0
// What went wrong in the engine once, each as a program that takes checkpoints of itself.
//
//     engine_cases [--only NAME] [--directory D] [--tracker uffd|mprotect]
#define _GNU_SOURCE
#include "case.h"
#include "truth.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define ENOUGH_NS 5000000ull    // a budget that increments keep to
#define TIGHT_NS 100000ull      // one of a few pages
#define PAGE 4096ul

extern uint32_t ckpt_test_hot_pages;
extern struct { uint64_t start, end; } ckpt_test_swapped;

// Runs until the program ends.
static pthread_t start(void *(*run)(void *), void *argument) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, run, argument)) wrong("no thread");
    return thread;
}

// Mappings change while they are listed: a listing may show one twice, before and after it has grown.
#define PIECES 400u
#define LISTINGS 600u
static uint8_t *pieces;
static void *change_mappings(void *unused) {
    (void)unused;
    // Each piece becomes one with its neighbours, and two again.
    for (;;)
        for (unsigned i = 1; i < PIECES; i += 2) {
            mprotect(pieces + i * PAGE, PAGE, PROT_READ | PROT_WRITE);
            mprotect(pieces + i * PAGE, PAGE, PROT_NONE);
        }
    return NULL;
}

// The mappings in these notes follow each other.
static int check_listing(const uint8_t *notes, uint64_t byte_count) {
    for (uint64_t at = 0; at + 12 <= byte_count;) {
        const uint32_t *head = (const uint32_t *)(notes + at);
        uint64_t body = at + 12 + ((head[0] + 3u) & ~3u), before = 0;
        at = body + ((head[1] + 3u) & ~3u);
        if (head[2] != CKPT_NOTE_MAPPINGS || memcmp(notes + body - ((head[0] + 3u) & ~3u), CKPT_NOTE_OWNER, 5)) continue;
        const struct ckpt_table *table = (const struct ckpt_table *)(notes + body);
        for (uint32_t i = 0; i < table->count; i++) {
            const struct ckpt_mapping *m = (const struct ckpt_mapping *)((const uint8_t *)(table + 1) + (uint64_t)table->record_size * i);
            if (m->start < before || m->end <= m->start) return wrong("mapping %lx-%lx begins before %lx", m->start, m->end, before);
            before = m->end;
        }
        return table->count > PIECES / 2 ? 0 : wrong("a listing of %u mappings", table->count);
    }
    return wrong("there is no listing");
}

static int torn_listing(void) {
    // So large that the engine's own variables are in a mapping that mprotect tracks.
    static uint8_t notes[2 << 20];
    pieces = map_filled(PIECES);
    for (unsigned i = 1; i < PIECES; i += 2) mprotect(pieces + i * PAGE, PAGE, PROT_NONE);
    uint8_t *data = map_filled(1024);
    if (arm(8, ENOUGH_NS) < 0) return -1;
    start(change_mappings, NULL);
    for (unsigned i = 0; i < 3; i++) {
        fill(data, 64, 1);
        if (!take(NULL, NULL) || compare() < 0) return -1;
    }
    for (unsigned i = 0; i < LISTINGS; i++) {
        int64_t byte_count = ckpt_engine_survey(notes, sizeof notes);
        if (byte_count < 0) return wrong("no survey: %ld", byte_count);
        if (check_listing(notes, (uint64_t)byte_count) < 0) return -1;
    }
    return 0;
}

// Pieces of memory behind the first 512 of their mapping: the kernel says that its walk ended before them, and they were found twice.
static int scattered_pages(void) {
    enum { MAPPINGS = 2 };
    const uint64_t pages = 2 * 1023, slack = 300;
    uint8_t *data[MAPPINGS];
    struct ckpt_report *report;
    for (unsigned i = 0; i < MAPPINGS; i++) fill(data[i] = map(pages), pages, 2);
    if (arm(8, ENOUGH_NS) < 0 || !(report = take(NULL, NULL)) || compare() < 0) return -1;
    uint64_t copied = (report->precopied_byte_count + report->frozen_byte_count) / PAGE;
    if (copied > truth->count + slack) return wrong("%lu pages were copied of %u", copied, truth->count);
    for (unsigned i = 0; i < MAPPINGS; i++) fill(data[i], pages, 4);
    if (!(report = take(NULL, NULL)) || compare() < 0) return -1;
    copied = (report->precopied_byte_count + report->frozen_byte_count) / PAGE;
    if (!report->parent || copied > MAPPINGS * pages / 4 + slack) return wrong("an increment of depth %u copied %lu pages", report->depth, copied);
    return 0;
}

// Mappings that mprotect does not track: too small, or of the program's own protection. An increment has them, and not all the rest.
static int untracked_mappings(void) {
    const uint64_t pages = 4096;
    uint8_t *data = map_filled(pages), *small[100];
    for (unsigned i = 0; i < 100; i++) small[i] = map_filled(2);
    for (unsigned i = 0; i < 50; i++) mprotect(small[i], PAGE, PROT_READ);
    if (arm(8, ENOUGH_NS) < 0 || !take(NULL, NULL) || compare() < 0) return -1;
    for (unsigned turn = 0; turn < 2; turn++) {
        fill(data, pages, 256);
        for (unsigned i = 0; i < 100; i++) fill(small[i] + PAGE, 1, 1);
        struct ckpt_report *report = take(NULL, NULL);
        if (!report || compare() < 0) return -1;
        if (!report->parent || report->page_byte_count > pages * PAGE / 4) return wrong("an increment of depth %u has %lu pages", report->depth, report->page_byte_count / PAGE);
    }
    return 0;
}

// The first thread of the program begins between the request and the freeze: the C library puts its handler of the park signal
// over the engine's then.
static void *work(void *more) {
    static volatile uint64_t counts[4];
    if (more) for (uintptr_t i = 1; i < 4; i++) start(work, NULL);
    for (;;) counts[more ? 0 : 1]++;
    return NULL;
}
static void begin_threads(void) {
    static int has_begun;
    if (!has_begun) start(work, &has_begun);
    has_begun = 1;
}
static int first_thread(void) {
    uint8_t *data = map_filled(256);
    if (arm(8, ENOUGH_NS) < 0) return -1;
    struct ckpt_report *report = take(NULL, begin_threads);
    if (!report || compare() < 0) return -1;
    if (report->thread_count < 2) return wrong("%u threads were frozen", report->thread_count);
    fill(data, 16, 1);
    return !take(NULL, NULL) ? -1 : compare();
}

// Memory that fork does not copy, when the copy-on-write child writes the image: it is written once, however many pieces of it changed.
static uint8_t *unforked, *forked;
#define UNFORKED 2048ul
static void write_much(void) {
    fill(unforked, UNFORKED, 2);
    fill(forked, 1024, 1);
}
static int take_unforked(int advice) {
    unforked = map(UNFORKED);
    fill(unforked, UNFORKED, 2);
    forked = map_filled(1024);
    if (madvise(unforked, UNFORKED * PAGE, advice) < 0) return wrong("cannot be advised");
    if (arm(8, TIGHT_NS) < 0) return -1;
    faulty = &common->faulty;
    faulty->program = getpid();
    for (unsigned turn = 0; turn < 2; turn++) {
        fill(unforked, UNFORKED, 8);
        faulty->count = 0;
        faulty->at = ~0ull; // so far nobody counts: nothing goes wrong
        struct ckpt_report *report = take(NULL, write_much);
        if (!report || compare() < 0) return -1;
        if (!report->by_child) return wrong("no child wrote the image");
        // A few calls for each page, and not some for each page and piece: with mprotect these lie one behind the other in the file.
        if (faulty->count > (tracker == CKPT_TRACKER_UFFD ? 64 : 8) * UNFORKED) return wrong("%lu calls of the kernel for %lu pages", faulty->count, UNFORKED);
    }
    return 0;
}
static int dont_fork(void) { return take_unforked(MADV_DONTFORK); }
static int wipe_on_fork(void) { return take_unforked(MADV_WIPEONFORK); }

// Direct I/O, so nothing is copied before the freeze, and bytes that are excluded before anything is tracked.
static uint8_t *target;
static int file;
static void *read_directly(void *unused) {
    (void)unused;
    for (;;) {
        // mprotect lets a call of the program fail where it writes.
        if (pread(file, target, 64 * PAGE, 0) < 0 && errno == EFAULT) fill(target, 64, 1);
        else if (errno == EINVAL) wrong("there is no direct I/O here");
    }
    return NULL;
}
static int direct_exclusion(void) {
    char path[4200];
    snprintf(path, sizeof path, "%s.data", common->image);
    file = open(path, O_RDWR | O_CREAT | O_DIRECT | O_CLOEXEC, 0600);
    target = map_filled(64);
    uint8_t *hidden = map_filled(64), *partly = map_filled(8), *data = map_filled(1024);
    if (file < 0 || pwrite(file, data, 64 * PAGE, 0) != 64 * PAGE) return wrong("there is no direct I/O here");
    hide(hidden, 64 * PAGE);
    hide(partly + 1000, 6000);
    if (exclude(hidden, 64 * PAGE) < 0 || exclude(partly + 1000, 6000) < 0 || arm(8, 50000000) < 0) return -1;
    start(read_directly, NULL);
    for (unsigned turn = 0; turn < 3; turn++) {
        fill(data, 1024, 16);
        hide(hidden, PAGE);
        struct ckpt_report *report = take(NULL, NULL);
        if (!report || compare() < 0) return -1;
        if (report->round_count) return wrong("%u rounds, and there is direct I/O", report->round_count);
        if (is_found()) return wrong("excluded bytes are in image %u", turn);
    }
    if (include(hidden, 64 * PAGE) < 0) return -1;
    return !take(NULL, NULL) ? -1 : compare();
}

// Deep stacks, which each increment holds for debuggers as long as there is room.
#define DEEP_THREADS 12u
static volatile uint32_t deep_count;
static void *be_deep(void *unused) {
    (void)unused;
    volatile uint8_t deep[300 * PAGE];
    for (unsigned i = 0; i < sizeof deep; i += PAGE) deep[i] = (uint8_t)(i >> 12) | 1;
    __atomic_add_fetch(&deep_count, 1, __ATOMIC_SEQ_CST);
    for (;;) pause();
    return NULL;
}
static int full_arena(void) {
    const uint64_t pages = 2048;
    static const uint32_t rooms[] = {2600, 2304, 2128, 20, 32768};
    uint8_t *data = map_filled(pages);
    for (unsigned i = 0; i < DEEP_THREADS; i++) start(be_deep, NULL);
    while (__atomic_load_n(&deep_count, __ATOMIC_SEQ_CST) < DEEP_THREADS) sched_yield();
    if (arm(16, ENOUGH_NS) < 0 || !take(NULL, NULL)) return -1;
    for (unsigned i = 0; i < sizeof rooms / sizeof *rooms; i++) {
        ckpt_test_hot_pages = rooms[i];
        fill(data, pages, 128);
        truth->recorded = 0;
        struct ckpt_report *report = attempt(NULL, NULL);
        if (!report) return -1;
        // What has no room is the child's to write, or left to the parent.
        if (report->outcome != CKPT_OUTCOME_SAVED) return wrong("with room for %u pages: step %u, error %d", rooms[i], report->step, report->error);
        if (compare() < 0) return -1;
    }
    return 0;
}

// Pages that were written and swapped out look clean on some kernels. There is no swap here: the engine is told of it (final.c).
static uint8_t *swapped;
static void write_swapped(void) { fill(swapped, 256, 2); }
static int swapped_pages(void) {
    const uint64_t pages = 256;
    swapped = map_filled(pages);
    uint8_t *data = map_filled(2048), *gone = map_filled(64), *hidden = map_filled(64);
    if (exclude(hidden, 64 * PAGE) < 0 || arm(8, ENOUGH_NS) < 0 || !take(NULL, NULL) || compare() < 0) return -1;
    ckpt_test_swapped.start = (uint64_t)swapped;
    ckpt_test_swapped.end = (uint64_t)swapped + pages * PAGE;
    for (unsigned turn = 0; turn < 3; turn++) {
        fill(data, 2048, 64);
        madvise(gone + turn * 8 * PAGE, 8 * PAGE, MADV_DONTNEED);
        uint8_t *fresh = map_filled(16);
        struct ckpt_report *report = take(NULL, write_swapped);
        if (!report || compare() < 0) return -1;
        if (!report->parent || report->page_byte_count > 1024 * PAGE) return wrong("an increment of depth %u has %lu pages", report->depth, report->page_byte_count / PAGE);
        munmap(fresh, 8 * PAGE);
    }
    return 0;
}

// Exclusions that change while pages are copied: the image holds what is included in the freeze, and nowhere else has it the rest.
static uint8_t *at_once, *in_hook, *in_part, *in_zeros, *again, *much;
static void exclude_at_once(void) { exclude(at_once, 64 * PAGE); }
static void change_exclusions(void) {
    // Once more, so that the freeze finds them written.
    hide(in_hook, 8 * PAGE);
    exclude(in_hook, 64 * PAGE);
    exclude(in_part + 1000, 6000);
    exclude(in_zeros + 1000, 6000);
    include(again, 64 * PAGE);
    if (much) fill(much, 2048, 1);
}
static int change_while_copied(uint32_t chain_length, int by_child) {
    at_once = map(64);
    in_hook = map(64);
    in_part = map_filled(8);
    in_zeros = map(8);
    again = map_filled(64);
    uint8_t *data = map_filled(2048);
    much = by_child ? map_filled(2048) : NULL;
    if (exclude(again, 64 * PAGE) < 0 || arm(chain_length, by_child ? TIGHT_NS : ENOUGH_NS) < 0 || !take(NULL, NULL) || compare() < 0) return -1;
    fill(data, 2048, 64);
    hide(at_once, 64 * PAGE);
    hide(in_hook, 64 * PAGE);
    hide(in_part + 1000, 6000);
    hide(in_zeros + 1000, 6000);
    struct ckpt_report *report = take(exclude_at_once, change_exclusions);
    if (!report || compare() < 0) return -1;
    if ((report->parent != 0) != (chain_length != 0) || report->by_child != (uint32_t)by_child) return wrong("depth %u, by a child %u", report->depth, report->by_child);
    if (is_found()) return wrong("excluded bytes are in the image's file (depth %u, by a child %u)", report->depth, report->by_child);
    if (include(in_hook, 64 * PAGE) < 0 || !take(NULL, NULL)) return -1;
    return compare();
}
static int late_exclusion(void) { return change_while_copied(8, 0); }
static int late_exclusion_full(void) { return change_while_copied(0, 0); }
static int late_exclusion_child(void) { return change_while_copied(8, 1); }

// A mapped file that fork leaves out, in an image that a copy-on-write child writes: pages that nobody has looked at yet.
static int dont_fork_file(void) {
    char path[4100];
    snprintf(path, sizeof path, "%s.data", common->image);
    int file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    uint8_t *content = map_filled(8);
    if (file < 0 || write(file, content, 8 * PAGE - 1000) != 8 * PAGE - 1000) return wrong("no file");
    uint8_t *mapped = mmap(NULL, 10 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
    close(file);
    if (mapped == MAP_FAILED || madvise(mapped, 10 * PAGE, MADV_DONTFORK)) return wrong("no mapping");
    mapped[3 * PAGE] ^= 1;
    tracker = CKPT_TRACKER_NONE;
    if (arm(0, ENOUGH_NS) < 0) return -1;
    for (unsigned i = 0; i < 2; i++) {
        struct ckpt_report *report = take(NULL, NULL);
        if (!report || compare() < 0) return -1;
        if (!report->by_child) return wrong("not by a child");
    }
    return 0;
}

// A part that is moved away and back takes the registration of the rest, whose marks stay: what is written then leaves no trace.
static int moved_back(void) {
    uint8_t *ballast = map_filled(1024), *memory = map_filled(24), *part = memory + 16 * PAGE, *away = map(24);
    if (arm(8, ENOUGH_NS) < 0 || !take(NULL, NULL)) return -1;
    if (mremap(part, 8 * PAGE, 8 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, away + 8 * PAGE) == MAP_FAILED) return wrong("not moved");
    if (!take(NULL, NULL)) return -1;
    if (mremap(away + 8 * PAGE, 8 * PAGE, 8 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, part) == MAP_FAILED) return wrong("not moved back");
    for (unsigned i = 0; i < 4; i++) {
        fill(memory, 24, 5);
        fill(ballast, 64, 1);
        if (!take(NULL, NULL) || compare() < 0) return -1;
    }
    return 0;
}

static const struct { const char *name; int (*run)(void); } cases[] = {
    {"torn_listing", torn_listing}, {"scattered_pages", scattered_pages}, {"untracked_mappings", untracked_mappings}, {"first_thread", first_thread},
    {"dont_fork", dont_fork}, {"wipe_on_fork", wipe_on_fork}, {"direct_exclusion", direct_exclusion}, {"full_arena", full_arena},
    {"swapped_pages", swapped_pages}, {"late_exclusion", late_exclusion}, {"late_exclusion_full", late_exclusion_full},
    {"late_exclusion_child", late_exclusion_child}, {"moved_back", moved_back}, {"dont_fork_file", dont_fork_file},
};

// Every process that the case has started has ended.
static int run(int (*case_)(void), const char *directory) {
    char command[8200];
    snprintf(command, sizeof command, "rm -rf '%s'/* '%s'/.p*", directory, directory);
    if (system(command)) return -1;
    uint64_t seed;
    if (getentropy(&seed, sizeof seed)) return -1;
    memset(common, 0, sizeof *common);
    common->seed = seed;
    snprintf(common->image, sizeof common->image, "%s/p.img", directory);
    fflush(stdout);
    pid_t program = fork();
    if (program == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        prctl(PR_SET_DUMPABLE, 1);
        alarm(120);
        _exit(case_() < 0);
    }
    int status, ended = 0;
    for (pid_t id; (id = waitpid(-1, &status, __WALL)) > 0 || errno == EINTR;) if (id == program) ended = status;
    if (ended && !common->problem[0]) wrong("the program ended with %x", (unsigned)ended);
    return common->problem[0] ? -1 : 0;
}

int main(int count, char **words) {
    static char directory[3800];
    const char *parent = "/tmp", *only = NULL;
    setvbuf(stdout, NULL, _IOLBF, 0);
    tracker = CKPT_TRACKER_UFFD;
    for (int i = 1; i + 1 < count; i += 2) {
        if (!strcmp(words[i], "--directory")) parent = words[i + 1];
        if (!strcmp(words[i], "--only")) only = words[i + 1];
        if (!strcmp(words[i], "--tracker")) tracker = *words[i + 1] == 'm' ? CKPT_TRACKER_MPROTECT : CKPT_TRACKER_UFFD;
    }
    snprintf(directory, sizeof directory, "%s/cases-XXXXXX", parent);
    if (!mkdtemp(directory)) { perror(directory); return 2; }
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    truth = mmap(NULL, sizeof *truth, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    common = mmap(NULL, sizeof *common, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int errors = 0, found = 0;
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (only && strcmp(only, cases[i].name)) continue;
        found++;
        if (run(cases[i].run, directory) < 0) {
            printf("FAILED %s: %s\n", cases[i].name, common->problem);
            errors++;
        } else printf("ok %s\n", cases[i].name);
    }
    char command[4200];
    snprintf(command, sizeof command, "rm -rf '%s'", directory);
    if (system(command)) errors++;
    if (!found) printf("there is no such case\n");
    return errors || !found;
}
