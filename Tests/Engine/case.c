// SPDX-License-Identifier: Apache-2.0
// A checkpoint that a program takes of itself, and the comparison with the truth (truth.c).
#define _GNU_SOURCE
#include "case.h"
#include "chain.h"
#include "truth.h"
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

extern void (*ckpt_test_frozen)(void);

struct common *common;
uint32_t tracker;

static struct { uint64_t start, end; } dead[64]; // what is excluded now
static unsigned dead_count;

int wrong(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    if (!common->problem[0]) vsnprintf(common->problem, sizeof common->problem, format, arguments);
    va_end(arguments);
    return -1;
}

int arm(uint32_t chain_length, uint64_t pause_budget_ns) {
    static struct ckpt_plan plan;
    extern const ptrdiff_t __rseq_offset;
    extern const unsigned __rseq_size;
    plan.version = CKPT_PLAN_VERSION;
    plan.byte_count = sizeof plan;
    plan.signal = SIGUSR1;
    plan.exit_status = 85;
    plan.freeze_deadline_ns = 250000000;
    plan.freeze_patience_ns = 5000000000ull;
    plan.pause_budget_ns = pause_budget_ns;
    plan.chain_length = chain_length;
    plan.tracker = tracker;
    plan.rseq_offset = (uint64_t)__rseq_offset;
    plan.rseq_byte_count = __rseq_size ? 32 : 0;
    plan.rseq_signature = 0x53053053;
    snprintf(plan.image_path, sizeof plan.image_path, "%s", common->image);
    ckpt_test_frozen = truth_record;
    int error = ckpt_engine_arm(&plan);
    return error < 0 ? wrong("cannot be armed: %d", error) : 0;
}

struct ckpt_report *attempt(void (*behind)(void), void (*before)(void)) {
    struct ckpt_live *live = ckpt_engine_live();
    live->hooks = before != NULL;
    int64_t ticket = ckpt_engine_request(0);
    if (ticket < 0) { wrong("cannot be asked: %ld", ticket); return NULL; }
    if (behind) behind();
    for (;;) {
        uint32_t seen = __atomic_load_n(&live->event, __ATOMIC_SEQ_CST), phase = __atomic_load_n(&live->hook_phase, __ATOMIC_SEQ_CST);
        if (phase == CKPT_HOOK_BEFORE || phase == CKPT_HOOK_AFTER) {
            if (phase == CKPT_HOOK_BEFORE && before) before();
            __atomic_store_n(&live->hook_phase, phase == CKPT_HOOK_BEFORE ? CKPT_HOOK_GO : CKPT_HOOK_IDLE, __ATOMIC_SEQ_CST);
            ckpt_engine_announce();
            continue;
        }
        if (__atomic_load_n(&live->completed, __ATOMIC_SEQ_CST) >= (uint64_t)ticket) break;
        ckpt_engine_wait_event(seen, 20000000);
    }
    return &live->reports[(live->report_count - 1) % CKPT_REPORT_RING];
}

struct ckpt_report *take(void (*behind)(void), void (*before)(void)) {
    truth->recorded = 0;
    struct ckpt_report *report = attempt(behind, before);
    if (!report) return NULL;
    if (report->outcome != CKPT_OUTCOME_SAVED) wrong("no image: step %u, error %d, %u attempts to freeze", report->step, report->error, report->attempts);
    else if (report->tracker != tracker) wrong("it was tracked by %u", report->tracker);
    else if (truth->recorded == 0) wrong("nobody recorded the truth");
    else return report;
    return NULL;
}

int exclude(const void *start, uint64_t byte_count) {
    int error = ckpt_engine_exclude(start, byte_count, CKPT_EXCLUDE_DEAD);
    if (error < 0 || dead_count == sizeof dead / sizeof *dead) return wrong("cannot be excluded: %d", error);
    dead[dead_count].start = (uint64_t)start;
    dead[dead_count++].end = (uint64_t)start + byte_count;
    return 0;
}

int include(const void *start, uint64_t byte_count) {
    int error = ckpt_engine_include(start, byte_count);
    for (unsigned i = 0; i < dead_count; i++)
        if (dead[i].start == (uint64_t)start && dead[i].end == (uint64_t)start + byte_count) { dead[i] = dead[--dead_count]; return error < 0 ? wrong("cannot be included: %d", error) : 0; }
    return wrong("that is not excluded");
}

static void clear_dead(uint64_t address, uint8_t *page) {
    for (unsigned i = 0; i < dead_count; i++) {
        uint64_t from = dead[i].start > address ? dead[i].start : address, to = dead[i].end < address + 4096 ? dead[i].end : address + 4096;
        if (from < to) memset(page + (from - address), 0, to - from);
    }
}

// Apart from what the kernel writes whenever a thread goes on (rseq).
static int is_same(const struct image *image, uint64_t address, const uint8_t *a, const uint8_t *b) {
    if (memcmp(a, b, 4096) == 0) return 1;
    for (uint64_t i = 0; i < 4096; i++) {
        int own = a[i] == b[i];
        for (uint32_t t = 0; !own && t < image->thread_count; t++) own = address + i - image->threads[t].rseq < 32;
        if (!own) return 0;
    }
    return 1;
}

static int compare_pages(const struct chain *chain) {
    const struct image *image = &chain->images[0];
    static const uint8_t zeros[4096];
    static uint8_t expected[4096];
    const uint8_t *bytes = NULL;
    if (truth->overflow || truth->step) return wrong("the truth is not known: step %u, error %ld", truth->step, truth->error);
    for (uint32_t i = 0; i < truth->count; i++) {
        const struct truth_page *page = &truth->pages[i];
        enum content content = chain_page(chain, page->address, &bytes);
        if (page->state == TRUTH_NOTHING && content == CONTENT_BYTES) return wrong("page %lx (depth %u) has content, and could not be read", page->address, image->ident.depth);
        if (page->state != TRUTH_BYTES) continue;
        memcpy(expected, truth->bytes[i], 4096);
        clear_dead(page->address, expected);
        if (!is_same(image, page->address, content == CONTENT_BYTES ? bytes : zeros, expected))
            return wrong("page %lx (depth %u): its content %s", page->address, image->ident.depth, content == CONTENT_BYTES ? "is another" : "is missing");
    }
    uint32_t next = 0;
    for (uint32_t i = 0; i < image->run_count; i++)
        for (uint32_t k = 0; k < image->runs[i].page_count; k++) {
            uint64_t address = image->runs[i].address + (uint64_t)k * 4096;
            while (next < truth->count && truth->pages[next].address < address) next++;
            if ((next < truth->count && truth->pages[next].address == address) || (address >= truth->own_start && address < truth->own_end)) continue;
            const struct ckpt_mapping *m = image->mappings;
            while (m->end <= address) m++;
            if (m->kind == CKPT_MAPPING_VDSO || m->flags & CKPT_MAPPING_SHARED) continue;
            if (chain_page(chain, address, &bytes) == CONTENT_BYTES) return wrong("page %lx (depth %u) has content, and was not populated", address, image->ident.depth);
        }
    return 0;
}

int compare(void) {
    static struct chain chain;
    int error = chain_open(&chain, common->image, 0) < 0 ? wrong("%s", chain.problem) : compare_pages(&chain);
    chain_close(&chain);
    return error;
}

#define WORDS 4u
// Computed word by word, so that no register and no stack ever has them side by side.
static uint64_t secret(unsigned word) { return (common->seed ^ (word + 1)) * 0x9e3779b97f4a7c15ull; }

void hide(void *start, uint64_t byte_count) {
    volatile uint64_t *words = start;
    for (uint64_t i = 0; i < byte_count / 8; i++) words[i] = secret(i % WORDS);
}

static int is_in_file(const char *path) {
    struct stat stat;
    int file = open(path, O_RDONLY | O_CLOEXEC), found = 0;
    if (file < 0 || fstat(file, &stat) < 0) { if (file >= 0) close(file); return 0; }
    const uint64_t *words = mmap(NULL, (size_t)stat.st_size, PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (words == MAP_FAILED) return 0;
    for (size_t i = 0; i + WORDS <= (size_t)stat.st_size / 8 && !found; i++) {
        unsigned k = 0;
        while (k < WORDS && words[i + k] == secret(k)) k++;
        found = k == WORDS;
    }
    munmap((void *)words, (size_t)stat.st_size);
    return found;
}

int is_found(void) {
    char folder[4100], path[4400];
    int found = is_in_file(common->image);
    snprintf(folder, sizeof folder, "%s.d", common->image);
    DIR *images = opendir(folder);
    for (struct dirent *entry; images && (entry = readdir(images));) {
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        found |= is_in_file(path);
    }
    if (images) closedir(images);
    return found;
}

// Far from all else: a page without access below would look like the guard of a stack to the tracker by mprotect.
uint8_t *map(uint64_t page_count) {
    static uint64_t next = 0x100000000000;
    uint8_t *start = mmap((void *)next, page_count * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (start != (uint8_t *)next) { wrong("there is no memory"); _exit(1); }
    madvise(start, page_count * 4096, MADV_NOHUGEPAGE);
    next += 1ull << 30;
    return start;
}

void fill(uint8_t *start, uint64_t page_count, uint64_t step) {
    static uint64_t turn;
    turn++;
    for (uint64_t i = 0; i < page_count; i += step) for (unsigned k = 0; k < 4096; k += 1024) *(volatile uint64_t *)(start + i * 4096 + k) = turn << 40 | i << 16 | k;
}

uint8_t *map_filled(uint64_t page_count) {
    uint8_t *start = map(page_count);
    fill(start, page_count, 1);
    return start;
}
