// SPDX-License-Identifier: Apache-2.0
// Condition variables, semaphores and read-write locks with threads waiting on them across the checkpoint.
#include "fixture.h"
#include <semaphore.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static sem_t semaphore;
static int stage, woken, waiting;

static void *wait_for_condition(void *unused) {
    (void)unused;
    pthread_mutex_lock(&mutex);
    waiting++;
    while (stage == 0) pthread_cond_wait(&changed, &mutex);
    woken++;
    pthread_mutex_unlock(&mutex);
    return NULL;
}
static void *wait_for_semaphore(void *unused) {
    (void)unused;
    __atomic_add_fetch(&waiting, 1, __ATOMIC_SEQ_CST);
    while (sem_wait(&semaphore) != 0) need(errno == EINTR);
    __atomic_add_fetch(&woken, 1, __ATOMIC_SEQ_CST);
    return NULL;
}
static void *wait_for_lock(void *unused) {
    (void)unused;
    __atomic_add_fetch(&waiting, 1, __ATOMIC_SEQ_CST);
    need(pthread_rwlock_wrlock(&lock) == 0);
    __atomic_add_fetch(&woken, 1, __ATOMIC_SEQ_CST);
    pthread_rwlock_unlock(&lock);
    return NULL;
}
static void join(pthread_t *threads, int count) { for (int i = 0; i < count; i++) need(pthread_join(threads[i], NULL) == 0); }

int main(void) {
    fixture_begin();
    sem_init(&semaphore, 0, 0);
    need(pthread_rwlock_rdlock(&lock) == 0);
    pthread_t conditions[4], semaphores[2], locks[2];
    for (int i = 0; i < 4; i++) need(pthread_create(&conditions[i], NULL, wait_for_condition, NULL) == 0);
    for (int i = 0; i < 2; i++) need(pthread_create(&semaphores[i], NULL, wait_for_semaphore, NULL) == 0);
    for (int i = 0; i < 2; i++) need(pthread_create(&locks[i], NULL, wait_for_lock, NULL) == 0);
    while (__atomic_load_n(&waiting, __ATOMIC_SEQ_CST) < 8) fixture_sleep(1);

    fixture_checkpoint_here();

    fact("%d were woken before", woken);
    pthread_mutex_lock(&mutex);
    stage = 1;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
    join(conditions, 4);
    fact("%d are woken by the condition", woken);
    sem_post(&semaphore);
    sem_post(&semaphore);
    join(semaphores, 2);
    fact("%d are woken by the semaphore", woken);
    pthread_rwlock_unlock(&lock);
    join(locks, 2);
    fact("%d are woken by the lock", woken);
    return 0;
}
