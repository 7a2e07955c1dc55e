// SPDX-License-Identifier: Apache-2.0
// Signals that are blocked and pending: for the process and for one thread, ordinary and real-time.
#include "fixture.h"

static volatile int received[65];
static __thread int is_target;
static volatile int by_target;
static void handle(int number) { received[number]++; by_target += is_target; }

static pthread_barrier_t started, released;
static void *work(void *unused) {
    (void)unused;
    is_target = 1;
    pthread_barrier_wait(&started);
    pthread_barrier_wait(&released);
    sigset_t pending;
    sigpending(&pending);
    fact("the thread sees pending: USR2 %d, HUP %d, RT %d", sigismember(&pending, SIGUSR2), sigismember(&pending, SIGHUP), sigismember(&pending, SIGRTMIN + 5));
    sigset_t only;
    sigemptyset(&only);
    sigaddset(&only, SIGHUP);
    pthread_sigmask(SIG_UNBLOCK, &only, NULL);
    fact("the thread received HUP %d times", received[SIGHUP]);
    return NULL;
}

int main(void) {
    fixture_begin();
    struct sigaction action = { .sa_handler = handle };
    sigset_t blocked;
    sigemptyset(&blocked);
    int numbers[] = { SIGUSR2, SIGHUP, SIGRTMIN + 5 };
    for (int i = 0; i < 3; i++) { sigaction(numbers[i], &action, NULL); sigaddset(&blocked, numbers[i]); }
    pthread_sigmask(SIG_BLOCK, &blocked, NULL);
    pthread_barrier_init(&started, NULL, 2);
    pthread_barrier_init(&released, NULL, 2);
    pthread_t thread;
    need(pthread_create(&thread, NULL, work, NULL) == 0);
    pthread_barrier_wait(&started);
    kill(getpid(), SIGUSR2);
    pthread_kill(thread, SIGHUP);
    kill(getpid(), SIGRTMIN + 5);

    fixture_checkpoint_here();

    sigset_t pending;
    sigpending(&pending);
    fact("the first thread sees pending: USR2 %d, HUP %d, RT %d", sigismember(&pending, SIGUSR2), sigismember(&pending, SIGHUP), sigismember(&pending, SIGRTMIN + 5));
    pthread_barrier_wait(&released);
    pthread_join(thread, NULL);
    fact("received before: USR2 %d, RT %d", received[SIGUSR2], received[SIGRTMIN + 5]);
    pthread_sigmask(SIG_UNBLOCK, &blocked, NULL);
    fact("received: USR2 %d, HUP %d, RT %d; by the thread %d", received[SIGUSR2], received[SIGHUP], received[SIGRTMIN + 5], by_target);
    return 0;
}
