// SPDX-License-Identifier: Apache-2.0
// Timers that expire all the while: none is lost and none comes twice, whenever the checkpoint comes.
#include "fixture.h"
#include <sys/time.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

static volatile int is_over, alarms, calls;
static int lost[3], twice[3];
static void handle(int number) { if (number == SIGALRM) alarms++; else calls++; }

static timer_t make(int notify, int number) {
    struct sigevent event;
    memset(&event, 0, sizeof event);
    event.sigev_notify = notify;
    event.sigev_signo = number;
    if (notify == SIGEV_THREAD_ID) event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
    timer_t timer;
    need(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
    return timer;
}
static const struct itimerspec soon = { .it_value = { 0, 300000 } };

// For the process; its signal is blocked and taken.
static void *take(void *unused) {
    sigset_t set;
    (void)unused;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 1);
    timer_t timer = make(SIGEV_SIGNAL, SIGRTMIN + 1);
    while (!is_over) {
        struct timespec some = { 0, 10000000 }, now = { 0, 0 };
        int got = -1;
        need(timer_settime(timer, 0, &soon, NULL) == 0);
        for (int turn = 0; turn < 2000 && got < 0; turn++) got = sigtimedwait(&set, NULL, &some);
        lost[0] += got < 0;
        twice[0] += sigtimedwait(&set, NULL, &now) > 0;
    }
    return NULL;
}

// For one thread, with a handler.
static void *be_called(void *unused) {
    (void)unused;
    timer_t timer = make(SIGEV_THREAD_ID, SIGRTMIN + 2);
    while (!is_over) {
        int before = calls;
        need(timer_settime(timer, 0, &soon, NULL) == 0);
        for (int turn = 0; turn < 20000 && calls == before; turn++) usleep(100);
        lost[1] += calls == before;
        twice[1] += calls > before + 1;
    }
    return NULL;
}

static void *be_alarmed(void *unused) {
    (void)unused;
    const struct itimerval time = { .it_value = { 0, 300 } };
    while (!is_over) {
        int before = alarms;
        need(setitimer(ITIMER_REAL, &time, NULL) == 0);
        for (int turn = 0; turn < 20000 && alarms == before; turn++) usleep(100);
        lost[2] += alarms == before;
        twice[2] += alarms > before + 1;
    }
    return NULL;
}

int main(void) {
    fixture_begin();
    struct sigaction action = { .sa_handler = handle, .sa_flags = SA_RESTART };
    sigaction(SIGALRM, &action, NULL);
    sigaction(SIGRTMIN + 2, &action, NULL);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 1);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    pthread_t threads[3];
    void *(*bodies[])(void *) = { take, be_called, be_alarmed };
    for (int i = 0; i < 3; i++) need(pthread_create(&threads[i], NULL, bodies[i], NULL) == 0);

    fixture_checkpoint_here();

    is_over = 1;
    for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
    fact("lost %d %d %d, twice %d %d %d", lost[0], lost[1], lost[2], twice[0], twice[1], twice[2]);
    return 0;
}
