// SPDX-License-Identifier: Apache-2.0
// Secrets in excluded memory: whole pages, a part of a page whose rest is written all the while, a part of the heap. They are made
// in place, anew all the time, so that they are nowhere else. Argument "open": they are not excluded, and a search must find them.
#include "fixture.h"

#define MIB (1024 * 1024)
static uint8_t *pages, *part, *heap;
static volatile int ended;

// 16 bytes, not in the executable as such.
static void make(uint8_t *at, size_t byte_count) {
    static const volatile uint8_t coded[16] = {0x3e,0x38,0x29,0x63,0x7a,0x14,0x35,0x38,0x35,0x3e,0x23,0x7a,0x3f,0x36,0x29,0x3f};
    for (size_t i = 0; i < byte_count; i++) ((volatile uint8_t *)at)[i] = coded[i % 16] ^ 0x5a;
}
static void *work(void *unused) {
    (void)unused;
    for (uint64_t turn = 0; !ended; turn++) {
        make(pages + turn % 16 * 65536, 4096);
        make(part + 100, 160);
        part[turn % 100] = part[260 + turn % 3800] = (uint8_t)turn;
        make(heap + 64, 4800);
        fixture_sleep(1);
    }
    return NULL;
}

int main(int count, char **arguments) {
    (void)arguments;
    fixture_begin();
    pages = mmap(NULL, 2 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    need(pages != MAP_FAILED);
    part = pages + MIB + 4096;
    heap = malloc(8192);
    if (count == 1) need(ckpt_exclude(pages, MIB, CKPT_DEAD) == 0 && ckpt_exclude(part + 100, 160, CKPT_DEAD) == 0
        && ckpt_exclude(heap + 64, 4800, CKPT_DEAD) == 0);
    make(pages, MIB);
    pthread_t thread;
    need(pthread_create(&thread, NULL, work, NULL) == 0);
    fixture_checkpoint_here();
    ended = 1;
    pthread_join(thread, NULL);
    fact("ended");
    return 0;
}
