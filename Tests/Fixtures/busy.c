// SPDX-License-Identifier: Apache-2.0
// Two threads write 96 MiB again and again, faster than any disk takes it: checkpoints go on, and the engine's memory stays
// bounded (its arena has 128 MiB for copies of pages and some MiB besides).
#include "fixture.h"

#define BYTES (96ul << 20)

static unsigned char *memory;
static volatile int stop;

static void *writing(void *argument) {
    uint64_t *words = (uint64_t *)(memory + (size_t)argument * BYTES / 2), turn = 0;
    do {
        turn++;
        for (size_t i = 0; i < BYTES / 2 / 8; i += 512) words[i] = turn;
    } while (!stop);
    for (size_t i = 0; i < BYTES / 2 / 8; i += 512) if (words[i] != turn) return "lost";
    return "kept";
}

// Most that was ever resident, in KiB.
static long high_water(void) {
    char line[256];
    long kibibytes = -1;
    FILE *status = fopen("/proc/self/status", "r");
    need(status != NULL);
    while (fgets(line, sizeof line, status)) if (sscanf(line, "VmHWM: %ld", &kibibytes) == 1) break;
    fclose(status);
    return kibibytes;
}

int main(void) {
    memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    need(memory != MAP_FAILED);
    fixture_begin();
    pthread_t threads[2];
    for (size_t i = 0; i < 2; i++) need(pthread_create(&threads[i], NULL, writing, (void *)i) == 0);

    fixture_checkpoint_here();

    fact("memory: %s", high_water() < (long)(BYTES >> 10) + 176 * 1024 ? "bounded" : "not bounded");
    stop = 1;
    for (size_t i = 0; i < 2; i++) {
        void *said;
        need(pthread_join(threads[i], &said) == 0);
        fact("what was written: %s", (const char *)said);
    }
    return 0;
}
