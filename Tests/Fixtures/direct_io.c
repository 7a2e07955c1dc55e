// SPDX-License-Identifier: Apache-2.0
// A thread reads a file past the page cache all the while: what arrives in memory by direct I/O is in the image.
#include "fixture.h"

#define BLOCK 65536
#define BLOCKS 64
#define SLOTS 32

static unsigned char *slots;
static int from[SLOTS], file;
static volatile int stop;

static void *reading(void *unused) {
    (void)unused;
    for (unsigned turn = 0; !stop; turn++) {
        unsigned slot = turn * 7 % SLOTS, block = turn * 2654435761u % BLOCKS;
        from[slot] = -1;
        if (pread(file, slots + slot * BLOCK, BLOCK, (off_t)block * BLOCK) != BLOCK) return "a read failed";
        from[slot] = (int)block;
    }
    return "every read had its bytes";
}

int main(void) {
    unsigned char *block = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    slots = mmap(NULL, SLOTS * BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    need(block != MAP_FAILED && slots != MAP_FAILED);
    file = open("direct.data", O_RDWR | O_CREAT | O_TRUNC, 0600);
    need(file >= 0);
    for (int i = 0; i < BLOCKS; i++) {
        fill(block, BLOCK, 1000 + (uint64_t)i);
        need(write(file, block, BLOCK) == BLOCK);
    }
    close(file);
    file = open("direct.data", O_RDONLY | O_DIRECT);
    // Not every file system has it.
    if (file < 0) file = open("direct.data", O_RDONLY);
    need(file >= 0);
    memset(from, -1, sizeof from);
    fixture_begin();
    pthread_t thread;
    need(pthread_create(&thread, NULL, reading, NULL) == 0);

    fixture_checkpoint_here();

    stop = 1;
    void *said;
    need(pthread_join(thread, &said) == 0);
    fact("%s", (const char *)said);
    int good = 1;
    for (int i = 0; i < SLOTS; i++) good &= from[i] < 0 || is_filled(slots + i * BLOCK, BLOCK, 1000 + (uint64_t)from[i]);
    fact("what was read: %s", good ? "as in the file" : "not as in the file");
    return 0;
}
