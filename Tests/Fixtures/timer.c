// SPDX-License-Identifier: Apache-2.0
// POSIX timers: ids with gaps, remaining time, interval, value, without a signal, for one thread, CPU time, expired, with overruns.
#include "fixture.h"

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

static volatile int received, by_worker, with_code, with_value, again;
static __thread int is_worker;
static void handle(int number, siginfo_t *info, void *context) {
    (void)context;
    if (number == SIGRTMIN + 2) { again++; return; }
    with_code = info->si_code == SI_TIMER;
    with_value = info->si_value.sival_int;
    by_worker = is_worker;
    received++;
}

static pid_t worker_id;
static volatile int is_over;
static pthread_barrier_t started;
static void *work(void *unused) {
    (void)unused;
    is_worker = 1;
    worker_id = (pid_t)syscall(SYS_gettid);
    pthread_barrier_wait(&started);
    while (!is_over) fixture_sleep(1);
    return NULL;
}

static timer_t make(clockid_t clock, int notify, int number, int value) {
    struct sigevent event;
    memset(&event, 0, sizeof event);
    event.sigev_notify = notify;
    event.sigev_signo = number;
    event.sigev_value.sival_int = value;
    if (notify == SIGEV_THREAD_ID) event.sigev_notify_thread_id = worker_id;
    timer_t timer;
    need(timer_create(clock, &event, &timer) == 0);
    return timer;
}
static void set(timer_t timer, long milliseconds, long interval) {
    struct itimerspec time = {
        .it_value = { milliseconds / 1000, milliseconds % 1000 * 1000000 }, .it_interval = { interval / 1000, interval % 1000 * 1000000 } };
    need(timer_settime(timer, 0, &time, NULL) == 0);
}
static long left(timer_t timer) {
    struct itimerspec time;
    if (timer_gettime(timer, &time) != 0) return -1;
    return time.it_value.tv_sec * 1000 + time.it_value.tv_nsec / 1000000;
}
static long interval(timer_t timer) {
    struct itimerspec time;
    if (timer_gettime(timer, &time) != 0) return -1;
    return time.it_interval.tv_sec * 1000 + time.it_interval.tv_nsec / 1000000;
}
static int is_about_an_hour(timer_t timer) { long rest = left(timer); return rest > 3500000 && rest <= 3600000; }

// Takes what is pending of this number; how often its timer has expired, and how many signals said so.
static int take(int number, int *signals, int *value, int *code) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    const struct timespec now = { 0, 0 };
    siginfo_t info;
    int ticks = 0;
    *signals = *value = *code = 0;
    while (*signals < 100 && sigtimedwait(&set, &info, &now) == number) {
        ticks += 1 + info.si_overrun;
        *value = info.si_value.sival_int;
        *code = info.si_code;
        ++*signals;
    }
    return ticks;
}

int main(void) {
    fixture_begin();
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGRTMIN + 3);
    sigaddset(&blocked, SIGRTMIN + 4);
    pthread_sigmask(SIG_BLOCK, &blocked, NULL);
    struct sigaction action = { .sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_RESTART };
    sigaction(SIGRTMIN + 1, &action, NULL);
    sigaction(SIGRTMIN + 2, &action, NULL);
    pthread_barrier_init(&started, NULL, 2);
    pthread_t worker;
    need(pthread_create(&worker, NULL, work, NULL) == 0);
    pthread_barrier_wait(&started);
    clockid_t clock_of_worker;
    need(pthread_getcpuclockid(worker, &clock_of_worker) == 0);

    timer_t gone = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGUSR2, 0);
    timer_t far = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN + 2, 1);
    timer_t wall = make(CLOCK_REALTIME, SIGEV_SIGNAL, SIGUSR2, 2);
    timer_t gap = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGUSR2, 0);
    timer_t boot = make(CLOCK_BOOTTIME, SIGEV_NONE, 0, 0);
    timer_t bound = make(CLOCK_MONOTONIC, SIGEV_THREAD_ID, SIGRTMIN + 1, 77);
    timer_t used = make(CLOCK_PROCESS_CPUTIME_ID, SIGEV_SIGNAL, SIGUSR2, 3);
    timer_t of_worker = make(clock_of_worker, SIGEV_NONE, 0, 0);
    timer_t disarmed = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGUSR2, 0);
    timer_t expired = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN + 3, 33);
    timer_t repeating = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN + 4, 44);
    timer_delete(gone);
    timer_delete(gap);
    set(far, 3600000, 0);
    set(wall, 3600000, 5000);
    set(boot, 3600000, 0);
    set(bound, 300, 0);
    set(used, 3600000, 7000);
    set(of_worker, 3600000, 0);
    set(expired, 1, 0);
    set(repeating, 2, 2);
    fixture_sleep(20);

    fixture_checkpoint_here();

    fact_that(is_about_an_hour(far));
    fact_that(is_about_an_hour(wall));
    fact_that(is_about_an_hour(boot));
    fact_that(is_about_an_hour(used));
    fact_that(is_about_an_hour(of_worker));
    fact("intervals %ld %ld %ld", interval(far), interval(wall), interval(used));
    fact("disarmed: %ld", left(disarmed));
    fact_that(left(gone) == -1);
    fact_that(left(gap) == -1);

    for (int i = 0; i < 5000 && received == 0; i++) fixture_sleep(1);
    fact("the one for a thread came %d times, to it %d, with code %d and value %d; left %ld", received, by_worker, with_code, with_value, left(bound));

    int signals, value, code, ticks = take(SIGRTMIN + 3, &signals, &value, &code);
    fact("the expired one came %d times in %d signals, code %d, value %d; left %ld", ticks, signals, code, value, left(expired));
    ticks = take(SIGRTMIN + 4, &signals, &value, &code);
    fact("the repeating one came, code %d, value %d", code, value);
    fact_that(ticks >= 8);
    fact_that(signals == 1 || signals == 2);
    fact("its interval is %ld", interval(repeating));
    fact_that(left(repeating) <= 2);
    fixture_sleep(30);
    ticks = take(SIGRTMIN + 4, &signals, &value, &code);
    fact_that(ticks >= 5 && signals == 1);
    fact_that(timer_getoverrun(repeating) == ticks - 1);

    set(far, 1, 0);
    for (int i = 0; i < 5000 && again == 0; i++) fixture_sleep(1);
    fact("set again it came %d times", again);
    timer_t fresh = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGUSR2, 0);
    timer_t others[] = { far, wall, boot, bound, used, of_worker, disarmed, expired, repeating };
    int same = 0;
    for (int i = 0; i < 9; i++) { same += others[i] == fresh; need(timer_delete(others[i]) == 0); }
    fact("another is none of these: %d", same);
    is_over = 1;
    pthread_join(worker, NULL);
    return 0;
}
