// SPDX-License-Identifier: Apache-2.0
// Excluded memory: dead bytes are zero after a restart, read-only ones and all their neighbours as they were.
// What it prints differs between a run that is restarted and one that is not: a driver of its own knows both.
#include "fixture.h"

#define MIB (1024 * 1024)
#define DEAD_BYTES (32 * MIB)

static const char *state(const unsigned char *bytes, size_t from, size_t to, const unsigned char *expected) {
    int zero = 1, kept = 1;
    for (size_t i = from; i < to; i++) {
        zero &= bytes[i] == 0;
        kept &= bytes[i] == expected[i];
    }
    return kept ? "kept" : zero ? "zero" : "something else";
}
static unsigned char *map(void *at, size_t byte_count) {
    void *block = mmap(at, byte_count, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | (at ? MAP_FIXED : 0), -1, 0);
    need(block != MAP_FAILED);
    return block;
}
static void *sleeping_thread(void *at) {
    char mark;
    __atomic_store_n((void **)at, &mark, __ATOMIC_SEQ_CST);
    for (;;) pause();
    return NULL;
}

int main(void) {
    unsigned char *dead = map(NULL, DEAD_BYTES), *bytes = map(NULL, MIB), *expected = map(NULL, MIB);
    unsigned char *constant = map(NULL, 4 * MIB), *again = map(NULL, MIB), *returned = map(NULL, MIB);
    fill(dead, DEAD_BYTES, 1);
    fill(bytes, MIB, 2);
    fill(expected, MIB, 2);
    fill(constant, 4 * MIB, 3);
    fill(again, MIB, 4);
    fill(returned, MIB, 5);
    // Before checkpoints are enabled.
    int whole = ckpt_exclude(dead, DEAD_BYTES, CKPT_DEAD);
    fixture_begin();
    int part = ckpt_exclude(bytes + 100, 20000, CKPT_DEAD);
    int hole = ckpt_include(bytes + 9000, 10);
    int other = ckpt_exclude(constant, 4 * MIB, CKPT_READ_ONLY);
    int later = ckpt_exclude(again, MIB, CKPT_DEAD);
    int back = ckpt_exclude(returned, MIB, CKPT_DEAD);
    // What is refused.
    char local[64];
    void *elsewhere = NULL;
    pthread_t thread;
    need(pthread_create(&thread, NULL, sleeping_thread, &elsewhere) == 0);
    while (!__atomic_load_n(&elsewhere, __ATOMIC_SEQ_CST)) fixture_sleep(1);
    // Its stack pointer can be known when it waits in the kernel.
    int stack_of_other;
    for (;;) {
        stack_of_other = ckpt_exclude((char *)((uintptr_t)elsewhere & ~4095ul) - 4096, 8192, CKPT_DEAD);
        if (stack_of_other != 0) break;
        need(ckpt_include((char *)((uintptr_t)elsewhere & ~4095ul) - 4096, 8192) == 0);
        fixture_sleep(1);
    }
    int stack = ckpt_exclude(local, sizeof local, CKPT_DEAD), nothing = ckpt_exclude(dead, 0, CKPT_DEAD);
    int kind = ckpt_exclude(dead, 10, 7), wrapping = ckpt_exclude(dead, SIZE_MAX, CKPT_DEAD), nowhere = ckpt_exclude((void *)4096, 10, CKPT_DEAD);
    // An image in which all of that is so; then some is otherwise.
    need(ckpt_now() == CKPT_SAVED);
    need(munmap(again, MIB) == 0 && map(again, MIB) == again);
    fill(again, MIB, 6);
    need(ckpt_include(returned, MIB) == 0);

    fixture_checkpoint_here();

    fact("results: %d %d %d %d %d %d", whole, part, hole, other, later, back);
    fact("refused: %s; %d %d %d %d %d", ckpt_strerror(stack), stack_of_other == stack, nothing == stack, kind == stack, wrapping == stack, nowhere == stack);
    int zero = is_zero(dead, DEAD_BYTES), kept = is_filled(dead, DEAD_BYTES, 1);
    fact("dead memory: %s", zero ? "zero" : kept ? "kept" : "something else");
    fact("before the dead bytes: %s", state(bytes, 0, 100, expected));
    fact("dead bytes: %s", state(bytes, 100, 9000, expected));
    fact("ten bytes included again: %s", state(bytes, 9000, 9010, expected));
    fact("dead bytes behind them: %s", state(bytes, 9010, 20100, expected));
    fact("behind the dead bytes: %s", state(bytes, 20100, MIB, expected));
    fact("read-only memory: %s", is_filled(constant, 4 * MIB, 3) ? "kept" : "not kept");
    fact("new memory where excluded memory was: %s", is_filled(again, MIB, 6) ? "kept" : "not kept");
    fact("memory included again, not written since: %s", is_filled(returned, MIB, 5) ? "kept" : "not kept");
    fact("included twice: %d", ckpt_include(dead, DEAD_BYTES) == 0 && ckpt_include(dead, DEAD_BYTES) == 0);
    return 0;
}
