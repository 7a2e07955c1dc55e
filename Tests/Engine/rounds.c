// SPDX-License-Identifier: Apache-2.0
// The tracker against the truth: random operations on memory between and during checkpoints; after each, the image with its
// chain must hold what the program's memory held while it was frozen.
//
//     tracker_rounds [--rounds N] [--seed S] [--tracker uffd|mprotect|none] [--directory D] [--threads 0|1] [--only OPERATION]
//
// The program is a child, armed with the engine; its parent compares. The two share the truth (truth.c), which is in no image.
#define _GNU_SOURCE
#include "ckpt_engine.h"
#include "chain.h"
#include "faulty.h"
#include "take.h"
#include "operations.h"
#include "truth.h"
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <sys/wait.h>
#include <unistd.h>

extern void (*ckpt_test_frozen)(void);

static struct {
    long rounds;
    uint64_t seed;
    uint32_t tracker;
    int threads;
    const char *directory, *only;
} options = {1000, 0, CKPT_TRACKER_UFFD, 1, NULL, NULL};

// Shared with the parent.
static struct shared {
    struct operation_counts operations;
    int loose;  // a copy-on-write child wrote the image while threads changed files: it sees those as they are then, also cut short
    uint64_t skipped, images, increments, by_child, outcomes, tracked;
} *shared;

static volatile int stop;

static void *writer(void *argument) {
    draws = (uint64_t)argument;
    while (!stop) operate(options.only);
    return NULL;
}

static void plan_for(struct ckpt_plan *plan, const char *path) {
    memset(plan, 0, sizeof *plan);
    plan->version = CKPT_PLAN_VERSION;
    plan->byte_count = sizeof *plan;
    plan->signal = SIGUSR1;
    plan->exit_status = 85;
    plan->generations = (uint32_t)below(3);
    plan->freeze_deadline_ns = 250000000;
    plan->freeze_patience_ns = 20000000000ull;
    plan->pause_budget_ns = one_in(3) ? 100000 : 5000000;
    plan->chain_length = one_in(5) ? 0 : 12;
    plan->tracker = options.tracker;
    snprintf(plan->image_path, sizeof plan->image_path, "%s", path);
    extern const ptrdiff_t __rseq_offset;
    extern const unsigned __rseq_size;
    plan->rseq_offset = (uint64_t)__rseq_offset;
    plan->rseq_byte_count = __rseq_size ? 32 : 0;
    plan->rseq_signature = 0x53053053;
}

static void record(void) {
    struct timespec time; // system calls only
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &time);
    notes->frozen_ns = (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
    truth_record();
}

// The program under test. Answers each round with a byte on `told`, and waits for one on `go`.
static void program(const char *image, int go, int told) {
    static struct ckpt_plan plan;
    struct sigaction action = {.sa_handler = on_fault, .sa_flags = SA_NODEFER};
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_DUMPABLE, 1);
    ckpt_test_frozen = record;
    // The stacks of threads count as written to where nothing is: with something that stays, increments pay all the same.
    if (options.threads) {
        uint8_t *ballast = mmap(NULL, 8 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        for (unsigned i = 0; i < 8 << 20; i += 4096) ballast[i] = (uint8_t)(i >> 12) | 1;
    }
    for (long round = 0; round < options.rounds; round++) {
        draws = options.seed + (uint64_t)round * 1000003;
        if (round == 0 || one_in(8)) {
            plan_for(&plan, image);
            int error = ckpt_engine_arm(&plan);
            if (error < 0) { printf("cannot be armed: %d\n", error); exit(2); }
        }
        uint64_t count = one_in(10) ? 400 : 1 + below(30);
        for (uint64_t i = 0; i < count; i++) operate(options.only);
        pthread_t threads[2];
        unsigned thread_count = options.threads && one_in(3) ? 1 + (unsigned)below(2) : 0;
        stop = 0;
        concurrent = thread_count > 0;
        if (concurrent && clock_jump_ns > 0) clock_jump_ns = 0;
        for (unsigned i = 0; i < thread_count; i++) pthread_create(&threads[i], NULL, writer, (void *)draw());
        notes->requested_ns = clock_now();
        notes->before = notes->requested;
        notes->requested = notes->count;
        notes->frozen_before_ns = notes->frozen_ns;
        struct ckpt_report *report = checkpoint();
        stop = 1;
        for (unsigned i = 0; i < thread_count; i++) pthread_join(threads[i], NULL);
        concurrent = 0;
        shared->loose = thread_count > 0 && report && report->by_child;
        // On a machine that is busy with other things the threads may not all be stopped in time.
        if (report && report->outcome == CKPT_OUTCOME_FAILED && report->step == CKPT_STEP_FREEZE) { shared->skipped++; continue; }
        if (!report || report->outcome != CKPT_OUTCOME_SAVED) {
            printf("round %ld: no image: step %u, error %d\n", round, report ? report->step : 0, report ? report->error : 0);
            exit(3);
        }
        shared->images++;
        shared->increments += report->depth > 0;
        shared->by_child += report->by_child;
        shared->tracked += report->tracker == options.tracker;
        char byte = 0;
        if (write(told, &byte, 1) != 1 || read(go, &byte, 1) != 1) _exit(0);
    }
    exit(0);
}

static long since_request(uint64_t time_ns) { return ((long)time_ns - (long)notes->requested_ns) / 1000; }

// What was done near this page since the request before.
static void tell_story(uint64_t address) {
    printf("  in microseconds: frozen before at %ld, requested at 0, frozen at %ld\n", since_request(notes->frozen_before_ns), since_request(notes->frozen_ns));
    for (uint32_t i = notes->count - notes->before < NOTES_MAX ? notes->before : notes->count - NOTES_MAX; i != notes->count; i++) {
        const struct operation_note *n = &notes->notes[i % NOTES_MAX];
        for (uint32_t k = 0; k < n->page_count; k++) {
            int64_t distance = ((int64_t)address - (int64_t)n->pages[k]) / 4096;
            if (distance < -1 || distance > 512) continue;
            printf("    %9ld … %ld, thread %u: %s %lx (%ld pages before): %d\n", since_request(n->began_ns), since_request(n->ended_ns),
                n->thread, operations[n->operation].name, n->pages[k], (long)distance, n->result);
        }
    }
}

static int wrong(const struct chain *chain, uint64_t address, const char *what) {
    const struct image *image = &chain->images[0];
    const struct ckpt_mapping *m = NULL;
    for (uint32_t i = 0; i < image->mapping_count; i++) if (image->mappings[i].start <= address && address < image->mappings[i].end) m = &image->mappings[i];
    static int told;
    if (!told++) tell_story(address);
    for (int i = 0; i < chain->count; i++)
        for (uint32_t k = 0; k < chain->images[i].run_count; k++) {
            const struct ckpt_run *run = &chain->images[i].runs[k];
            if (address < run->address || address >= run->address + (uint64_t)run->page_count * 4096) continue;
            printf("  image %d of the chain (sequence %lu): run %lx, %u pages, kind %u, at %lx\n", i, chain->images[i].ident.sequence, run->address, run->page_count, run->kind, run->file_offset);
        }
    printf("  page %lx (depth %u): %s; ", address, image->ident.depth, what);
    if (m) printf("mapping %lx-%lx kind %u protection %u flags %u offset %lx inode %lu\n", m->start, m->end, m->kind, m->protection, m->flags, m->file_offset, m->inode);
    else printf("no mapping\n");
    return 1;
}

static int is_of_file(const struct chain *chain, uint64_t address) {
    const struct image *image = &chain->images[0];
    for (uint32_t i = 0; i < image->mapping_count; i++) if (image->mappings[i].start <= address && address < image->mappings[i].end) return image->mappings[i].kind == CKPT_MAPPING_FILE;
    return 0;
}

// How many bytes differ, apart from those that the kernel writes whenever a thread goes on (rseq).
static int differ(const struct chain *chain, uint64_t address, const uint8_t *a, const uint8_t *b, int *first, int *last) {
    const struct image *image = &chain->images[0];
    int count = 0;
    for (int i = 0; i < 4096; i++) {
        int own = a[i] == b[i];
        for (uint32_t t = 0; !own && t < image->thread_count; t++) own = address + (uint64_t)i - image->threads[t].rseq < 32;
        if (own) continue;
        if (count++ == 0) *first = i;
        *last = i;
    }
    return count;
}

// Returns how many pages are wrong.
static int compare(const char *path) {
    static struct chain chain;
    if (chain_open(&chain, path, 0) < 0) { printf("  %s\n", chain.problem); chain_close(&chain); return 1; }
    int errors = 0;
    if (truth->overflow || truth->step) { printf("  the truth is not known: step %u, error %ld\n", truth->step, truth->error); errors++; }
    for (uint32_t i = 0; i < truth->count && errors < 10; i++) {
        const struct truth_page *page = &truth->pages[i];
        const uint8_t *bytes = NULL;
        enum content content = chain_page(&chain, page->address, &bytes);
        static const uint8_t zeros[4096];
        uint64_t hash = truth_hash(content == CONTENT_BYTES ? bytes : zeros);
        if (page->state == TRUTH_NOTHING && content == CONTENT_BYTES && !shared->loose) errors += wrong(&chain, page->address, "has content, and could not be read");
        else if (page->state == TRUTH_BYTES && hash != page->hash) {
            int first = 0, last = 0, count = differ(&chain, page->address, content == CONTENT_BYTES ? bytes : zeros, truth->bytes[i], &first, &last);
            if (count == 0 || (shared->loose && is_of_file(&chain, page->address))) continue;
            printf("  %d bytes, %d...%d\n", count, first, last);
            errors += wrong(&chain, page->address, content != CONTENT_BYTES ? (page->private ? "private content is missing" : "content is missing") : page->private ? "private content is another" : "content is another");
        }
        else if (page->state == TRUTH_EITHER && !shared->loose && content == CONTENT_BYTES && hash != page->hash) errors += wrong(&chain, page->address, "is neither empty nor the file's");
    }
    // What is in the image and was not populated.
    const struct image *image = &chain.images[0];
    uint32_t next = 0;
    for (uint32_t i = 0; i < image->run_count && errors < 10; i++)
        for (uint32_t k = 0; k < image->runs[i].page_count && errors < 10; k++) {
            uint64_t address = image->runs[i].address + (uint64_t)k * 4096;
            while (next < truth->count && truth->pages[next].address < address) next++;
            if (next < truth->count && truth->pages[next].address == address) continue;
            if (address >= truth->own_start && address < truth->own_end) continue;
            const struct ckpt_mapping *m = image->mappings;
            while (m->end <= address) m++;
            const uint8_t *bytes;
            if (m->kind == CKPT_MAPPING_VDSO || m->flags & CKPT_MAPPING_SHARED) continue;
            if (chain_page(&chain, address, &bytes) == CONTENT_BYTES) errors += wrong(&chain, address, "has content, and was not populated");
        }
    chain_close(&chain);
    return errors;
}

static void parse(int count, char **words) {
    for (int i = 1; i + 1 < count; i += 2) {
        const char *value = words[i + 1];
        if (!strcmp(words[i], "--rounds")) options.rounds = atol(value);
        else if (!strcmp(words[i], "--seed")) options.seed = strtoull(value, NULL, 0);
        else if (!strcmp(words[i], "--threads")) options.threads = atoi(value);
        else if (!strcmp(words[i], "--directory")) options.directory = value;
        else if (!strcmp(words[i], "--only")) options.only = value;
        else if (!strcmp(words[i], "--tracker")) options.tracker = *value == 'u' ? CKPT_TRACKER_UFFD : *value == 'm' ? CKPT_TRACKER_MPROTECT : CKPT_TRACKER_NONE;
    }
}

int main(int count, char **words) {
    static char directory[3800], image[4000];
    setvbuf(stdout, NULL, _IOLBF, 0);
    parse(count, words);
    if (!options.seed) getentropy(&options.seed, 6);
    snprintf(directory, sizeof directory, "%s/tracker-XXXXXX", options.directory ? options.directory : "/tmp");
    if (!mkdtemp(directory)) { perror(directory); return 2; }
    snprintf(image, sizeof image, "%s/p.img", directory);
    printf("seed %lu, %ld rounds, in %s\n", options.seed, options.rounds, directory);
    draws = options.seed;
    make_files(directory);
    truth = mmap(NULL, sizeof *truth, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    counts = &shared->operations;
    notes = mmap(NULL, sizeof *notes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    no_self_memory = options.tracker == CKPT_TRACKER_MPROTECT; // its writes pass by protections, and leave no trace
    int go[2], told[2], status = 0;
    if (pipe(go) || pipe(told)) return 2;
    pid_t child = fork();
    if (child == 0) {
        close(go[1]);
        close(told[0]);
        program(image, go[0], told[1]);
    }
    close(go[0]);
    close(told[1]);
    char byte;
    int errors = 0;
    for (long round = 0; errors == 0; round++) {
        if (read(told[0], &byte, 1) != 1) break;
        if (truth->recorded == 0) { printf("round %ld: nobody recorded the truth\n", round); errors++; }
        truth->recorded = 0;
        errors += compare(image);
        if (errors) printf("round %ld: WRONG%s\n", round, shared->loose ? " (by a child)" : "");
        if (write(go[1], &byte, 1) != 1) break;
        if ((round + 1) % 1000 == 0) printf("  %ld rounds\n", round + 1);
    }
    if (errors) kill(child, SIGKILL);
    close(go[1]);
    waitpid(child, &status, 0);
    if (!errors && status) { printf("the program ended with %x\n", (unsigned)status); errors = 1; }
    for (unsigned i = 0; i < operation_count; i++) printf("%s%s %lu+%lu", i % 6 ? ", " : "\n  ", operations[i].name, counts->done[i], counts->failed[i]);
    printf("\nnot frozen in time %lu, images %lu, increments %lu, by a child %lu, tracked %lu\n", shared->skipped, shared->images, shared->increments, shared->by_child, shared->tracked);
    printf(errors ? "FAILED: to see it again: --seed %lu --rounds %ld\n" : "ok\n", options.seed, options.rounds);
    if (!errors) {
        char command[5000];
        snprintf(command, sizeof command, "rm -rf '%s'", directory);
        if (system(command)) errors = 1;
    }
    return errors != 0;
}
