// SPDX-License-Identifier: Apache-2.0
// Making processes with the ids of an image, and talk between supervisor and init. Plan time.
#include "include/identity_calls.h"
#include "include/ckpt_restorer.h"
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#ifndef PR_GET_TID_ADDRESS
#define PR_GET_TID_ADDRESS 40
#endif
#ifndef SYS_clone3
#define SYS_clone3 435
#endif
#define CLONE_VM_FLAG 0x100u
#define CLONE_PIDFD_FLAG 0x1000u
#define CLONE_VFORK_FLAG 0x4000u
#define CLONE_CHILD_CLEARTID_FLAG 0x200000u
#define CLONE_CHILD_SETTID_FLAG 0x1000000u

struct clone_arguments {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
};

int64_t ckpt_identity_clone(uint64_t flags, int32_t tid, int32_t *pidfd) {
    struct clone_arguments arguments = {.flags = flags, .exit_signal = SIGCHLD};
    uint64_t address = 0;
    // As fork() does: libc keeps the thread's id in its control block, and takes its locks by it.
    if (ckpt_system_call(SYS_prctl, PR_GET_TID_ADDRESS, (uint64_t)&address, 0, 0, 0, 0) == 0 && address != 0) {
        arguments.flags |= CLONE_CHILD_SETTID_FLAG | CLONE_CHILD_CLEARTID_FLAG;
        arguments.child_tid = address;
    }
    if (pidfd) {
        arguments.flags |= CLONE_PIDFD_FLAG;
        arguments.pidfd = (uint64_t)pidfd;
    }
    if (tid != 0) {
        arguments.set_tid = (uint64_t)&tid;
        arguments.set_tid_size = 1;
    }
    return ckpt_system_call(SYS_clone3, (uint64_t)&arguments, sizeof arguments, 0, 0, 0, 0);
}

int64_t ckpt_identity_probe(int32_t tid) {
    // No exit signal: nothing of this is seen by who waits for SIGCHLD.
    struct clone_arguments arguments = {
        .flags = CLONE_VM_FLAG | CLONE_VFORK_FLAG, .set_tid = (uint64_t)&tid, .set_tid_size = 1,
    };
    int64_t result;
    // The child shares this stack and must not touch it: it ends at once.
    __asm__ volatile("syscall\n testq %%rax, %%rax\n jnz 1f\n movl $231, %%eax\n xorl %%edi, %%edi\n syscall\n ud2\n 1:\n"
                     : "=a"(result) : "a"((int64_t)SYS_clone3), "D"(&arguments), "S"(sizeof arguments) : "rcx", "r11", "memory");
    if (result < 0) return result;
    ckpt_system_call(SYS_wait4, (uint64_t)result, 0, __WALL, 0, 0, 0);
    return 0;
}

union descriptor_space {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
};

int64_t ckpt_identity_send(int32_t socket, const int32_t *message, int32_t descriptor) {
    struct iovec vector = {.iov_base = (void *)message, .iov_len = 3 * sizeof(int32_t)};
    struct msghdr header = {.msg_iov = &vector, .msg_iovlen = 1};
    union descriptor_space space = {0};
    if (descriptor >= 0) {
        header.msg_control = space.bytes;
        header.msg_controllen = sizeof space.bytes;
        struct cmsghdr *control = CMSG_FIRSTHDR(&header);
        control->cmsg_level = SOL_SOCKET;
        control->cmsg_type = SCM_RIGHTS;
        control->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(control), &descriptor, sizeof(int));
    }
    int64_t result = ckpt_system_call(SYS_sendmsg, (uint64_t)socket, (uint64_t)&header, MSG_NOSIGNAL, 0, 0, 0);
    return result < 0 ? result : 0;
}

int64_t ckpt_identity_receive(int32_t socket, int32_t *message, int32_t *descriptor) {
    struct iovec vector = {.iov_base = message, .iov_len = 3 * sizeof(int32_t)};
    union descriptor_space space = {0};
    struct msghdr header = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = space.bytes, .msg_controllen = sizeof space.bytes};
    *descriptor = -1;
    int64_t result;
    do result = ckpt_system_call(SYS_recvmsg, (uint64_t)socket, (uint64_t)&header, MSG_CMSG_CLOEXEC, 0, 0, 0);
    while (result == -EINTR);
    if (result < 0) return result;
    if (result != 3 * sizeof(int32_t)) return -EPIPE;
    struct cmsghdr *control = CMSG_FIRSTHDR(&header);
    if (control && control->cmsg_level == SOL_SOCKET && control->cmsg_type == SCM_RIGHTS)
        memcpy(descriptor, CMSG_DATA(control), sizeof(int));
    return 0;
}

int64_t ckpt_identity_held_mutex(const void *bytes, uint64_t byte_count, const int32_t *tids, uint32_t tid_count) {
    const int32_t *words = bytes;
    int32_t low = INT32_MAX, high = 0;
    for (uint32_t i = 0; i < tid_count; i++) {
        if (tids[i] < low) low = tids[i];
        if (tids[i] > high) high = tids[i];
    }
    if (byte_count < 20) return -1;
    // A mutex is aligned to 8 bytes; its owner is the third word.
    for (uint64_t i = 0; i + 5 <= byte_count / 4; i += 2) {
        int32_t owner = words[i + 2];
        if (owner < low || owner > high) continue;
        uint32_t kind = (uint32_t)words[i + 4];
        uint32_t users = (uint32_t)words[i + 3];
        // Recursive 1, error-checking 2; robust 16, priority-inheriting 32; 256 and 512 speak of elision, 128 of sharing.
        int checks = (kind & 3) == 1 || (kind & 3) == 2 || (kind & 0x30) != 0;
        if (words[i] == 0 || !checks || kind > 1023 || users == 0 || users > tid_count) continue;
        int32_t holder = words[i] & 0x3fffffff;
        if ((kind & 0x30) != 0 ? holder != owner : words[i] != 1 && words[i] != 2) continue;
        for (uint32_t k = 0; k < tid_count; k++)
            if (tids[k] == owner) return (int64_t)(i * 4);
    }
    return -1;
}

int64_t ckpt_identity_next_word(const void *bytes, uint64_t byte_count, uint64_t start, const int32_t *tids, uint32_t tid_count) {
    const uint32_t *words = bytes;
    uint32_t low = UINT32_MAX, high = 0;
    for (uint32_t i = 0; i < tid_count; i++) {
        if ((uint32_t)tids[i] < low) low = (uint32_t)tids[i];
        if ((uint32_t)tids[i] > high) high = (uint32_t)tids[i];
    }
    for (uint64_t i = start / 4; i < byte_count / 4; i++) {
        uint32_t id = words[i] & 0x3fffffffu;
        if (id - low > high - low) continue;
        for (uint32_t k = 0; k < tid_count; k++)
            if ((uint32_t)tids[k] == id) return (int64_t)(i * 4);
    }
    return -1;
}
