// SPDX-License-Identifier: Apache-2.0
// A file of blocks, and slots in memory into which a thread reads them all the while: what is in a slot tells which block it was.
#ifndef BLOCKS_H
#define BLOCKS_H

#include "fixture.h"

#define BLOCK 65536u
#define BLOCKS 64
#define SLOTS 32

static unsigned char *slots;
static int from[SLOTS], file; // -1: the slot has no block
static volatile int stop;

// Writes the file, and leaves it open for reading and writing.
static void make_blocks(const char *path) {
    unsigned char *block = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    slots = mmap(NULL, SLOTS * BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    need(block != MAP_FAILED && slots != MAP_FAILED);
    file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    need(file >= 0);
    for (int i = 0; i < BLOCKS; i++) {
        fill(block, BLOCK, 1000 + (uint64_t)i);
        need(write(file, block, BLOCK) == BLOCK);
    }
    memset(from, -1, sizeof from);
}

// Reads blocks until it is told to stop; checkpoints come between two. `read_block` returns the bytes, 0 where it is to be asked again
// later, or a negative number.
__attribute__((unused)) static void *read_deferring(int (*read_block)(unsigned slot, unsigned block)) {
    for (unsigned turn = 0; !stop; turn++) {
        unsigned slot = turn * 7 % SLOTS, block = turn * 2654435761u % BLOCKS;
        need(ckpt_defer_begin() == 0);
        from[slot] = -1;
        int result = read_block(slot, block);
        if (result == (int)BLOCK) from[slot] = (int)block;
        need(ckpt_defer_end() == 0);
        if (result < 0) return "a read failed";
        if (result == 0) fixture_sleep(1);
    }
    return "every read had its bytes";
}

// The three acts: the thread reads across the checkpoint, and says how it went.
static void read_across_checkpoint(void *(*reading)(void *)) {
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
}
#endif
