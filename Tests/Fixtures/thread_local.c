// SPDX-License-Identifier: Apache-2.0
// Thread-local storage with destructors: keys and what the C++ runtime registers; both run at the end of the thread.
#include "fixture.h"

extern int __cxa_thread_atexit_impl(void (*)(void *), void *, void *);
extern void *__dso_handle;
static pthread_key_t key;
static pthread_barrier_t started, released;
static char order[64];
static __thread int counter;

static void key_ends(void *value) { strcat(order, value); }
static void object_ends(void *value) { strcat(order, value); }

static void *work(void *unused) {
    (void)unused;
    pthread_setspecific(key, "key ");
    __cxa_thread_atexit_impl(object_ends, "object ", &__dso_handle);
    counter = 41;
    pthread_barrier_wait(&started);
    pthread_barrier_wait(&released);
    counter++;
    return pthread_getspecific(key) && counter == 42 ? "kept" : "lost";
}

int main(void) {
    fixture_begin();
    pthread_key_create(&key, key_ends);
    pthread_barrier_init(&started, NULL, 2);
    pthread_barrier_init(&released, NULL, 2);
    pthread_t thread;
    need(pthread_create(&thread, NULL, work, NULL) == 0);
    counter = 7;
    pthread_barrier_wait(&started);
    fixture_checkpoint_here();
    pthread_barrier_wait(&released);
    void *result;
    need(pthread_join(thread, &result) == 0);
    fact("%s; destructors: %s; the first thread's own counter is %d", (char *)result, order, counter);
    return 0;
}
