// SPDX-License-Identifier: Apache-2.0
// Two threads write shared memory all the while, one through a mapping of its own, one through a descriptor: what an image has is
// what was there at one moment.
#include "fixture.h"

#define PAGES 8192 // 32 MiB
static volatile int stop;
static uint64_t *memory, *other;
static int file;

static volatile int is_torn, is_file_torn;

// Each turn numbers the pages anew. Whoever comes to a page knows what is on it: the number of the turn before; whatever else is
// there was not there at the moment when its thread was stopped.
static void *writing(void *argument) {
    (void)argument;
    volatile uint64_t *pages = other;
    for (uint64_t turn = 1; !stop; turn++)
        for (size_t i = 0; i < PAGES; i++) {
            if (pages[i * 512] != turn - 1 || memory[i * 512] != turn - 1) is_torn = 1;
            pages[i * 512] = turn;
        }
    return NULL;
}

static void *writing_file(void *argument) {
    (void)argument;
    for (uint64_t turn = 1, found; !stop; turn++)
        for (size_t i = 0; i < 256; i++) {
            need(pread(file, &found, 8, (off_t)i * 4096) == 8);
            if (found != turn - 1) is_file_torn = 1;
            need(pwrite(file, &turn, 8, (off_t)i * 4096) == 8);
        }
    return NULL;
}

int main(void) {
    memory = mmap(NULL, PAGES * 4096ul, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    file = memfd_create("blocks", 0);
    need(memory != MAP_FAILED && file >= 0 && ftruncate(file, 256 * 4096) == 0);
    other = mremap(memory, 0, PAGES * 4096ul, MREMAP_MAYMOVE);
    uint64_t *blocks = mmap(NULL, 256 * 4096, PROT_READ, MAP_SHARED, file, 0);
    need(other != MAP_FAILED && blocks != MAP_FAILED);
    fixture_begin();
    pthread_t threads[2];
    need(pthread_create(&threads[0], NULL, writing, NULL) == 0 && pthread_create(&threads[1], NULL, writing_file, NULL) == 0);

    fixture_checkpoint_here();

    stop = 1;
    need(pthread_join(threads[0], NULL) == 0 && pthread_join(threads[1], NULL) == 0);
    fact("written through a mapping: %s", is_torn ? "torn" : "whole");
    fact("written through a descriptor: %s", is_file_torn ? "torn" : "whole");
    uint64_t last;
    fact_that(memory[0] == other[0] && pread(file, &last, 8, 0) == 8 && blocks[0] == last);
    return 0;
}
