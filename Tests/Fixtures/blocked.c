// SPDX-License-Identifier: Apache-2.0
// Threads that are blocked in calls across the checkpoint: no call says EINTR, and each time-out is as long as it was asked for:
// they end together with that of select, which the kernel itself counts down. Time counts while the program runs: a thread
// measures that, and leaves out what is longer than a step can be.
#include "fixture.h"
#include <poll.h>
#include <semaphore.h>
#include <sys/epoll.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/syscall.h>
#include <linux/futex.h>

#define WAIT_MS 3000
#define BEFORE_MS 800       // that have gone by at the checkpoint: what begins anew ends so much later
#define TOGETHER_MS 500     // on a machine that is busy
#define STEP_NS 30000000ll

static volatile int64_t running_ns;     // for how long this program has run
static volatile int stop;
static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000ll + time.tv_nsec;
}
static void *measuring(void *unused) {
    (void)unused;
    for (int64_t last = now(); !stop;) {
        struct timespec step = {0, 1000000};
        nanosleep(&step, &step);
        int64_t next = now();
        running_ns += next - last < STEP_NS ? next - last : STEP_NS;
        last = next;
    }
    return NULL;
}

static int pipe_ends[2], queue, semaphores, events;
static sem_t semaphore;
static uint32_t word;
static const struct timespec wait_time = {WAIT_MS / 1000, WAIT_MS % 1000 * 1000000};
static struct timespec deadline(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    time.tv_sec += WAIT_MS / 1000;
    return time;
}

// Each returns 0 for the end of its time, a negative errno, or what the call says.
static long result(long value) { return value < 0 ? -errno : value; }
static long by_poll(void) { struct pollfd one = {pipe_ends[0], POLLIN, 0}; return result(poll(&one, 1, WAIT_MS)); }
static long by_ppoll(void) { struct pollfd one = {pipe_ends[0], POLLIN, 0}; return result(ppoll(&one, 1, &wait_time, NULL)); }
static long by_select(void) { struct timeval time = {WAIT_MS / 1000, 0}; return result(select(0, NULL, NULL, NULL, &time)); }
static long by_pselect(void) { return result(pselect(0, NULL, NULL, NULL, &wait_time, NULL)); }
static long by_epoll(void) { struct epoll_event event; return result(epoll_wait(events, &event, 1, WAIT_MS)); }
static long by_nanosleep(void) { return result(nanosleep(&wait_time, NULL)); }
static long by_usleep(void) { return result(usleep(WAIT_MS * 1000)); }
static long by_sleep(void) { struct timespec left = {0, 0}; return result(nanosleep(&wait_time, &left)); }
static long by_clock(void) { return -clock_nanosleep(CLOCK_MONOTONIC, 0, &wait_time, NULL); }
static long by_signal(void) { sigset_t set; sigemptyset(&set); sigaddset(&set, SIGUSR2); return result(sigtimedwait(&set, NULL, &wait_time)); }
static long by_futex(void) { return result(syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &wait_time, NULL, 0)); }
static long by_semop(void) { struct sembuf down = {0, -1, 0}; return result(semtimedop(semaphores, &down, 1, &wait_time)); }
static const struct waiting { const char *name; long (*call)(void); long ends_with; } timed[] = {
    {"poll", by_poll, 0}, {"ppoll", by_ppoll, 0}, {"select", by_select, 0}, {"pselect", by_pselect, 0}, {"epoll_wait", by_epoll, 0},
    {"nanosleep", by_nanosleep, 0}, {"usleep", by_usleep, 0}, {"nanosleep that tells", by_sleep, 0}, {"clock_nanosleep", by_clock, 0},
    {"sigtimedwait", by_signal, -EAGAIN}, {"futex", by_futex, -ETIMEDOUT}, {"semtimedop", by_semop, -EAGAIN},
};
#define BY_SELECT 2
#define TIMED (int)(sizeof timed / sizeof *timed)
static struct { long value, ended_ms; } ends[TIMED];

static void *wait_timed(void *argument) {
    int i = (int)(intptr_t)argument;
    ends[i].value = timed[i].call();
    ends[i].ended_ms = running_ns / 1000000;
    return NULL;
}
static void tell(int i) {
    long late = ends[i].ended_ms - ends[BY_SELECT].ended_ms;
    if (late > -TOGETHER_MS && late < TOGETHER_MS && ends[i].value == timed[i].ends_with) fact("%s: in its time", timed[i].name);
    else fact("%s: %ld, %ld ms later than select", timed[i].name, ends[i].value, late);
}

// Without a time-out: what they wait for comes at the end.
static long until_poll(void) { struct pollfd one = {pipe_ends[0], POLLIN, 0}; return result(poll(&one, 1, -1)); }
static long until_epoll(void) { struct epoll_event event; return result(epoll_wait(events, &event, 1, -1)); }
static long until_select(void) { fd_set set; FD_ZERO(&set); FD_SET(pipe_ends[0], &set); return result(select(pipe_ends[0] + 1, &set, NULL, NULL, NULL)); }
static long until_signal(void) { sigset_t set; sigemptyset(&set); sigaddset(&set, SIGUSR2); siginfo_t information; return result(sigwaitinfo(&set, &information)) == SIGUSR2; }
static long until_semop(void) { struct sembuf down = {1, -1, 0}; return result(semop(semaphores, &down, 1)) + 1; }
static long until_message(void) { struct { long type; char text[8]; } message; return result(msgrcv(queue, &message, 1, 7, 0)); }
static long until_semaphore(void) { struct timespec time = deadline(CLOCK_REALTIME); time.tv_sec += 3600; return result(sem_timedwait(&semaphore, &time)) + 1; }
static const struct waiting endless[] = {
    {"poll", until_poll, 1}, {"epoll_wait", until_epoll, 1}, {"select", until_select, 1}, {"sigwaitinfo", until_signal, 1},
    {"semop", until_semop, 1}, {"msgrcv", until_message, 1}, {"sem_timedwait", until_semaphore, 1},
};
#define ENDLESS (int)(sizeof endless / sizeof *endless)
static void *wait_endless(void *argument) { return (void *)endless[(intptr_t)argument].call(); }

int main(int count, char **arguments) {
    (void)arguments;
    int has_queues = count < 2;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    need(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
    need(pipe(pipe_ends) == 0 && sem_init(&semaphore, 0, 0) == 0);
    need((events = epoll_create1(0)) >= 0);
    struct epoll_event event = {.events = EPOLLIN};
    need(epoll_ctl(events, EPOLL_CTL_ADD, pipe_ends[0], &event) == 0);
    fixture_begin();
    pthread_t measurer, timed_threads[TIMED], endless_threads[ENDLESS];
    need(pthread_create(&measurer, NULL, measuring, NULL) == 0);
    if (has_queues) {
        // Not restored: they are used by the run that goes on.
        need((queue = msgget(IPC_PRIVATE, 0600)) >= 0 && (semaphores = semget(IPC_PRIVATE, 2, 0600)) >= 0);
    }
    for (int i = 0; i < TIMED; i++)
        if (has_queues || timed[i].call != by_semop) need(pthread_create(&timed_threads[i], NULL, wait_timed, (void *)(intptr_t)i) == 0);
    for (int i = 0; i < ENDLESS; i++)
        if (has_queues || (endless[i].call != until_semop && endless[i].call != until_message)) need(pthread_create(&endless_threads[i], NULL, wait_endless, (void *)(intptr_t)i) == 0);
    fixture_sleep(BEFORE_MS);

    fixture_checkpoint_here();

    for (int i = 0; i < TIMED; i++)
        if (has_queues || timed[i].call != by_semop) need(pthread_join(timed_threads[i], NULL) == 0);
    stop = 1;
    need(pthread_join(measurer, NULL) == 0);
    for (int i = 0; i < TIMED; i++) if (has_queues || timed[i].call != by_semop) tell(i);
    char byte = 0;
    need(write(pipe_ends[1], &byte, 1) == 1 && sem_post(&semaphore) == 0 && kill(getpid(), SIGUSR2) == 0);
    if (has_queues) {
        struct sembuf up = {1, 1, 0};
        struct { long type; char text[8]; } message = {7, "x"};
        need(semop(semaphores, &up, 1) == 0 && msgsnd(queue, &message, 1, 0) == 0);
    }
    for (int i = 0; i < ENDLESS; i++)
        if (has_queues || (endless[i].call != until_semop && endless[i].call != until_message)) {
            void *value;
            need(pthread_join(endless_threads[i], &value) == 0);
            if ((long)value == endless[i].ends_with) fact("%s without an end: as it should", endless[i].name);
            else fact("%s without an end: %ld", endless[i].name, (long)value);
        }
    if (has_queues) need(msgctl(queue, IPC_RMID, NULL) == 0 && semctl(semaphores, 0, IPC_RMID) == 0);
    return 0;
}
