// SPDX-License-Identifier: Apache-2.0
// Many threads (a hundred, or as many as the argument says), each at another depth of its stack.
#include "fixture.h"

#define THREADS_MAX 1500
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

int main(int argument_count, char **arguments) {
    fixture_begin();
    int count = argument_count > 1 ? atoi(arguments[1]) : 100;
    need(count > 0 && count <= THREADS_MAX);
    static pthread_t threads[THREADS_MAX];
    pthread_barrier_init(&started, NULL, (unsigned)count + 1);
    for (intptr_t i = 0; i < count; i++) need(pthread_create(&threads[i], NULL, work, (void *)i) == 0);
    pthread_barrier_wait(&started);
    fixture_checkpoint_here();
    pthread_mutex_lock(&mutex);
    released = 1;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
    long sum = 0;
    for (int i = 0; i < count; i++) {
        void *result;
        need(pthread_join(threads[i], &result) == 0);
        sum += (long)result;
    }
    fact("the sum of all threads is %ld", sum);
    return 0;
}
