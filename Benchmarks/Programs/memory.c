// SPDX-License-Identifier: Apache-2.0
// memory MIB still|compute|sparse|tenth|all: so much anonymous memory, every page different, and how it is written:
//   still   not at all; SIGUSR2: a hundredth of the pages, evenly spread, once; then it prints "dirtied PAGES CHECKSUM"
//   compute the same, but it computes instead of resting: what it does first after a restart is no system call
//   sparse  a hundredth of the pages in each second, evenly spread, another one each time
//   tenth   a tenth of the pages every 100 ms: every tenth page, always the same
//   all     as fast as one core can, page after page
// Between its writes a program that writes computes; every 20 ms it prints "TIME WORK": CLOCK_MONOTONIC in nanoseconds and the rounds of
// work since the last line (all: the pages), so that a driver sees what a checkpoint takes away.
// `still` rests, `compute` does not, and both print nothing.
//
// After a restart with --env START=NANOSECONDS it prints how long ago that was. With --env WATCH=1 it then waits until as much
// memory is anonymous as it has, prints how long ago START was then, and a checksum of its memory. Then it ends.
#include <checkpointkit.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}
static void rest(void) {
    struct timespec time = {0, 1000000};
    nanosleep(&time, NULL);
}

static uint64_t *memory;
static size_t pages;
static volatile sig_atomic_t asked;
static void on_usr2(int number) { (void)number, asked = 1; }

static uint64_t checksum(void) {
    uint64_t sum = 1;
    for (size_t i = 0; i < pages * 512; i++) sum = (sum ^ memory[i]) * 0x9e3779b97f4a7c15u;
    return sum;
}

// KiB of memory of this process that is anonymous.
static size_t anonymous(void) {
    char text[4096];
    int file = open("/proc/self/smaps_rollup", O_RDONLY);
    ssize_t count = file < 0 ? -1 : read(file, text, sizeof text - 1);
    if (file >= 0) close(file);
    if (count <= 0) return 0;
    text[count] = 0;
    const char *line = strstr(text, "\nAnonymous:");
    return line ? strtoul(line + 11, NULL, 10) : 0;
}

static void restarted(uint64_t first, const char *start) {
    uint64_t began = strtoull(start, NULL, 10);
    printf("%llu\n", (unsigned long long)(first - began));
    fflush(stdout);
    if (ckpt_restart_environment("WATCH") != NULL) {
        while (anonymous() < pages * 4 && now() - began < 60000000000u) rest();
        printf("%llu\n", (unsigned long long)(now() - began));
        printf("%016llx\n", (unsigned long long)checksum());
    }
    exit(0);
}

static uint64_t compute(uint64_t state) {
    for (int i = 0; i < 2000; i++) state = state * 6364136223846793005u + 1442695040888963407u;
    return state;
}

int main(int count, char **arguments) {
    static const char *const modes[] = {"still", "compute", "sparse", "tenth", "all"};
    size_t mode = 0;
    if (count != 3 || atol(arguments[1]) < 1) return 64;
    while (mode < 5 && strcmp(arguments[2], modes[mode]) != 0) mode++;
    if (mode == 5) return 64;
    // It ends with the driver.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    pages = (size_t)atol(arguments[1]) * 256;
    memory = aligned_alloc(4096, pages * 4096);
    if (memory == NULL) return 1;
    uint64_t state = 88172645463325252u;
    for (size_t i = 0; i < pages * 512; i++) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        memory[i] = state;
    }
    struct sigaction action = {.sa_handler = on_usr2, .sa_flags = SA_RESTART};
    sigaction(SIGUSR2, &action, NULL);
    int error = ckpt_enable(NULL);
    if (error != 0) return fprintf(stderr, "memory: %s\n", ckpt_strerror(error)), 1;
    printf("ready %016llx\n", (unsigned long long)(mode < 2 ? checksum() : 0));
    fflush(stdout);
    // A stride that is prime to the number of pages: each page has its turn before one has its second.
    size_t stride = 101, place = 0;
    while (pages % stride == 0) stride += 2;
    uint64_t work = 0, written = 0, told = now(), next = told;
    for (const uint64_t begin = told;;) {
        uint64_t time = now();
        const char *start = ckpt_restart_environment("START");
        if (start != NULL) restarted(now(), start); // `time` may be older than the checkpoint
        if (mode < 2) {
            if (asked) {
                asked = 0;
                for (size_t i = 0; i < pages / 100; i++, place = (place + stride) % pages) memory[place * 512]++;
                printf("dirtied %zu %016llx\n", pages / 100, (unsigned long long)checksum());
                fflush(stdout);
            }
            if (mode == 0) rest(); else state = compute(state);
            continue;
        }
        if (time - told >= 20000000u) {
            printf("%llu %llu\n", (unsigned long long)time, (unsigned long long)work);
            fflush(stdout);
            told = time, work = 0;
        }
        switch (mode) {
        case 2: {
            uint64_t due = (uint64_t)((double)(time - begin) * 1e-11 * (double)pages);
            // What was missed in a stop is not made up for at once.
            if (due > written + pages / 1000 + 1) written = due - pages / 1000 - 1;
            for (; written < due; written++, place = (place + stride) % pages) memory[place * 512]++;
            break;
        }
        case 3:
            if (time >= next) {
                next = time + 100000000u;
                for (size_t page = 0; page < pages; page += 10) memory[page * 512]++;
            }
            break;
        default:
            for (int i = 0; i < 512; i++, place = place + 1 == pages ? 0 : place + 1) memory[place * 512]++;
            work += 512;
            continue;
        }
        state = compute(state);
        work++;
    }
}
