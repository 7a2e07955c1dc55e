// SPDX-License-Identifier: Apache-2.0
// Every system call of a checkpoint goes wrong once: with an error, with half of the bytes, with the death of its process or of
// the program. After each the newest image must be complete, the program right, and the next checkpoint good and clean.
//
//     fault_rounds [--every N] [--directory D] [--only SCENARIO] [--fault KIND] [--at N]
#define _GNU_SOURCE
#include "ckpt_engine.h"
#include "chain.h"
#include "take.h"
#include "faulty.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGES 256u // 1 MiB

static const char *const fault_names[FAULTS] = {"none", "EIO", "ENOSPC", "EINTR", "short", "kill", "kill-program"};
static const struct scenario { const char *name; uint32_t chain_length, generations, before, tracker; } scenarios[] = {
    {"full", 0, 0, 1, CKPT_TRACKER_UFFD}, {"increment", 8, 0, 1, CKPT_TRACKER_UFFD}, {"prune", 0, 1, 2, CKPT_TRACKER_UFFD},
    {"untracked", 0, 0, 1, CKPT_TRACKER_NONE},
};

// Shared with the program.
static struct shared {
    struct faulty faulty;
    uint32_t version;       // of the memory at the checkpoint that goes wrong
    uint32_t outcome, step; // of that checkpoint
    int32_t error;
    uint32_t done;          // the program has seen it through
    char problem[4800];
} *shared;
static uint64_t (*memory)[512];
static char image[4000];

static int problem(const char *text, const char *more) {
    snprintf(shared->problem, sizeof shared->problem, "%s%s", text, more);
    return -1;
}

// Page i was written last in this version.
static uint64_t version_of(unsigned page, uint32_t version) {
    for (; version > 1; version--) if (page == 0 || page % 8 == version % 8) return version;
    return 1;
}
static void change(uint32_t version) {
    for (unsigned i = 0; i < PAGES; i++) if (version_of(i, version) == version) for (int k = 0; k < 512; k++) memory[i][k] = (uint64_t)version << 32 | i << 10 | (unsigned)k;
}
static int is_right(unsigned page, const uint64_t *words, uint32_t version) {
    for (int k = 0; k < 512; k++) if (words[k] != (version_of(page, version) << 32 | page << 10 | (unsigned)k)) return 0;
    return 1;
}

// The image at the path and all that it builds on is complete and one of these versions.
static int check_image(uint32_t oldest, uint32_t newest) {
    static struct chain chain;
    int error = 0;
    if (chain_open(&chain, image, 1) < 0) { error = problem(chain.problem, ""); chain_close(&chain); return error; }
    const uint8_t *bytes = NULL;
    uint32_t version = 0;
    for (unsigned i = 0; i < PAGES && error == 0; i++) {
        if (chain_page(&chain, (uint64_t)memory[i], &bytes) != CONTENT_BYTES) error = problem("a page is missing in ", image);
        else if (i == 0 && ((version = (uint32_t)(*(const uint64_t *)bytes >> 32)) < oldest || version > newest)) error = problem("it is an older checkpoint: ", image);
        else if (!is_right(i, (const uint64_t *)bytes, version)) error = problem("a page is wrong in ", image);
    }
    chain_close(&chain);
    return error;
}

static int check_folder(const char *path, const char *first, const char *second) {
    DIR *folder = opendir(path);
    if (!folder) return 0;
    int error = 0;
    for (struct dirent *entry; error == 0 && (entry = readdir(folder));) {
        const char *name = entry->d_name;
        if (!strcmp(name, ".") || !strcmp(name, "..") || (first && (!strcmp(name, first) || !strcmp(name, second)))) continue;
        if (first || strlen(name) != 12 || strspn(name, "0123456789abcdef") != 12) error = problem("something was left: ", name);
    }
    closedir(folder);
    return error;
}
// Nothing but images under their names.
static int check_names(const char *directory) {
    char folder[4100];
    snprintf(folder, sizeof folder, "%s.d", image);
    return check_folder(directory, "p.img", "p.img.d") | check_folder(folder, NULL, NULL);
}

static int run(const struct scenario *scenario, const char *directory, uint64_t at, uint32_t fault) {
    static struct ckpt_plan plan;
    plan.version = CKPT_PLAN_VERSION;
    plan.byte_count = sizeof plan;
    plan.signal = SIGUSR1;
    plan.exit_status = 85;
    plan.generations = scenario->generations;
    plan.freeze_deadline_ns = 250000000;
    plan.freeze_patience_ns = 20000000000ull;
    plan.pause_budget_ns = 5000000;
    plan.chain_length = scenario->chain_length;
    plan.tracker = scenario->tracker;
    snprintf(plan.image_path, sizeof plan.image_path, "%s", image);
    extern const ptrdiff_t __rseq_offset;
    plan.rseq_offset = (uint64_t)__rseq_offset;
    plan.rseq_byte_count = 32;
    plan.rseq_signature = 0x53053053;
    if (ckpt_engine_arm(&plan) < 0) return problem("cannot be armed", "");
    uint32_t version = 0;
    struct ckpt_report *report;
    for (uint32_t i = 0; i < scenario->before; i++) {
        change(++version);
        report = checkpoint();
        if (!report || report->outcome != CKPT_OUTCOME_SAVED) return problem("the checkpoint before failed", "");
    }
    change(++version);
    shared->version = version;
    shared->faulty.program = getpid();
    shared->faulty.fault = fault;
    shared->faulty.at = at;
    report = checkpoint();
    shared->faulty.at = 0;
    shared->outcome = report->outcome;
    shared->step = report->step;
    shared->error = report->error;
    if (!shared->faulty.fired && report->outcome != CKPT_OUTCOME_SAVED) return problem("it failed, and nothing had gone wrong", "");
    if (check_image(report->outcome == CKPT_OUTCOME_SAVED ? version : version - 1, version) < 0) return -1;
    for (unsigned i = 0; i < PAGES; i++) if (!is_right(i, memory[i], version)) return problem("the program's memory is wrong", "");
    change(++version);
    report = checkpoint();
    if (!report || report->outcome != CKPT_OUTCOME_SAVED) return problem("the next checkpoint failed", "");
    if (check_image(version, version) < 0 || check_names(directory) < 0) return -1;
    shared->done = 1;
    return 0;
}

// Every process that was started has ended, and what it was is collected.
static int collect(pid_t program, int *status) {
    struct timespec pause = {0, 1000000};
    for (int i = 0; i < 20000; i++) {
        int got;
        pid_t ended = waitpid(-1, &got, __WALL | WNOHANG);
        if (ended < 0 && errno == ECHILD) return 0;
        if (ended == program) *status = got;
        if (ended == 0) nanosleep(&pause, NULL);
    }
    return problem("a process is left", "");
}

// 1: it went wrong somewhere; 0: there are fewer calls than that.
static int try(const struct scenario *scenario, const char *directory, uint64_t at, uint32_t fault) {
    char command[8200];
    int status = 0;
    snprintf(command, sizeof command, "rm -rf '%s'/* '%s'/.p*", directory, directory);
    if (system(command)) return -1;
    memset(shared, 0, sizeof *shared);
    fflush(stdout);
    pid_t program = fork();
    if (program == 0) _exit(run(scenario, directory, at, fault) < 0);
    if (collect(program, &status) < 0) return -1;
    if (shared->problem[0]) return -1;
    if (fault == FAULT_KILL_PROGRAM && shared->faulty.fired) {
        // A name that a killed scribe left is taken away by the next checkpoint only: there is none here.
        if (!WIFSIGNALED(status)) return problem("the program lived on", "");
        if (check_image(shared->version - 1, shared->version) < 0) return -1;
    } else if (!shared->done) return problem("the program ended early", "");
    return shared->faulty.count >= at;
}

int main(int count, char **words) {
    static char directory[3800];
    const char *parent = "/tmp", *only = NULL, *kind = NULL;
    uint64_t every = 1, single = 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 1; i + 1 < count; i += 2) {
        if (!strcmp(words[i], "--every")) every = strtoull(words[i + 1], NULL, 10);
        if (!strcmp(words[i], "--directory")) parent = words[i + 1];
        if (!strcmp(words[i], "--only")) only = words[i + 1];
        if (!strcmp(words[i], "--fault")) kind = words[i + 1];
        if (!strcmp(words[i], "--at")) single = strtoull(words[i + 1], NULL, 10);
    }
    snprintf(directory, sizeof directory, "%s/faults-XXXXXX", parent);
    if (every == 0 || !mkdtemp(directory)) { perror(directory); return 2; }
    snprintf(image, sizeof image, "%s/p.img", directory);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    memory = mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    faulty = &shared->faulty;
    int errors = 0;
    for (unsigned s = 0; s < sizeof scenarios / sizeof *scenarios; s++)
        for (uint32_t fault = FAULT_EIO; fault < FAULTS; fault++) {
            if ((only && strcmp(only, scenarios[s].name)) || (kind && strcmp(kind, fault_names[fault]))) continue;
            uint64_t tried = 0, fired = 0, failed = 0, at = single ? single : 1 + fault % every;
            for (int result = 1; result == 1; at += every) {
                result = try(&scenarios[s], directory, at, fault);
                if (result < 0) {
                    printf("%s, %s at call %lu (system call %ld; outcome %u, step %u, error %d): %s\n", scenarios[s].name, fault_names[fault], at,
                        shared->faulty.number, shared->outcome, shared->step, shared->error, shared->problem);
                    errors++;
                    result = 1;
                    if (errors > 200) break;
                } else if (result == 0) break;
                tried++;
                fired += shared->faulty.fired;
                failed += shared->outcome != 0;
                if (single) break;
            }
            printf("%-10s %-12s %4lu calls, %4lu went wrong, %4lu checkpoints failed\n", scenarios[s].name, fault_names[fault], tried, fired, failed);
        }
    char command[4200];
    snprintf(command, sizeof command, "rm -rf '%s'", directory);
    if (system(command)) errors++;
    printf(errors ? "FAILED: %d\n" : "ok\n", errors);
    return errors != 0;
}
