// SPDX-License-Identifier: Apache-2.0
// memory MIB still|busy: so much anonymous memory, every page different. `busy` writes a tenth of the pages every 100 ms.
// After a restart with --env START=NANOSECONDS it prints how long ago that was, and ends: its first instruction is in the loop.
#include <checkpointkit.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

int main(int count, char **arguments) {
    if (count != 3) return 64;
    // It ends with the driver.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    size_t pages = (size_t)atol(arguments[1]) * 256;
    int is_busy = strcmp(arguments[2], "busy") == 0;
    uint64_t *memory = aligned_alloc(4096, pages * 4096);
    if (memory == NULL) return 1;
    uint64_t state = 88172645463325252u;
    for (size_t i = 0; i < pages * 512; i++) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        memory[i] = state;
    }
    int error = ckpt_enable(NULL);
    if (error != 0) return fprintf(stderr, "memory: %s\n", ckpt_strerror(error)), 1;
    puts("ready");
    fflush(stdout);
    uint64_t next = now();
    for (;;) {
        uint64_t time = now();
        const char *start = ckpt_restart_environment("START");
        if (start != NULL) {
            printf("%llu\n", (unsigned long long)(now() - strtoull(start, NULL, 10)));
            return 0;
        }
        if (!is_busy) continue;
        if (time < next) {
            struct timespec rest = {0, 1000000};
            nanosleep(&rest, NULL);
            continue;
        }
        next = time + 100000000u;
        for (size_t page = 0; page < pages; page += 10) memory[page * 512]++;
    }
}
