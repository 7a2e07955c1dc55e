// SPDX-License-Identifier: Apache-2.0
// Waits with a time limit that are under way at the checkpoint: they end when they should, by the clock.
// EINTR is a permitted answer of those calls that POSIX lets give it; here they are called again.
#include "fixture.h"
#include <poll.h>
#include <semaphore.h>

#define THREADS 5
static struct timespec limit; // absolute, on CLOCK_MONOTONIC
static pthread_barrier_t started;
static int passed;

static int64_t nanoseconds(struct timespec time) { return time.tv_sec * 1000000000ll + time.tv_nsec; }
static struct timespec now(clockid_t clock) { struct timespec time; clock_gettime(clock, &time); return time; }

static void *wait_in_condition(void *unused) {
    (void)unused;
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t never = PTHREAD_COND_INITIALIZER;
    pthread_mutex_lock(&mutex);
    pthread_barrier_wait(&started);
    int error;
    do error = pthread_cond_clockwait(&never, &mutex, CLOCK_MONOTONIC, &limit); while (error == 0);
    return strerror(error);
}
static void *wait_in_semaphore(void *unused) {
    (void)unused;
    sem_t never;
    sem_init(&never, 0, 0);
    pthread_barrier_wait(&started);
    int error;
    do error = sem_clockwait(&never, CLOCK_MONOTONIC, &limit); while (error != 0 && errno == EINTR);
    return strerror(errno);
}
static void *wait_in_lock(void *held) {
    pthread_barrier_wait(&started);
    int error;
    do error = pthread_mutex_clocklock(held, CLOCK_MONOTONIC, &limit); while (error == EINTR);
    return strerror(error);
}
static void *wait_in_sleep(void *unused) {
    (void)unused;
    pthread_barrier_wait(&started);
    int error;
    do error = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &limit, NULL); while (error == EINTR);
    return strerror(error);
}
static void *wait_in_poll(void *unused) {
    (void)unused;
    pthread_barrier_wait(&started);
    for (;;) {
        int64_t left = nanoseconds(limit) - nanoseconds(now(CLOCK_MONOTONIC));
        int result = poll(NULL, 0, left < 0 ? 0 : (int)(left / 1000000) + 1);
        if (result == 0) return "Timeout of poll";
        if (errno != EINTR) return strerror(errno);
    }
}

int main(void) {
    fixture_begin();
    static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&held);
    limit = now(CLOCK_MONOTONIC);
    limit.tv_sec += 1;
    pthread_barrier_init(&started, NULL, THREADS + 1);
    void *(*waits[THREADS])(void *) = { wait_in_condition, wait_in_semaphore, wait_in_lock, wait_in_sleep, wait_in_poll };
    const char *names[THREADS] = { "condition", "semaphore", "mutex", "sleep", "poll" };
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) need(pthread_create(&threads[i], NULL, waits[i], &held) == 0);
    pthread_barrier_wait(&started);
    fixture_checkpoint_here();
    for (int i = 0; i < THREADS; i++) {
        void *result;
        need(pthread_join(threads[i], &result) == 0);
        passed += nanoseconds(now(CLOCK_MONOTONIC)) >= nanoseconds(limit);
        fact("%s: %s", names[i], (char *)result);
    }
    fact("%d ended not before their time", passed);
    return 0;
}
