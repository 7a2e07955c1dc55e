// SPDX-License-Identifier: Apache-2.0
// A hundred threads, each at another depth of its stack.
#include "fixture.h"

#define THREADS 100
static pthread_barrier_t started;
static int released;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

static long descend(int depth) {
    volatile long here = depth;
    if (depth > 0) return descend(depth - 1) + here;
    pthread_barrier_wait(&started);
    pthread_mutex_lock(&mutex);
    while (!released) pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
    return here;
}
static void *work(void *index) { return (void *)descend((int)(intptr_t)index); }

int main(void) {
    fixture_begin();
    pthread_t threads[THREADS];
    pthread_barrier_init(&started, NULL, THREADS + 1);
    for (intptr_t i = 0; i < THREADS; i++) need(pthread_create(&threads[i], NULL, work, (void *)i) == 0);
    pthread_barrier_wait(&started);
    fixture_checkpoint_here();
    pthread_mutex_lock(&mutex);
    released = 1;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
    long sum = 0;
    for (int i = 0; i < THREADS; i++) {
        void *result;
        need(pthread_join(threads[i], &result) == 0);
        sum += (long)result;
    }
    fact("the sum of all threads is %ld", sum);
    return 0;
}
