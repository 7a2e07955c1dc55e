// SPDX-License-Identifier: Apache-2.0
// System calls of `ckpt save` that Swift has no word for.
#define _GNU_SOURCE
#include "ckpt_requester.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

static int result(long value) { return value < 0 ? -errno : (int)value; }

// Kernel: pidfd_open is there since 5.3.
int ckpt_requester_watch(int32_t pid) { return result(syscall(SYS_pidfd_open, pid, 0)); }

int ckpt_requester_take_signals(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGQUIT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return result(signalfd(-1, &set, SFD_CLOEXEC));
}

int ckpt_requester_read_signal(int signals) {
    struct signalfd_siginfo info;
    return read(signals, &info, sizeof info) == (ssize_t)sizeof info ? (int)info.ssi_signo : -EIO;
}

int ckpt_requester_listen(const char *path, uint32_t uid, uint32_t gid) {
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof address.sun_path) return -ENAMETOOLONG;
    strcpy(address.sun_path, path);
    int socket_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (socket_ < 0) return -errno;
    if (bind(socket_, (struct sockaddr *)&address, sizeof address) == 0 && chmod(path, 0600) == 0
        && (geteuid() != 0 || lchown(path, uid, gid) == 0) && listen(socket_, 4) == 0) return socket_;
    int error = -errno;
    close(socket_);
    return error;
}

int ckpt_requester_accept(int socket_, uint32_t *uid) {
    int peer = accept4(socket_, NULL, NULL, SOCK_CLOEXEC);
    if (peer < 0) return -errno;
    struct ucred who;
    socklen_t byte_count = sizeof who;
    if (getsockopt(peer, SOL_SOCKET, SO_PEERCRED, &who, &byte_count) == 0) {
        *uid = who.uid;
        return peer;
    }
    int error = -errno;
    close(peer);
    return error;
}

int ckpt_requester_send(int32_t pid, int32_t signal, uint64_t nonce) {
    return result(sigqueue(pid, signal, (union sigval){ .sival_ptr = (void *)(uintptr_t)nonce }));
}

int ckpt_requester_wait(const int *descriptors, size_t count, int milliseconds) {
    struct pollfd waits[8];
    if (count > 8) return -EINVAL;
    for (size_t i = 0; i < count; i++) waits[i] = (struct pollfd){ .fd = descriptors[i], .events = POLLIN };
    int ready = poll(waits, count, milliseconds), bits = 0;
    if (ready < 0) return errno == EINTR ? 0 : -errno;
    for (size_t i = 0; i < count; i++) if (waits[i].revents != 0) bits |= 1 << i;
    return bits;
}
