// SPDX-License-Identifier: Apache-2.0
// A program of one thread that is nearly always blocked in a call without a time-out: it takes the trigger signal itself, and the
// call never says EINTR.
#include "fixture.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>

int main(int count, char **arguments) {
    int by_epoll = count > 1 && !strcmp(arguments[1], "epoll"), ticks = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC), events = epoll_create1(EPOLL_CLOEXEC);
    struct itimerspec time = {{0, 20000000}, {0, 20000000}};
    struct epoll_event event = {.events = EPOLLIN};
    need(ticks >= 0 && timerfd_settime(ticks, 0, &time, NULL) == 0 && epoll_ctl(events, EPOLL_CTL_ADD, ticks, &event) == 0);
    fixture_begin();
    fact("READY");
    int interrupted = 0, others = 0;
    uint64_t expired;
    while (access(fixture_release, F_OK) != 0) {
        mknod(fixture_alive, S_IFREG | 0600, 0);
        struct pollfd one = {ticks, POLLIN, 0};
        int result = by_epoll ? epoll_wait(events, &event, 1, -1) : poll(&one, 1, -1);
        if (result < 0 && errno == EINTR) interrupted++;
        else if (result != 1) others++;
        else need(read(ticks, &expired, sizeof expired) == sizeof expired);
    }
    fact("interrupted: %d, something else: %d", interrupted, others);
    return 0;
}
