// SPDX-License-Identifier: Apache-2.0
// Each thread has its own mask; one of them blocks all that can be blocked.
#include "fixture.h"

#define THREADS 6
static pthread_barrier_t started, released;
static char lines[THREADS][100];

static void describe_mask(char *line, int index) {
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    uint64_t bits = 0;
    for (int number = 1; number <= 64; number++) if (sigismember(&mask, number) == 1) bits |= 1ull << (number - 1);
    snprintf(line, 100, "thread %d blocks %016llx", index, (unsigned long long)bits);
}

static void *work(void *argument) {
    int index = (int)(intptr_t)argument;
    sigset_t mask;
    if (index == 0) sigfillset(&mask);
    else {
        sigemptyset(&mask);
        sigaddset(&mask, index);
        sigaddset(&mask, SIGRTMIN + index);
        if (index % 2) sigaddset(&mask, SIGUSR1);
    }
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
    pthread_barrier_wait(&started);
    pthread_barrier_wait(&released);
    describe_mask(lines[index], index);
    return NULL;
}

int main(void) {
    fixture_begin();
    pthread_t threads[THREADS];
    pthread_barrier_init(&started, NULL, THREADS + 1);
    pthread_barrier_init(&released, NULL, THREADS + 1);
    for (intptr_t i = 0; i < THREADS; i++) need(pthread_create(&threads[i], NULL, work, (void *)i) == 0);
    pthread_barrier_wait(&started);
    fixture_checkpoint_here();
    char line[100];
    describe_mask(line, -1);
    fact("%s", line);
    pthread_barrier_wait(&released);
    for (int i = 0; i < THREADS; i++) { pthread_join(threads[i], NULL); fact("%s", lines[i]); }
    return 0;
}
