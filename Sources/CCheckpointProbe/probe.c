// SPDX-License-Identifier: Apache-2.0
// What this kernel lets this process do. Plan time.
#define _GNU_SOURCE
#include "ckpt_probe.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif
#ifndef PR_SET_MM_MAP_SIZE
#define PR_SET_MM_MAP_SIZE 15
#endif
#ifndef SYS_clone3
#define SYS_clone3 435
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
// Debian 12's headers end before these (linux/userfaultfd.h of 6.7, linux/fs.h of 6.7).
#define UFFD_USER_MODE_ONLY_FLAG 1
#define UFFD_FEATURE_WP_UNPOPULATED_BIT (1ull << 13)
#define UFFD_FEATURE_WP_ASYNC_BIT (1ull << 15)
struct uffd_api { uint64_t api, features, ioctls; };
#define UFFDIO_API_CALL _IOWR(0xAA, 0x3F, struct uffd_api)
struct scan_argument {
    uint64_t size, flags, start, end, walk_end, vector, vector_length, max_pages;
    uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
#define PAGEMAP_SCAN_CALL _IOWR('f', 16, struct scan_argument)
#define PAGE_IS_WRITTEN_BIT 2u

static int32_t result_of(long result) { return result < 0 ? -errno : 0; }

static int32_t closed(int descriptor) {
    if (descriptor < 0) return -errno;
    close(descriptor);
    return 0;
}

static int32_t mount_own_proc(void) {
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) return -errno;
    return result_of(mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL));
}

static int32_t status_of(pid_t child) {
    int status;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR) return -errno;
    return WIFEXITED(status) ? -WEXITSTATUS(status) : -EPERM;
}

// In a child: namespaces cannot be left again. Its exit status is the errno. The write of the id maps is left out: what is
// forbidden fails before it.
static int32_t unshare_in_child(int flags, _Bool with_proc) {
    pid_t child = fork();
    if (child < 0) return -errno;
    if (child > 0) return status_of(child);
    if (unshare(flags) < 0) _exit(errno);
    if (with_proc) {
        pid_t inner = fork();
        if (inner < 0) _exit(errno);
        if (inner == 0) _exit(-mount_own_proc());
        _exit(-status_of(inner));
    }
    _exit(0);
}

static int32_t set_tid(void) {
    // Kernel: without the right EPERM comes first; with it, id 1 is taken: EEXIST (kernel/pid.c, alloc_pid).
    struct { uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup; } arguments;
    pid_t wanted = 1;
    memset(&arguments, 0, sizeof arguments);
    arguments.exit_signal = SIGCHLD;
    arguments.set_tid = (uint64_t)(uintptr_t)&wanted;
    arguments.set_tid_size = 1;
    long child = syscall(SYS_clone3, &arguments, sizeof arguments);
    if (child == 0) _exit(0);
    if (child > 0) return status_of((pid_t)child);
    return errno == EEXIST ? 0 : -errno;
}

static int32_t uffd_async(void) {
    int descriptor = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY_FLAG);
    if (descriptor < 0) return -errno;
    struct uffd_api api = { 0xAA, UFFD_FEATURE_WP_ASYNC_BIT | UFFD_FEATURE_WP_UNPOPULATED_BIT, 0 };
    int32_t result = result_of(ioctl(descriptor, UFFDIO_API_CALL, &api));
    close(descriptor);
    return result;
}

static int32_t pagemap_scan(void) {
    int descriptor = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return -errno;
    long page = sysconf(_SC_PAGESIZE);
    uint64_t start = (uint64_t)(uintptr_t)&page & ~(uint64_t)(page - 1);
    struct scan_argument scan = { .size = sizeof scan, .start = start, .end = start + (uint64_t)page,
                                  .category_mask = 0, .return_mask = PAGE_IS_WRITTEN_BIT };
    uint64_t regions[3];
    scan.vector = (uint64_t)(uintptr_t)regions;
    scan.vector_length = 1;
    int32_t result = result_of(ioctl(descriptor, PAGEMAP_SCAN_CALL, &scan));
    close(descriptor);
    return result;
}

static int32_t clone3_is_there(void) {
    // Kernel: a size of 0 is EINVAL where the call exists.
    syscall(SYS_clone3, NULL, 0);
    return errno == ENOSYS ? -ENOSYS : 0;
}

int32_t ckpt_probe(enum ckpt_probe probe) {
    unsigned size;
    switch (probe) {
    case CKPT_PROBE_PROC: return closed(open("/proc/self/maps", O_RDONLY | O_CLOEXEC));
    case CKPT_PROBE_CLONE3: return clone3_is_there();
    case CKPT_PROBE_MM_MAP: return result_of(prctl(PR_SET_MM, PR_SET_MM_MAP_SIZE, &size, 0, 0));
    case CKPT_PROBE_PIDFD: return closed((int)syscall(SYS_pidfd_open, getpid(), 0));
    case CKPT_PROBE_TMPFILE: return closed(open(".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
    case CKPT_PROBE_USER_NAMESPACE: return unshare_in_child(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS, 0);
    case CKPT_PROBE_OWN_PROC: return unshare_in_child(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS, 1);
    case CKPT_PROBE_TIME_NAMESPACE: return unshare_in_child(CLONE_NEWUSER | CLONE_NEWTIME, 0);
    case CKPT_PROBE_SET_TID: return set_tid();
    case CKPT_PROBE_UFFD_ASYNC: return uffd_async();
    case CKPT_PROBE_PAGEMAP_SCAN: return pagemap_scan();
    }
    return -EINVAL;
}
