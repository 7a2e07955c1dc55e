// SPDX-License-Identifier: Apache-2.0
// A thread reads a file past the page cache all the while: what arrives in memory by direct I/O is in the image.
#include "blocks.h"

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
    make_blocks("direct.data");
    close(file);
    file = open("direct.data", O_RDONLY | O_DIRECT);
    // Not every file system has it.
    if (file < 0) file = open("direct.data", O_RDONLY);
    need(file >= 0);
    read_across_checkpoint(reading);
    return 0;
}
