// SPDX-License-Identifier: Apache-2.0
// Raw system calls: the only door to the kernel. Results are as the kernel returns them: negative errno on failure.
// Signal time: safe. No errno, no libc, no cancellation point.
#ifndef CKPT_SYSTEM_H
#define CKPT_SYSTEM_H

#include <asm/unistd.h>
#include <stddef.h>
#include <stdint.h>

#ifdef CKPT_FAULTS
// Test builds: calls of the scribe, its helpers and its child are counted, and one of them goes wrong (Tests/Engine/faulty.c).
long ckpt_faulty_call(long number, long a, long b, long c, long d, long e, long f);
#define CKPT_KERNEL_CALL ckpt_kernel_call
#else
#define CKPT_KERNEL_CALL ckpt_call6
#endif

static inline long CKPT_KERNEL_CALL(long number, long a, long b, long c, long d, long e, long f) {
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
    return result;
}
#ifdef CKPT_FAULTS
static inline long ckpt_call6(long number, long a, long b, long c, long d, long e, long f) { return ckpt_faulty_call(number, a, b, c, d, e, f); }
#endif
#define CKPT_CALL_(n, a, b, c, d, e, f, ...) \
    ckpt_call6((n), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
#define ckpt_call(...) CKPT_CALL_(__VA_ARGS__, 0, 0, 0, 0, 0, 0)

static inline long ckpt_open(const char *path, int flags, int mode) { return ckpt_call(__NR_openat, -100, path, flags, mode); }
static inline long ckpt_openat(int directory, const char *path, int flags) { return ckpt_call(__NR_openat, directory, path, flags, 0); }
static inline long ckpt_close(int descriptor) { return ckpt_call(__NR_close, descriptor); }
static inline long ckpt_read(int descriptor, void *buffer, size_t byte_count) { return ckpt_call(__NR_read, descriptor, buffer, byte_count); }
static inline long ckpt_pread(int descriptor, void *buffer, size_t byte_count, uint64_t offset) { return ckpt_call(__NR_pread64, descriptor, buffer, byte_count, offset); }
static inline long ckpt_pwrite(int descriptor, const void *buffer, size_t byte_count, uint64_t offset) { return ckpt_call(__NR_pwrite64, descriptor, buffer, byte_count, offset); }
static inline long ckpt_write(int descriptor, const void *buffer, size_t byte_count) { return ckpt_call(__NR_write, descriptor, buffer, byte_count); }
static inline long ckpt_getpid(void) { return ckpt_call(__NR_getpid); }
static inline long ckpt_gettid(void) { return ckpt_call(__NR_gettid); }
static inline void ckpt_exit_group(int status) { for (;;) ckpt_call(__NR_exit_group, status); }
static inline void ckpt_yield(void) { ckpt_call(__NR_sched_yield); }
static inline long ckpt_unlinkat(int directory, const char *path) { return ckpt_call(__NR_unlinkat, directory, path, 0); }

// Kernel: `seconds, nanoseconds` of struct __kernel_timespec.
struct ckpt_timespec { int64_t seconds, nanoseconds; };
static inline uint64_t ckpt_clock(int clock) {
    struct ckpt_timespec now = {0, 0};
    ckpt_call(__NR_clock_gettime, clock, &now);
    return (uint64_t)now.seconds * 1000000000ull + (uint64_t)now.nanoseconds;
}
#define CKPT_CLOCK_REALTIME 0
#define CKPT_CLOCK_MONOTONIC 1
#define CKPT_CLOCK_BOOTTIME 7

// Kernel: a private futex is keyed by the address space, which the scribe shares (futex(2)).
// timeout_ns 0: no limit.
static inline long ckpt_futex_wait(uint32_t *word, uint32_t value, uint64_t timeout_ns) {
    struct ckpt_timespec timeout = {(int64_t)(timeout_ns / 1000000000ull), (int64_t)(timeout_ns % 1000000000ull)};
    return ckpt_call(__NR_futex, word, 128 /* FUTEX_WAIT_PRIVATE */, value, timeout_ns ? &timeout : NULL, 0, 0);
}
static inline void ckpt_futex_wake(uint32_t *word) { ckpt_call(__NR_futex, word, 129 /* FUTEX_WAKE_PRIVATE */, 0x7fffffff, 0, 0, 0); }
static inline void ckpt_sleep(uint64_t nanoseconds) {
    struct ckpt_timespec time = {0, (int64_t)nanoseconds};
    ckpt_call(__NR_nanosleep, &time, NULL);
}

#define ckpt_load(p) __atomic_load_n((p), __ATOMIC_SEQ_CST)
#define ckpt_store(p, v) __atomic_store_n((p), (v), __ATOMIC_SEQ_CST)
#define ckpt_exchange(p, v) __atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST)
#define ckpt_add(p, v) __atomic_add_fetch((p), (v), __ATOMIC_SEQ_CST)
static inline int ckpt_swap_if(uint32_t *word, uint32_t from, uint32_t to) {
    return __atomic_compare_exchange_n(word, &from, to, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

#define CKPT_EPERM 1
#define CKPT_ENOENT 2
#define CKPT_ESRCH 3
#define CKPT_EINTR 4
#define CKPT_EAGAIN 11
#define CKPT_ENOMEM 12
#define CKPT_EACCES 13
#define CKPT_EFAULT 14
#define CKPT_EEXIST 17
#define CKPT_EBUSY_ERRNO 16
#define CKPT_EINVAL_ERRNO 22
#define CKPT_ENOSPC 28
#define CKPT_ENOSYS 38
#define CKPT_EOPNOTSUPP 95
#define CKPT_ETIMEDOUT 110
#define CKPT_ECANCELED 125
#endif
