// SPDX-License-Identifier: Apache-2.0
// A thread reads a file by asynchronous I/O of the kernel (io_submit) past the page cache all the while, each time with a new
// context; checkpoints come between two contexts.
#include "blocks.h"
#include <linux/aio_abi.h>
#include <sys/syscall.h>

static int read_block(unsigned slot, unsigned block) {
    aio_context_t context = 0;
    unsigned char *to = slots + slot * BLOCK;
    // The tracker by mprotect lets the kernel fail where it would have let the program write.
    for (unsigned i = 0; i < BLOCK; i += 4096) *(volatile unsigned char *)(to + i) = 0;
    need(syscall(SYS_io_setup, 4, &context) == 0);
    struct iocb request = {.aio_lio_opcode = IOCB_CMD_PREAD, .aio_fildes = (unsigned)file, .aio_buf = (uint64_t)to, .aio_nbytes = BLOCK, .aio_offset = (int64_t)block * BLOCK};
    struct iocb *requests = &request;
    struct io_event answer;
    need(syscall(SYS_io_submit, context, 1L, &requests) == 1);
    // A checkpoint's signal ends this wait.
    long got;
    do got = syscall(SYS_io_getevents, context, 1L, 1L, &answer, NULL); while (got == -1 && errno == EINTR);
    need(got == 1);
    need(syscall(SYS_io_destroy, context) == 0);
    if (answer.res != BLOCK) fact("a read: %lld", (long long)answer.res);
    return (int)answer.res;
}

static void *reading(void *unused) {
    (void)unused;
    return read_deferring(read_block);
}

int main(void) {
    make_blocks("aio.data");
    close(file);
    file = open("aio.data", O_RDONLY | O_DIRECT);
    // Not every file system has it.
    if (file < 0) file = open("aio.data", O_RDONLY);
    need(file >= 0);
    read_across_checkpoint(reading);
    return 0;
}
