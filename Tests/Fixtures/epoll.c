// SPDX-License-Identifier: Apache-2.0
// Epoll: entries with their data, one-shot ones (armed and spent), edge-triggered ones, and a thread that waits in it.
#include "fixture.h"
#include <sys/epoll.h>
#include <sys/eventfd.h>

static int epoll, waited;
static void *wait_here(void *unused) {
    (void)unused;
    struct epoll_event event;
    int count;
    do count = epoll_wait(waited, &event, 1, -1); while (count < 0 && errno == EINTR);
    return (void *)(uintptr_t)event.data.u64;
}
static int add(int set, int descriptor, uint32_t events, uint64_t data) {
    struct epoll_event event = { .events = events, .data.u64 = data };
    return epoll_ctl(set, EPOLL_CTL_ADD, descriptor, &event);
}
static int compare(const void *first, const void *second) {
    uint64_t a = ((const struct epoll_event *)first)->data.u64, b = ((const struct epoll_event *)second)->data.u64;
    return a < b ? -1 : a > b;
}

int main(void) {
    fixture_begin();
    epoll = epoll_create1(EPOLL_CLOEXEC);
    waited = epoll_create1(0);
    int ready = eventfd(1, 0), idle = eventfd(0, 0), once = eventfd(1, 0), spent = eventfd(1, 0), edge = eventfd(0, EFD_NONBLOCK), later = eventfd(0, 0);
    int pipes[2];
    need(pipe(pipes) == 0);
    need(add(epoll, ready, EPOLLIN, 0x1111222233334444) == 0);
    need(add(epoll, idle, EPOLLIN, 2) == 0);
    need(add(epoll, spent, EPOLLIN | EPOLLONESHOT, 4) == 0);
    struct epoll_event events[16];
    int count = epoll_wait(epoll, events, 16, 0); // spends it
    fact("before: %d", count);
    need(add(epoll, once, EPOLLIN | EPOLLONESHOT, 3) == 0);
    need(add(epoll, edge, EPOLLIN | EPOLLET, 5) == 0);
    need(add(epoll, pipes[0], EPOLLIN, 6) == 0);
    need(add(waited, later, EPOLLIN, 77) == 0);
    int moved = dup(idle);
    need(add(epoll, moved, EPOLLIN, 8) == 0);
    pthread_t waiter;
    need(pthread_create(&waiter, NULL, wait_here, NULL) == 0);

    fixture_checkpoint_here();

    count = epoll_wait(epoll, events, 16, 0);
    qsort(events, (size_t)(count < 0 ? 0 : count), sizeof *events, compare);
    for (int i = 0; i < count; i++) fact("ready: %lx, events %x", (unsigned long)events[i].data.u64, events[i].events);
    eventfd_write(idle, 1);
    eventfd_write(edge, 1);
    need(write(pipes[1], "x", 1) == 1);
    count = epoll_wait(epoll, events, 16, 0);
    qsort(events, (size_t)(count < 0 ? 0 : count), sizeof *events, compare);
    for (int i = 0; i < count; i++) fact("then: %lx, events %x", (unsigned long)events[i].data.u64, events[i].events);
    struct epoll_event again = { .events = EPOLLIN | EPOLLONESHOT, .data.u64 = 9 };
    fact_that(epoll_ctl(epoll, EPOLL_CTL_MOD, spent, &again) == 0);
    count = epoll_wait(epoll, events, 16, 0);
    qsort(events, (size_t)(count < 0 ? 0 : count), sizeof *events, compare);
    for (int i = 0; i < count; i++) fact("at last: %lx, events %x", (unsigned long)events[i].data.u64, events[i].events);
    eventfd_write(later, 1);
    void *result;
    pthread_join(waiter, &result);
    fact("the thread that waited got %lu", (unsigned long)(uintptr_t)result);
    return 0;
}
