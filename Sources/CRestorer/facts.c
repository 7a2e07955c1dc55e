// SPDX-License-Identifier: Apache-2.0
// What plan time needs of C. Plan time.
#define _GNU_SOURCE
#include "include/ckpt_restorer.h"
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <ucontext.h>
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

static struct ckpt_vector own_vector;

// Kernel: struct _fpx_sw_bytes at 464 of the vector state: magic1, extended_size, xfeatures, xstate_size; MXCSR_MASK at 28.
static void see_vector(int signal, siginfo_t *information, void *context) {
    (void)signal, (void)information;
    const uint8_t *vector = (const uint8_t *)((const ucontext_t *)context)->uc_mcontext.fpregs;
    if (!vector) return;
    const uint32_t *software = (const uint32_t *)(vector + 464);
    own_vector.mxcsr_mask = *(const uint32_t *)(vector + 28);
    if (own_vector.mxcsr_mask == 0) own_vector.mxcsr_mask = 0xffbf;
    if (software[0] != CKPT_VECTOR_MAGIC1) return;
    own_vector.states = *(const uint64_t *)(vector + 472);
    own_vector.byte_count = software[4];
}

struct ckpt_vector ckpt_own_vector(void) {
    // One that is ignored by default: if somebody else sends it now, nothing is lost.
    struct sigaction action = {.sa_flags = SA_SIGINFO}, before;
    sigset_t wanted, mask;
    own_vector = (struct ckpt_vector){.states = 3, .byte_count = 512};
    action.sa_sigaction = see_vector;
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGURG);
    if (sigaction(SIGURG, &action, &before) != 0) return own_vector;
    sigprocmask(SIG_UNBLOCK, &wanted, &mask);
    raise(SIGURG);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    sigaction(SIGURG, &before, NULL);
    return own_vector;
}

int64_t ckpt_next_vector(const void *bytes, uint64_t byte_count, uint64_t start) {
    // An XSAVE area lies at a multiple of 64.
    for (uint64_t i = (start + 47) / 64 * 64 + 16; i + 4 <= byte_count; i += 64)
        if (*(const uint32_t *)((const uint8_t *)bytes + i) == CKPT_VECTOR_MAGIC1) return (int64_t)i;
    return -1;
}

const char *ckpt_restart_step_text(uint32_t step) {
    static const char *const texts[] = {
#define X(name, text) text,
        CKPT_RESTART_STEP_LIST(X)
#undef X
    };
    return step < CKPT_RESTART_STEP_COUNT ? texts[step] : "";
}
