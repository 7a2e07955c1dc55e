// SPDX-License-Identifier: Apache-2.0
// Pending signals with what is said of them: values, order, how often, for the process and for one thread with the same number.
#include "fixture.h"

static pthread_barrier_t started, released;
static int count;

static void take(const char *who, int number, int most) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    const struct timespec now = { 0, 0 };
    char line[512];
    int used = 0, taken = 0;
    siginfo_t info;
    line[0] = 0;
    while (taken < most && sigtimedwait(&set, &info, &now) == number) {
        // The values of a long queue are only compared.
        if (most <= 20)
            used += snprintf(line + used, sizeof line - (size_t)used, " %d%s%s", info.si_code, info.si_pid == getpid() ? " own " : " other ",
                             info.si_code == SI_QUEUE ? "" : "no value");
        if (most <= 20 && info.si_code == SI_QUEUE) used += snprintf(line + used, sizeof line - (size_t)used, "%d", info.si_value.sival_int);
        if (most > 20 && (info.si_code != SI_QUEUE || info.si_value.sival_int != taken)) { fact("value %d of %d", info.si_value.sival_int, taken); break; }
        taken++;
    }
    fact("%s takes %s%d %d times:%s", who, number >= SIGRTMIN ? "RT " : "", number >= SIGRTMIN ? number - SIGRTMIN : number, taken, line);
}

static void queue(pthread_t *thread, int number, int value) {
    union sigval said = { .sival_int = value };
    need((thread ? pthread_sigqueue(*thread, number, said) : sigqueue(getpid(), number, said)) == 0);
}

static void *work(void *unused) {
    (void)unused;
    pthread_barrier_wait(&started);
    pthread_barrier_wait(&released);
    take("the thread", SIGRTMIN + 1, 2);
    take("the thread", SIGRTMIN + 2, 10);
    take("the thread", SIGUSR2, 10);
    take("the thread", SIGHUP, 1);
    pthread_barrier_wait(&released);
    return NULL;
}

int main(void) {
    fixture_begin();
    sigset_t blocked;
    sigemptyset(&blocked);
    for (int number = SIGRTMIN; number < SIGRTMIN + 5; number++) sigaddset(&blocked, number);
    sigaddset(&blocked, SIGUSR2);
    sigaddset(&blocked, SIGHUP);
    sigaddset(&blocked, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &blocked, NULL);
    pthread_barrier_init(&started, NULL, 2);
    pthread_barrier_init(&released, NULL, 2);
    pthread_t thread;
    need(pthread_create(&thread, NULL, work, NULL) == 0);
    pthread_barrier_wait(&started);
    for (int i = 1; i <= 5; i++) queue(NULL, SIGRTMIN + 1, i);
    for (int i = 0; i < 3; i++) queue(&thread, SIGRTMIN + 2, 10 + i);
    for (int i = 0; i < 2; i++) queue(&thread, SIGRTMIN + 1, 100 + i);
    queue(&thread, SIGUSR2, 7);
    queue(NULL, SIGTERM, 99);
    queue(NULL, SIGTERM, 98);   // pending once
    kill(getpid(), SIGHUP);
    pthread_kill(thread, SIGHUP);
    for (count = 0; count < 300; count++) queue(NULL, SIGRTMIN + 3, count);

    fixture_checkpoint_here();

    pthread_barrier_wait(&released);
    pthread_barrier_wait(&released);
    take("the process", SIGRTMIN + 1, 10);
    take("the process", SIGRTMIN + 3, 400);
    take("the process", SIGTERM, 10);
    take("the process", SIGHUP, 10);
    pthread_join(thread, NULL);
    sigset_t pending;
    sigpending(&pending);
    fact_that(sigisemptyset(&pending));
    return 0;
}
