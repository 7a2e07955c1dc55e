// SPDX-License-Identifier: Apache-2.0
// Every register of the processor is held in a loop of assembly across the checkpoint.
#include "fixture.h"

static volatile int released;
static uint8_t before[32 * 64] __attribute__((aligned(64)));
static __thread uint8_t after[32 * 64] __attribute__((aligned(64)));
static uint64_t masks_before[8], masks_after[8];
static __thread char *result;

static void hold_general(void) {
    uint64_t values[14];
    __asm__ volatile(
        "push %%rbp\n\tpush %%rax\n\tpush %%rdx\n\t"
        "mov $0x1111111111111111, %%rbx\n\tmov $0x2222222222222222, %%rcx\n\tmov $0x3333333333333333, %%rsi\n\t"
        "mov $0x4444444444444444, %%rdi\n\tmov $0x5555555555555555, %%rbp\n\tmov $0x6666666666666666, %%r8\n\t"
        "mov $0x7777777777777777, %%r9\n\tmov $0x8888888888888888, %%r10\n\tmov $0x9999999999999999, %%r11\n\t"
        "mov $0xaaaaaaaaaaaaaaaa, %%r12\n\tmov $0xbbbbbbbbbbbbbbbb, %%r13\n\tmov $0xcccccccccccccccc, %%r14\n\t"
        "mov $0xdddddddddddddddd, %%r15\n\t"
        "1: pause\n\tcmpl $0, (%%rdx)\n\tje 1b\n\t"
        "mov %%rbx, (%%rax)\n\tmov %%rcx, 8(%%rax)\n\tmov %%rsi, 16(%%rax)\n\tmov %%rdi, 24(%%rax)\n\tmov %%rbp, 32(%%rax)\n\t"
        "mov %%r8, 40(%%rax)\n\tmov %%r9, 48(%%rax)\n\tmov %%r10, 56(%%rax)\n\tmov %%r11, 64(%%rax)\n\tmov %%r12, 72(%%rax)\n\t"
        "mov %%r13, 80(%%rax)\n\tmov %%r14, 88(%%rax)\n\tmov %%r15, 96(%%rax)\n\t"
        "pop %%rdx\n\tpop %%rax\n\tpop %%rbp\n\t"
        :: "a"(values), "d"(&released)
        : "rbx", "rcx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc");
    int wrong = 0;
    for (uint64_t i = 0; i < 13; i++) wrong += values[i] != (i + 1) * 0x1111111111111111u;
    sprintf(result, "general registers: %d are wrong", wrong);
}

#define SSE_ALL(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)
#define HIGH_ALL(X) X(16) X(17) X(18) X(19) X(20) X(21) X(22) X(23) X(24) X(25) X(26) X(27) X(28) X(29) X(30) X(31)
#define WAIT "1: pause\n\tcmpl $0, (%2)\n\tje 1b\n\t"

static void hold_sse(void) {
#define LOAD(n) "movaps " #n "*64(%0), %%xmm" #n "\n\t"
#define STORE(n) "movaps %%xmm" #n ", " #n "*64(%1)\n\t"
    __asm__ volatile(SSE_ALL(LOAD) WAIT SSE_ALL(STORE) :: "r"(before), "r"(after), "r"(&released)
        : "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12",
          "xmm13", "xmm14", "xmm15");
#undef LOAD
#undef STORE
    int wrong = 0;
    for (int i = 0; i < 16; i++) wrong += memcmp(before + i * 64, after + i * 64, 16) != 0;
    sprintf(result, "xmm registers: %d are wrong", wrong);
}

__attribute__((target("avx"))) static void hold_avx(void) {
#define LOAD(n) "vmovaps " #n "*64(%0), %%ymm" #n "\n\t"
#define STORE(n) "vmovaps %%ymm" #n ", " #n "*64(%1)\n\t"
    __asm__ volatile(SSE_ALL(LOAD) WAIT SSE_ALL(STORE) "vzeroupper" :: "r"(before), "r"(after), "r"(&released)
        : "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12",
          "xmm13", "xmm14", "xmm15");
#undef LOAD
#undef STORE
    int wrong = 0;
    for (int i = 0; i < 16; i++) wrong += memcmp(before + i * 64, after + i * 64, 32) != 0;
    sprintf(result, "ymm registers: %d are wrong", wrong);
}

__attribute__((target("avx512f,avx512bw"))) static void hold_avx512(void) {
#define LOAD(n) "vmovaps " #n "*64(%0), %%zmm" #n "\n\t"
#define STORE(n) "vmovaps %%zmm" #n ", " #n "*64(%1)\n\t"
#define MASKS(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7)
#define LOAD_MASK(n) "kmovq " #n "*8(%3), %%k" #n "\n\t"
#define STORE_MASK(n) "kmovq %%k" #n ", " #n "*8(%4)\n\t"
    __asm__ volatile(SSE_ALL(LOAD) HIGH_ALL(LOAD) MASKS(LOAD_MASK) WAIT SSE_ALL(STORE) HIGH_ALL(STORE) MASKS(STORE_MASK) "vzeroupper"
        :: "r"(before), "r"(after), "r"(&released), "r"(masks_before), "r"(masks_after)
        : "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12",
          "xmm13", "xmm14", "xmm15", "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26",
          "xmm27", "xmm28", "xmm29", "xmm30", "xmm31", "k1", "k2", "k3", "k4", "k5", "k6", "k7");
    int wrong = memcmp(masks_before, masks_after, sizeof masks_before) != 0;
    for (int i = 0; i < 32; i++) wrong += memcmp(before + i * 64, after + i * 64, 64) != 0;
    sprintf(result, "zmm and mask registers: %d are wrong", wrong);
}

static void hold_x87(void) {
    double in[4] = { 1.5, -2.25, 3e300, 0.1 }, out[4] = { 0 };
    uint16_t control = 0x0c7f, control_after = 0; // rounds to zero
    uint32_t mxcsr = 0x5f80, mxcsr_after = 0;     // rounds up
    uint16_t normal_control = 0x037f;
    uint32_t normal_mxcsr = 0x1f80;
    __asm__ volatile(
        "fldcw %[control]\n\tldmxcsr %[mxcsr]\n\t"
        "fldl (%[in])\n\tfldl 8(%[in])\n\tfldl 16(%[in])\n\tfldl 24(%[in])\n\t"
        "1: pause\n\tcmpl $0, (%[flag])\n\tje 1b\n\t"
        "fstpl 24(%[out])\n\tfstpl 16(%[out])\n\tfstpl 8(%[out])\n\tfstpl (%[out])\n\t"
        "fnstcw %[control_after]\n\tstmxcsr %[mxcsr_after]\n\tfldcw %[normal_control]\n\tldmxcsr %[normal_mxcsr]\n\t"
        : [control_after] "=m"(control_after), [mxcsr_after] "=m"(mxcsr_after)
        : [in] "r"(in), [out] "r"(out), [flag] "r"(&released), [control] "m"(control), [mxcsr] "m"(mxcsr),
          [normal_control] "m"(normal_control), [normal_mxcsr] "m"(normal_mxcsr)
        : "memory", "cc", "st", "st(1)", "st(2)", "st(3)");
    sprintf(result, "x87 stack: %s; control word %04x, mxcsr %04x", memcmp(in, out, sizeof in) == 0 ? "kept" : "lost",
        control_after, mxcsr_after & 0xffc0);
}

typedef struct { void (*hold)(void); char result[200]; pthread_t thread; } holder;
static pthread_barrier_t all_ready;

static void *hold(void *argument) {
    holder *holder = argument;
    result = holder->result;
    pthread_barrier_wait(&all_ready);
    holder->hold();
    return NULL;
}

int main(void) {
    fixture_begin();
    fill(before, sizeof before, 77);
    fill(masks_before, sizeof masks_before, 78);
    static holder holders[5] = { { .hold = hold_general }, { .hold = hold_sse }, { .hold = hold_x87 } };
    int count = 3;
    if (__builtin_cpu_supports("avx")) holders[count++].hold = hold_avx;
    if (__builtin_cpu_supports("avx512bw")) holders[count++].hold = hold_avx512;
    pthread_barrier_init(&all_ready, NULL, (unsigned)count + 1);
    for (int i = 0; i < count; i++) need(pthread_create(&holders[i].thread, NULL, hold, &holders[i]) == 0);
    pthread_barrier_wait(&all_ready);
    fixture_checkpoint_here();
    released = 1;
    for (int i = 0; i < count; i++) {
        pthread_join(holders[i].thread, NULL);
        fact("%s", holders[i].result);
    }
    return 0;
}
