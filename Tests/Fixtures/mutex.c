// SPDX-License-Identifier: Apache-2.0
// A mutex that is held across the checkpoint, with a thread waiting for it; the kind is the argument:
// normal, recursive, checking, robust, inheriting, inheriting-robust, robust-orphan.
#include "fixture.h"

static pthread_mutex_t mutex;
static int shared = 1, waiting;

static void *wait_for_it(void *unused) {
    (void)unused;
    __atomic_store_n(&waiting, 1, __ATOMIC_SEQ_CST);
    int error = pthread_mutex_lock(&mutex);
    int consistent = error == EOWNERDEAD ? pthread_mutex_consistent(&mutex) : 0;
    int seen = shared;
    shared = 3;
    int unlocked = pthread_mutex_unlock(&mutex);
    static char line[100];
    snprintf(line, sizeof line, "the other locks: %s (%d), sees %d, unlocks: %s", strerror(error), consistent, seen, strerror(unlocked));
    return line;
}
static pthread_barrier_t orphan_holds, orphan_ends;
static void *end_as_owner(void *unused) {
    (void)unused;
    need(pthread_mutex_lock(&mutex) == 0);
    pthread_barrier_wait(&orphan_holds);
    pthread_barrier_wait(&orphan_ends);
    return NULL;
}

int main(int count, char **arguments) {
    fixture_begin();
    const char *kind = count > 1 ? arguments[1] : "normal";
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    if (strstr(kind, "recursive")) pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    if (strstr(kind, "checking")) pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK);
    if (strstr(kind, "process-shared")) pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    if (strstr(kind, "robust")) pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    if (strstr(kind, "inheriting")) pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT);
    need(pthread_mutex_init(&mutex, &attributes) == 0);

    pthread_t orphan, other;
    int orphaned = strstr(kind, "orphan") != NULL;
    if (orphaned) {
        pthread_barrier_init(&orphan_holds, NULL, 2);
        pthread_barrier_init(&orphan_ends, NULL, 2);
        need(pthread_create(&orphan, NULL, end_as_owner, NULL) == 0);
        pthread_barrier_wait(&orphan_holds);
    } else {
        need(pthread_mutex_lock(&mutex) == 0);
        if (strstr(kind, "recursive")) need(pthread_mutex_lock(&mutex) == 0);
    }
    need(pthread_create(&other, NULL, wait_for_it, NULL) == 0);
    while (!__atomic_load_n(&waiting, __ATOMIC_SEQ_CST)) fixture_sleep(1);
    fixture_sleep(5); // it is most likely inside its futex call now; either way the output is the same

    fixture_checkpoint_here();

    if (orphaned) {
        pthread_barrier_wait(&orphan_ends);
        pthread_join(orphan, NULL);
    } else {
        if (strstr(kind, "recursive")) {
            fact("locking it a third time: %s", strerror(pthread_mutex_lock(&mutex)));
            fact("unlocking: %s", strerror(pthread_mutex_unlock(&mutex)));
            fact("unlocking: %s", strerror(pthread_mutex_unlock(&mutex)));
        }
        if (strstr(kind, "checking")) fact("locking it again: %s", strerror(pthread_mutex_lock(&mutex)));
        fact("trying: %s", strerror(pthread_mutex_trylock(&mutex)));
        if (strstr(kind, "recursive")) pthread_mutex_unlock(&mutex);
        shared = 2;
        fact("unlocking: %s", strerror(pthread_mutex_unlock(&mutex)));
    }
    void *line;
    need(pthread_join(other, &line) == 0);
    fact("%s", (char *)line);
    fact("locking again: %s, it is %d", strerror(pthread_mutex_lock(&mutex)), shared);
    fact("unlocking: %s", strerror(pthread_mutex_unlock(&mutex)));
    return 0;
}
