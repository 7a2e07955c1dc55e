// SPDX-License-Identifier: Apache-2.0
// Descriptors that read signals: which, flags, duplicates, in an epoll; what is pending stays pending.
#include "fixture.h"
#include <sys/epoll.h>
#include <sys/signalfd.h>

static void mask_of(int descriptor, char *to, size_t byte_count) {
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", descriptor);
    int file = open(path, O_RDONLY);
    ssize_t length = read(file, text, sizeof text - 1);
    close(file);
    text[length > 0 ? length : 0] = 0;
    char *line = strstr(text, "sigmask:");
    snprintf(to, byte_count, "%.*s", line ? (int)strcspn(line, "\n") : 0, line ? line : "");
}

static void take(const char *which, int descriptor) {
    struct signalfd_siginfo info;
    ssize_t got = read(descriptor, &info, sizeof info);
    if (got != (ssize_t)sizeof info) { fact("%s: nothing (%s)", which, got < 0 ? strerror(errno) : "?"); return; }
    fact("%s: %s%d, code %d, value %d, from this process %d", which, (int)info.ssi_signo >= SIGRTMIN ? "RT " : "",
         (int)info.ssi_signo >= SIGRTMIN ? (int)info.ssi_signo - SIGRTMIN : (int)info.ssi_signo, info.ssi_code, info.ssi_int, info.ssi_pid == (uint32_t)getpid());
}

int main(void) {
    fixture_begin();
    sigset_t some, other;
    sigemptyset(&some);
    sigaddset(&some, SIGUSR2);
    sigaddset(&some, SIGRTMIN + 1);
    sigemptyset(&other);
    sigaddset(&other, SIGTERM);
    sigprocmask(SIG_BLOCK, &some, NULL);
    sigprocmask(SIG_BLOCK, &other, NULL);
    int first = signalfd(-1, &some, SFD_NONBLOCK | SFD_CLOEXEC), second = signalfd(-1, &other, 0), copy = dup(first), set = epoll_create1(0);
    struct epoll_event event = { .events = EPOLLIN, .data.u32 = 5 };
    need(first >= 0 && second >= 0 && copy >= 0 && epoll_ctl(set, EPOLL_CTL_ADD, second, &event) == 0);
    union sigval value = { .sival_int = 42 };
    need(sigqueue(getpid(), SIGRTMIN + 1, value) == 0);
    value.sival_int = 43;
    need(sigqueue(getpid(), SIGRTMIN + 1, value) == 0);
    kill(getpid(), SIGUSR2);
    char before[64], after[64];
    mask_of(first, before, sizeof before);

    fixture_checkpoint_here();

    mask_of(first, after, sizeof after);
    fact_that(strcmp(before, after) == 0 && before[0]);
    fact("flags %x %d, %x %d, %x %d", fcntl(first, F_GETFL), fcntl(first, F_GETFD), fcntl(second, F_GETFL), fcntl(second, F_GETFD), fcntl(copy, F_GETFL), fcntl(copy, F_GETFD));
    sigset_t pending;
    sigpending(&pending);
    fact("pending: %d %d %d", sigismember(&pending, SIGUSR2), sigismember(&pending, SIGRTMIN + 1), sigismember(&pending, SIGTERM));
    for (int i = 0; i < 4; i++) take("first", i == 1 ? copy : first);
    fact("ready: %d", epoll_wait(set, &event, 1, 0));
    kill(getpid(), SIGTERM);
    fact("ready: %d %u", epoll_wait(set, &event, 1, 5000), event.data.u32);
    take("second", second);
    fact("ready: %d", epoll_wait(set, &event, 1, 0));
    return 0;
}
