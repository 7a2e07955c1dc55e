// SPDX-License-Identifier: Apache-2.0
// Fifty threads that start others and exit, all the while.
#include "fixture.h"

#define THREADS 50
static int stopping, running;
static long started, ended;

static void *run(void *depth) {
    __atomic_add_fetch(&started, 1, __ATOMIC_SEQ_CST);
    pthread_t next;
    pthread_attr_t detached;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&detached, 64 * 1024);
    volatile char *block = malloc(1000 + (size_t)depth % 3000);
    block[0] = 1;
    if (!__atomic_load_n(&stopping, __ATOMIC_SEQ_CST)) {
        if (__atomic_load_n(&ended, __ATOMIC_SEQ_CST) % 64 == 0) fixture_sleep(1);
        while (pthread_create(&next, &detached, run, (char *)depth + 7) != 0) fixture_sleep(1);
    } else __atomic_sub_fetch(&running, 1, __ATOMIC_SEQ_CST);
    free((void *)block);
    __atomic_add_fetch(&ended, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

int main(void) {
    fixture_begin();
    running = THREADS;
    for (intptr_t i = 0; i < THREADS; i++) {
        pthread_t thread;
        need(pthread_create(&thread, NULL, run, (void *)i) == 0 && pthread_detach(thread) == 0);
    }
    fixture_checkpoint_here();
    stopping = 1;
    while (__atomic_load_n(&running, __ATOMIC_SEQ_CST) > 0) fixture_sleep(1);
    while (__atomic_load_n(&started, __ATOMIC_SEQ_CST) != __atomic_load_n(&ended, __ATOMIC_SEQ_CST)) fixture_sleep(1);
    fact("all have ended, many had started: %d", started > 200);
    return 0;
}
