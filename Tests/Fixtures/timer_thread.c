// SPDX-License-Identifier: Apache-2.0
// POSIX timers whose expirations are calls of a function (SIGEV_THREAD): libc has a thread of its own for them.
#include "fixture.h"

static volatile int soon_count, often_count, values;
static void call(union sigval value) {
    __atomic_add_fetch(&values, value.sival_int, __ATOMIC_SEQ_CST);
    __atomic_add_fetch(value.sival_int == 1 ? &soon_count : &often_count, 1, __ATOMIC_SEQ_CST);
}
static timer_t make(int value, long milliseconds, long interval) {
    struct sigevent event;
    memset(&event, 0, sizeof event);
    event.sigev_notify = SIGEV_THREAD;
    event.sigev_notify_function = call;
    event.sigev_value.sival_int = value;
    timer_t timer;
    struct itimerspec time = { .it_value = { 0, milliseconds * 1000000 }, .it_interval = { 0, interval * 1000000 } };
    need(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0 && timer_settime(timer, 0, &time, NULL) == 0);
    return timer;
}

int main(void) {
    fixture_begin();
    timer_t soon = make(1, 300, 0), often = make(100, 5, 5);

    fixture_checkpoint_here();

    for (int i = 0; i < 5000 && soon_count == 0; i++) fixture_sleep(1);
    fact("the one that comes once came %d times", soon_count);
    int before = often_count;
    for (int i = 0; i < 5000 && often_count < before + 5; i++) fixture_sleep(1);
    fact_that(often_count >= before + 5);
    need(timer_delete(often) == 0 && timer_delete(soon) == 0);
    soon_count = 0;
    timer_t fresh = make(1, 1, 0);
    for (int i = 0; i < 5000 && soon_count == 0; i++) fixture_sleep(1);
    fact("another came %d times", soon_count);
    need(timer_delete(fresh) == 0);
    fact_that(values == 100 * often_count + 2);
    return 0;
}
