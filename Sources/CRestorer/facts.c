// SPDX-License-Identifier: Apache-2.0
// What plan time needs of C. Plan time.
#include "include/ckpt_restorer.h"
#include <cpuid.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
#if __has_include(<sys/rseq.h>)
#include <sys/rseq.h>
#define HAS_RSEQ 1
#endif

static int argument_count;
static char **arguments;

// Before the constructors of Swift's runtime: without /proc it finds neither its own path, and then aborts, nor the arguments.
__attribute__((constructor(101))) static void begin(int count, char **values) {
    argument_count = count;
    arguments = values;
    // A request for a checkpoint that comes this early waits for the program instead of ending us; Ctrl-C still does.
    uint64_t requests = ((uint64_t)1 << (SIGUSR1 - 1)) | ((uint64_t)1 << (SIGUSR2 - 1)) | ~(uint64_t)0 << 33;
    ckpt_system_call(14 /* rt_sigprocmask */, SIG_BLOCK, (uint64_t)&requests, 0, 8, 0, 0);
    // Buffers of a page run are used again instead of being given back and zeroed anew, run for run.
    mallopt(M_MMAP_THRESHOLD, 64 << 20);
    mallopt(M_TRIM_THRESHOLD, 256 << 20);
    if (access("/proc/self/exe", F_OK) != 0) setenv("SWIFT_ROOT", "/", 1);
}

const char *ckpt_argument(uint32_t index) { return index < (uint32_t)argument_count ? arguments[index] : NULL; }

int64_t ckpt_system_call(int64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f) {
    int64_t result;
    register uint64_t r10 __asm__("r10") = d;
    register uint64_t r8 __asm__("r8") = e;
    register uint64_t r9 __asm__("r9") = f;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

#ifdef HAS_RSEQ
uint64_t ckpt_own_rseq(void) { return __rseq_size == 0 ? 0 : (uint64_t)__builtin_thread_pointer() + (uint64_t)__rseq_offset; }
// Kernel: the length must be the registered one; glibc registers at least 32 bytes whatever __rseq_size tells.
uint32_t ckpt_own_rseq_byte_count(void) { return __rseq_size < 32 ? 32 : __rseq_size; }
uint32_t ckpt_own_rseq_signature(void) { return RSEQ_SIG; }
#else
uint64_t ckpt_own_rseq(void) { return 0; }
uint32_t ckpt_own_rseq_byte_count(void) { return 0; }
uint32_t ckpt_own_rseq_signature(void) { return 0; }
#endif

uint32_t ckpt_processor_word(uint32_t index) {
    static const struct { uint32_t leaf, subleaf, output; } words[8] = {
        {1, 0, 2}, {1, 0, 3}, {7, 0, 1}, {7, 0, 2}, {7, 0, 3}, {7, 1, 0}, {0x80000001u, 0, 2}, {0x80000001u, 0, 3},
    };
    uint32_t r[4] = {0, 0, 0, 0};
    if (index >= 8 || words[index].leaf > __get_cpuid_max(words[index].leaf & 0x80000000u, 0)) return 0;
    __cpuid_count(words[index].leaf, words[index].subleaf, r[0], r[1], r[2], r[3]);
    return r[words[index].output];
}

uint64_t ckpt_processor_features(void) {
    if (!(ckpt_processor_word(0) & (1u << 27))) return 0; // OSXSAVE
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return ((uint64_t)high << 32) | low;
}

uint32_t ckpt_processor_xsave_byte_count(void) {
    uint32_t a, b, c, d;
    if (__get_cpuid_max(0, 0) < 13) return 512;
    __cpuid_count(13, 0, a, b, c, d);
    return b;
}

const char *ckpt_restart_step_text(uint32_t step) {
    static const char *const texts[] = {
#define X(name, text) text,
        CKPT_RESTART_STEP_LIST(X)
#undef X
    };
    return step < CKPT_RESTART_STEP_COUNT ? texts[step] : "";
}
