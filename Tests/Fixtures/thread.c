// SPDX-License-Identifier: Apache-2.0
// Eight threads: names, thread-local storage, ids that agree with what glibc and the kernel hold, and the join after it.
#include "fixture.h"
#include <sys/prctl.h>
#include <sys/rseq.h>

#define THREADS 8
static __thread int local = -1;
static __thread char local_array[4096];
static pthread_barrier_t started, released;
static pthread_t threads[THREADS];
static char lines[THREADS][200];

// What the kernel keeps up to date where rseq is registered.
static int is_on_a_processor(void) {
    if (__rseq_size == 0) return 1;
    struct rseq *area = (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);
    int processor = (int)*(volatile uint32_t *)&area->cpu_id;
    return processor >= 0 && processor < 65536;
}

static void *work(void *argument) {
    int index = (int)(intptr_t)argument;
    char name[16];
    snprintf(name, sizeof name, "fixture-%d", index);
    pthread_setname_np(pthread_self(), name);
    local = index * 10;
    memset(local_array, index, sizeof local_array);
    pthread_t self = pthread_self();
    pthread_barrier_wait(&started);
    pthread_barrier_wait(&released);
    char found[16] = "", kernel[16] = "";
    pthread_getname_np(pthread_self(), found, sizeof found);
    prctl(PR_GET_NAME, kernel);
    // An error-checking mutex asks glibc's copy of the id; tgkill asks the kernel.
    pthread_mutexattr_t checking;
    pthread_mutexattr_init(&checking);
    pthread_mutexattr_settype(&checking, PTHREAD_MUTEX_ERRORCHECK);
    pthread_mutex_t mutex;
    pthread_mutex_init(&mutex, &checking);
    pthread_mutex_lock(&mutex);
    int owner_is_me = mutex.__data.__owner == gettid();
    int deadlock = pthread_mutex_lock(&mutex) == EDEADLK;
    pthread_mutex_unlock(&mutex);
    snprintf(lines[index], sizeof lines[index], "thread %d: %s %s, local %d %d, self %d, owner %d, deadlock %d, kill %d, tgkill %d, rseq %d", index,
        found, strcmp(found, kernel) == 0 ? "agrees" : kernel, local, local_array[4095], pthread_equal(self, pthread_self()) != 0,
        owner_is_me, deadlock, pthread_kill(self, 0), (int)syscall(SYS_tgkill, getpid(), gettid(), 0), is_on_a_processor());
    return (void *)(intptr_t)(index * 1000);
}

int main(void) {
    fixture_begin();
    prctl(PR_SET_NAME, "fixture main");
    pthread_barrier_init(&started, NULL, THREADS + 1);
    pthread_barrier_init(&released, NULL, THREADS + 1);
    for (intptr_t i = 0; i < THREADS; i++) need(pthread_create(&threads[i], NULL, work, (void *)i) == 0);
    pthread_barrier_wait(&started);
    fixture_checkpoint_here();
    char name[16];
    prctl(PR_GET_NAME, name);
    fact("the first thread is %s, its id is that of the process: %s", name, gettid() == getpid() ? "yes" : "no");
    int alive = 0;
    for (int i = 0; i < THREADS; i++) alive += pthread_kill(threads[i], 0) == 0;
    fact("%d threads can be signalled", alive);
    pthread_barrier_wait(&released);
    for (int i = 0; i < THREADS; i++) {
        void *result;
        need(pthread_join(threads[i], &result) == 0);
        fact("%s, result %ld", lines[i], (long)(intptr_t)result);
    }
    pthread_t another;
    need(pthread_create(&another, NULL, fixture_waiter, NULL) == 0);
    fact_that(pthread_join(another, NULL) == 0);
    return 0;
}
