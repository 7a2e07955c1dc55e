// SPDX-License-Identifier: Apache-2.0
// Vector registers are kept wherever they are across the checkpoint: in the frame of a thread that was stopped, and in the frame
// below a handler of the program's that still runs. Argument: ymm or zmm, the widest registers that are used.
#include "fixture.h"

#define SSE_ALL(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)
#define CLOBBER "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", \
    "xmm12", "xmm13", "xmm14", "xmm15"

// A driver that makes the image one of another processor puts frames here that are larger than those of this one.
struct { uint64_t mark, address; uint8_t bytes[1 << 16]; } room __attribute__((aligned(4096)));

static uint8_t before[16 * 64] __attribute__((aligned(64)));
static volatile int released, in_handler, looping;
struct holder { uint8_t after[16 * 64] __attribute__((aligned(64))); volatile int stop; pthread_t thread; };
static struct holder holders[2];
static void (*hold)(struct holder *);

#define HOLD(name, features, kind) \
    __attribute__((target(features))) static void name(struct holder *holder) { \
        __asm__ volatile(SSE_ALL(LOAD_##kind) "lock incl %[looping]\n\t1: pause\n\tcmpl $0, (%[stop])\n\tje 1b\n\t" SSE_ALL(STORE_##kind) "vzeroupper" \
            : [looping] "+m"(looping) : [from] "r"(before), [to] "r"(holder->after), [stop] "r"(&holder->stop) : CLOBBER); \
    }
#define LOAD_ymm(n) "vmovaps " #n "*64(%[from]), %%ymm" #n "\n\t"
#define STORE_ymm(n) "vmovaps %%ymm" #n ", " #n "*64(%[to])\n\t"
#define LOAD_zmm(n) "vmovaps " #n "*64(%[from]), %%zmm" #n "\n\t"
#define STORE_zmm(n) "vmovaps %%zmm" #n ", " #n "*64(%[to])\n\t"
HOLD(hold_ymm, "avx", ymm)
HOLD(hold_zmm, "avx512f", zmm)

static void handle(int number) {
    (void)number;
    in_handler = 1;
    while (!released) fixture_sleep(1);
}
static void *work(void *holder) {
    hold(holder);
    return NULL;
}

int main(int count, char **arguments) {
    fixture_begin();
    int is_wide = count > 1 && strcmp(arguments[1], "zmm") == 0;
    if (is_wide ? !__builtin_cpu_supports("avx512f") : !__builtin_cpu_supports("avx")) {
        fixture_checkpoint_here();
        fact("this processor has no such registers");
        return 0;
    }
    hold = is_wide ? hold_zmm : hold_ymm;
    room.mark = 0x6d6f6f7220656874u;
    room.address = (uintptr_t)&room;
    memset(room.bytes, 0xa5, sizeof room.bytes);
    for (size_t i = 0; i < sizeof before; i++) before[i] = (uint8_t)(i * 7 + 1);
    struct sigaction action = { .sa_handler = handle };
    need(sigaction(SIGUSR2, &action, NULL) == 0);
    for (int i = 0; i < 2; i++) need(pthread_create(&holders[i].thread, NULL, work, &holders[i]) == 0);
    while (looping != 2) fixture_sleep(1);
    need(pthread_kill(holders[1].thread, SIGUSR2) == 0);
    while (!in_handler) fixture_sleep(1);

    fixture_checkpoint_here();

    released = 1;
    for (int i = 0; i < 2; i++) {
        holders[i].stop = 1;
        pthread_join(holders[i].thread, NULL);
        int wrong = 0;
        for (int k = 0; k < 16; k++) wrong += memcmp(before + k * 64, holders[i].after + k * 64, is_wide ? 64 : 32) != 0;
        fact("%s: %d registers are wrong", i == 0 ? "the thread that was stopped" : "the one whose handler was stopped", wrong);
    }
    return 0;
}
