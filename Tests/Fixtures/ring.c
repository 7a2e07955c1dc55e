// SPDX-License-Identifier: Apache-2.0
// A thread reads a file by io_uring all the while, each time with a new ring and by a worker of the kernel; checkpoints come
// between two rings. The workers stay when their rings are gone.
#include "blocks.h"
#include <liburing.h>

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
    return read_deferring(read_block);
}

int main(void) {
    make_blocks("ring.data");
    read_across_checkpoint(reading);
    return 0;
}
