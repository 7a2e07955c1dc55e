// SPDX-License-Identifier: Apache-2.0
// Timer descriptors: remaining time, interval, expirations not yet read, absolute and relative, disarmed.
#include "fixture.h"
#include <sys/timerfd.h>

static int create(clockid_t clock, int flags, long milliseconds, long interval) {
    int timer = timerfd_create(clock, TFD_CLOEXEC | TFD_NONBLOCK);
    struct itimerspec time = {
        .it_value = { milliseconds / 1000, milliseconds % 1000 * 1000000 }, .it_interval = { interval / 1000, interval % 1000 * 1000000 } };
    if (flags & TFD_TIMER_ABSTIME) {
        struct timespec now;
        clock_gettime(clock, &now);
        time.it_value.tv_sec += now.tv_sec + (time.it_value.tv_nsec + now.tv_nsec) / 1000000000;
        time.it_value.tv_nsec = (time.it_value.tv_nsec + now.tv_nsec) % 1000000000;
    }
    need(timer >= 0 && timerfd_settime(timer, flags, &time, NULL) == 0);
    return timer;
}
static int expires_between(int timer, long least, long most) {
    struct itimerspec time;
    timerfd_gettime(timer, &time);
    long left = time.it_value.tv_sec * 1000 + time.it_value.tv_nsec / 1000000;
    return left >= least && left <= most;
}
// Whether it expires at this date, as near as the time between two calls.
static int is_at(int timer, const struct timespec *date) {
    struct timespec now;
    struct itimerspec time;
    clock_gettime(CLOCK_REALTIME, &now);
    timerfd_gettime(timer, &time);
    long long off = (now.tv_sec + time.it_value.tv_sec - date->tv_sec) * 1000000000ll + now.tv_nsec + time.it_value.tv_nsec - date->tv_nsec;
    return off > -20000000 && off < 20000000;
}
static void settime_flags(int timer, char *to, size_t byte_count) {
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", timer);
    int file = open(path, O_RDONLY);
    ssize_t length = read(file, text, sizeof text - 1);
    close(file);
    text[length > 0 ? length : 0] = 0;
    char *line = strstr(text, "settime flags:");
    snprintf(to, byte_count, "%.*s", line ? (int)strcspn(line, "\n") : 0, line ? line : "");
}
static unsigned long ticks(int timer) {
    uint64_t count = 0;
    return read(timer, &count, sizeof count) == sizeof count ? count : 0;
}

int main(void) {
    fixture_begin();
    int far = create(CLOCK_MONOTONIC, 0, 3600000, 0);
    int far_real = create(CLOCK_REALTIME, TFD_TIMER_ABSTIME, 3600000, 5000);
    int boot = create(CLOCK_BOOTTIME, TFD_TIMER_ABSTIME, 3600000, 0);
    int expired = create(CLOCK_MONOTONIC, 0, 1, 0);
    int repeating = create(CLOCK_MONOTONIC, 0, 1, 1);
    int disarmed = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    int on_set = create(CLOCK_REALTIME, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, 3600000, 0);
    struct timespec date;
    clock_gettime(CLOCK_REALTIME, &date);
    date.tv_sec += 3600;
    int soon = create(CLOCK_MONOTONIC, TFD_TIMER_ABSTIME, 300, 0);
    fixture_sleep(10);

    fixture_checkpoint_here();

    fact_that(expires_between(far, 3000000, 3600000));
    fact_that(expires_between(far_real, 3000000, 3600000));
    fact_that(expires_between(boot, 3000000, 3600000));
    fact_that(expires_between(on_set, 3000000, 3600000));
    fact_that(is_at(on_set, &date));
    char info[64];
    settime_flags(on_set, info, sizeof info);
    fact("%s", info);
    struct itimerspec time;
    timerfd_gettime(far_real, &time);
    fact("its interval is %ld s", (long)time.it_interval.tv_sec);
    unsigned long first = ticks(expired), second = ticks(expired);
    fact("the expired one gives %lu, then %lu", first, second);
    fact_that(ticks(repeating) >= 9);
    fixture_sleep(5);
    fact_that(ticks(repeating) >= 1);
    fact_that(ticks(disarmed) == 0 && expires_between(disarmed, 0, 0));
    for (int i = 0; i < 2000 && ticks(soon) == 0; i++) fixture_sleep(1);
    fact_that(expires_between(soon, 0, 0));
    fact("flags %x %d", fcntl(far, F_GETFL), fcntl(far, F_GETFD));
    return 0;
}
