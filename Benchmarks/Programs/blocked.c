// SPDX-License-Identifier: Apache-2.0
// blocked: threads wait in calls with a time-out of 3 s, one thread for each call. It prints "ready"; at the end for each call
// "NAME<tab>NANOSECONDS<tab>VALUE": how much later than 3 s it returned by the monotonic clock, and 0 when it said what the end of
// its time says, else its negative errno or value.
#define _GNU_SOURCE
#include <checkpointkit.h>
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MS 3000
static const struct timespec wait_time = {WAIT_MS / 1000, WAIT_MS % 1000 * 1000000};
static int pipe_ends[2], events;
static uint32_t word;
static sem_t semaphore;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000ll + time.tv_nsec;
}
static struct timespec at_end(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    time.tv_sec += WAIT_MS / 1000;
    return time;
}
static long result(long value) { return value < 0 ? -errno : value; }
static long by_select(void) { struct timeval time = {WAIT_MS / 1000, 0}; return result(select(0, NULL, NULL, NULL, &time)); }
static long by_pselect(void) { return result(pselect(0, NULL, NULL, NULL, &wait_time, NULL)); }
static long by_poll(void) { struct pollfd one = {pipe_ends[0], POLLIN, 0}; return result(poll(&one, 1, WAIT_MS)); }
static long by_ppoll(void) { struct pollfd one = {pipe_ends[0], POLLIN, 0}; return result(ppoll(&one, 1, &wait_time, NULL)); }
static long by_epoll(void) { struct epoll_event event; return result(epoll_wait(events, &event, 1, WAIT_MS)); }
static long by_nanosleep(void) { return result(nanosleep(&wait_time, NULL)); }
static long by_clock(void) { return -clock_nanosleep(CLOCK_MONOTONIC, 0, &wait_time, NULL); }
static long by_deadline(void) { struct timespec end = at_end(CLOCK_MONOTONIC); return -clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL); }
static long by_signal(void) { sigset_t set; sigemptyset(&set); sigaddset(&set, SIGUSR2); return result(sigtimedwait(&set, NULL, &wait_time)); }
static long by_futex(void) { return result(syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &wait_time, NULL, 0)); }
static long by_semaphore(void) { struct timespec end = at_end(CLOCK_REALTIME); return result(sem_timedwait(&semaphore, &end)); }
static long by_condition(void) {
    struct timespec end = at_end(CLOCK_REALTIME);
    pthread_mutex_lock(&mutex);
    long value = -pthread_cond_timedwait(&condition, &mutex, &end);
    pthread_mutex_unlock(&mutex);
    return value;
}
static const struct { const char *name; long (*call)(void); long ends_with; } calls[] = {
    {"select", by_select, 0}, {"pselect", by_pselect, 0}, {"poll", by_poll, 0}, {"ppoll", by_ppoll, 0}, {"epoll_wait", by_epoll, 0},
    {"nanosleep", by_nanosleep, 0}, {"clock_nanosleep", by_clock, 0}, {"clock_nanosleep, TIMER_ABSTIME", by_deadline, 0},
    {"sigtimedwait", by_signal, -EAGAIN}, {"futex", by_futex, -ETIMEDOUT}, {"sem_timedwait", by_semaphore, -ETIMEDOUT},
    {"pthread_cond_timedwait", by_condition, -ETIMEDOUT},
};
#define CALLS (sizeof calls / sizeof *calls)
static struct { int64_t late; long value; } ends[CALLS];

static void *wait_in(void *argument) {
    size_t i = (size_t)argument;
    int64_t begin = now();
    long value = calls[i].call();
    ends[i].late = now() - begin - WAIT_MS * 1000000ll;
    ends[i].value = value == calls[i].ends_with ? 0 : value ? value : 1;
    return NULL;
}

int main(void) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    struct epoll_event event = {.events = EPOLLIN};
    if (pipe(pipe_ends) != 0 || sem_init(&semaphore, 0, 0) != 0 || (events = epoll_create1(0)) < 0 ||
        epoll_ctl(events, EPOLL_CTL_ADD, pipe_ends[0], &event) != 0) return perror("blocked"), 1;
    int error = ckpt_enable(NULL);
    if (error != 0) return fprintf(stderr, "blocked: %s\n", ckpt_strerror(error)), 1;
    pthread_t threads[CALLS];
    for (size_t i = 0; i < CALLS; i++) if (pthread_create(&threads[i], NULL, wait_in, (void *)i) != 0) return 1;
    puts("ready");
    fflush(stdout);
    for (size_t i = 0; i < CALLS; i++) pthread_join(threads[i], NULL);
    for (size_t i = 0; i < CALLS; i++) printf("%s\t%lld\t%ld\n", calls[i].name, (long long)ends[i].late, ends[i].value);
    return 0;
}
