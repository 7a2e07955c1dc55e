// SPDX-License-Identifier: Apache-2.0
// A thread reads a file by io_uring all the while, each time with a new ring and by a worker of the kernel; checkpoints come
// between two rings. The workers stay when their rings are gone.
#include "fixture.h"
#include <liburing.h>

#define BLOCK 65536u
#define BLOCKS 64
#define SLOTS 32

static unsigned char *slots;
static int from[SLOTS], file;
static volatile int stop;

static int read_block(unsigned slot, unsigned block) {
    struct io_uring ring;
    struct io_uring_cqe *answer;
    unsigned char *to = slots + slot * BLOCK;
    // The tracker by mprotect lets the kernel fail where it would have let the program write.
    for (unsigned i = 0; i < BLOCK; i += 4096) *(volatile unsigned char *)(to + i) = 0;
    // Kernel: a ring's memory counts until a worker has taken it down, a moment after it was closed.
    int error = io_uring_queue_init(4, &ring, 0);
    if (error == -ENOMEM) return 0;
    if (error) fact("no ring: %s", strerror(-error));
    struct io_uring_sqe *request = io_uring_get_sqe(&ring);
    io_uring_prep_read(request, file, to, BLOCK, (uint64_t)block * BLOCK);
    io_uring_sqe_set_flags(request, IOSQE_ASYNC);
    need(io_uring_submit(&ring) == 1);
    do error = io_uring_wait_cqe(&ring, &answer); while (error == -EINTR);
    need(error == 0);
    int result = answer->res;
    io_uring_queue_exit(&ring);
    if (result != (int)BLOCK) fact("a read: %d", result);
    return result;
}

static void *reading(void *unused) {
    (void)unused;
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

int main(void) {
    unsigned char *block = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    slots = mmap(NULL, SLOTS * BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    need(block != MAP_FAILED && slots != MAP_FAILED);
    file = open("ring.data", O_RDWR | O_CREAT | O_TRUNC, 0600);
    need(file >= 0);
    for (int i = 0; i < BLOCKS; i++) {
        fill(block, BLOCK, 1000 + (uint64_t)i);
        need(write(file, block, BLOCK) == BLOCK);
    }
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
