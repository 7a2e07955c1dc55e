// SPDX-License-Identifier: Apache-2.0
// The engine's door to the kernel in test builds: the n-th call goes wrong as ordered. System calls only.
#include "system.h"
#include "faulty.h"

struct faulty *faulty;
int64_t clock_jump_ns;

// Calls that fail when a disk or the kernel's tables are full or broken. The others cannot, and are passed on.
static int can_fail(long number) {
    switch (number) {
    case __NR_read: case __NR_pread64: case __NR_write: case __NR_pwrite64: case __NR_openat: case __NR_fsync: case __NR_linkat:
    case __NR_renameat: case __NR_mkdirat: case __NR_unlinkat: case __NR_getdents64: case __NR_newfstatat: case __NR_fstat:
    case __NR_pipe2: case __NR_ioctl: case __NR_readlinkat: case __NR_clone: case __NR_ftruncate: case __NR_fcntl: case __NR_flock:
        return 1;
    default: return 0;
    }
}

static int moves_bytes(long number) { return number == __NR_read || number == __NR_pread64 || number == __NR_write || number == __NR_pwrite64; }

static long tell_time(struct ckpt_timespec *time) {
    long result = ckpt_kernel_call(__NR_clock_gettime, CKPT_CLOCK_REALTIME, (long)time, 0, 0, 0, 0);
    time->seconds += clock_jump_ns / 1000000000;
    return result;
}

long ckpt_faulty_call(long number, long a, long b, long c, long d, long e, long f) {
    if (number == __NR_clock_gettime && a == CKPT_CLOCK_REALTIME) return tell_time((struct ckpt_timespec *)b);
    if (!faulty || !faulty->at || ckpt_kernel_call(__NR_getpid, 0, 0, 0, 0, 0, 0) == faulty->program) return ckpt_kernel_call(number, a, b, c, d, e, f);
    if (__atomic_add_fetch(&faulty->count, 1, __ATOMIC_SEQ_CST) == faulty->at) {
        static const long errors[FAULTS] = {[FAULT_EIO] = -5, [FAULT_ENOSPC] = -CKPT_ENOSPC, [FAULT_EINTR] = -CKPT_EINTR};
        faulty->number = number;
        if (faulty->fault == FAULT_KILL || faulty->fault == FAULT_KILL_PROGRAM) {
            faulty->fired = 1;
            long victim = faulty->fault == FAULT_KILL ? ckpt_kernel_call(__NR_getpid, 0, 0, 0, 0, 0, 0) : faulty->program;
            ckpt_kernel_call(__NR_kill, victim, 9, 0, 0, 0, 0);
        } else if (faulty->fault == FAULT_SHORT) {
            faulty->fired = moves_bytes(number) && c > 1;
            if (faulty->fired) c /= 2;
        } else if (can_fail(number)) {
            faulty->fired = 1;
            return errors[faulty->fault];
        }
    }
    return ckpt_kernel_call(number, a, b, c, d, e, f);
}
