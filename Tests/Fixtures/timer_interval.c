// SPDX-License-Identifier: Apache-2.0
// Interval timers: far away, or (soon) about to expire, or (pending) expired with their signal blocked.
#include "fixture.h"
#include <sys/time.h>

static volatile int alarms, virtual_alarms, profiles;
static void handle(int number) {
    if (number == SIGALRM) alarms++; else if (number == SIGVTALRM) virtual_alarms++; else profiles++;
}
static void set(int which, long milliseconds, long interval) {
    struct itimerval time = { .it_value = { milliseconds / 1000, milliseconds % 1000 * 1000 }, .it_interval = { interval / 1000, interval % 1000 * 1000 } };
    need(setitimer(which, &time, NULL) == 0);
}
static int is_about_an_hour(int which) {
    struct itimerval time;
    getitimer(which, &time);
    return time.it_value.tv_sec > 3500 && time.it_value.tv_sec <= 3600;
}
static long interval(int which) {
    struct itimerval time;
    getitimer(which, &time);
    return time.it_interval.tv_sec * 1000 + time.it_interval.tv_usec / 1000;
}

static void far(void) {
    set(ITIMER_REAL, 3600000, 5000);
    set(ITIMER_VIRTUAL, 3600000, 0);
    set(ITIMER_PROF, 3600000, 7000);
    fixture_checkpoint_here();
    fact_that(is_about_an_hour(ITIMER_REAL));
    fact_that(is_about_an_hour(ITIMER_VIRTUAL));
    fact_that(is_about_an_hour(ITIMER_PROF));
    fact("intervals %ld %ld %ld", interval(ITIMER_REAL), interval(ITIMER_VIRTUAL), interval(ITIMER_PROF));
    unsigned rest = alarm(0);
    fact_that(rest > 3500 && rest <= 3600);
    fact_that(!is_about_an_hour(ITIMER_REAL));
}

static void soon(void) {
    set(ITIMER_REAL, 300, 0);
    set(ITIMER_VIRTUAL, 200, 0);
    set(ITIMER_PROF, 300, 20);
    fixture_checkpoint_here();
    volatile unsigned long work = 0;
    for (time_t until = time(NULL) + 60; (alarms == 0 || virtual_alarms == 0 || profiles < 3) && time(NULL) < until;) work++;
    set(ITIMER_PROF, 0, 0);
    fact("alarms %d, virtual %d", alarms, virtual_alarms);
    fact_that(profiles >= 3);
    struct itimerval time;
    getitimer(ITIMER_REAL, &time);
    fact("left %ld.%06ld", (long)time.it_value.tv_sec, (long)time.it_value.tv_usec);
}

static void pending(void) {
    sigset_t set_of_alarm, now;
    sigemptyset(&set_of_alarm);
    sigaddset(&set_of_alarm, SIGALRM);
    sigprocmask(SIG_BLOCK, &set_of_alarm, NULL);
    set(ITIMER_REAL, 5, 5);
    fixture_sleep(20);
    fixture_checkpoint_here();
    sigpending(&now);
    fact("pending: %d; interval %ld", sigismember(&now, SIGALRM), interval(ITIMER_REAL));
    sigprocmask(SIG_UNBLOCK, &set_of_alarm, NULL);
    for (int i = 0; i < 5000 && alarms < 4; i++) fixture_sleep(1);
    fact_that(alarms >= 4);
}

int main(int argc, char **argv) {
    fixture_begin();
    struct sigaction action = { .sa_handler = handle, .sa_flags = SA_RESTART };
    sigaction(SIGALRM, &action, NULL);
    sigaction(SIGVTALRM, &action, NULL);
    sigaction(SIGPROF, &action, NULL);
    const char *how = argc > 1 ? argv[1] : "far";
    if (strcmp(how, "far") == 0) far();
    if (strcmp(how, "soon") == 0) soon();
    if (strcmp(how, "pending") == 0) pending();
    return 0;
}
