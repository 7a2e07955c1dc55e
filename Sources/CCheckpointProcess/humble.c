// SPDX-License-Identifier: Apache-2.0
// Plan time: makes this process one that gives way to the program whose image it writes.
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "include/ckpt_process.h"

int32_t ckpt_process_count_processors(void) {
    cpu_set_t mine;
    return sched_getaffinity(0, sizeof mine, &mine) == 0 && CPU_COUNT(&mine) > 0 ? CPU_COUNT(&mine) : 1;
}

int32_t ckpt_process_make_humble(void) {
    setpriority(PRIO_PROCESS, 0, 19);
    syscall(SYS_ioprio_set, 1 /* IOPRIO_WHO_PROCESS */, 0, 3 << 13 /* IOPRIO_CLASS_IDLE */);
    // When memory is short, this process rather than the program: the checkpoint fails, and the next one may not.
    int file = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (file >= 0) {
        ssize_t ignored = write(file, "1000", 4);
        (void)ignored;
        close(file);
    }
    // The program may have bound itself, and so this process, to some processors: the idle ones are others. Kernel: what the
    // control group does not allow is left out.
    cpu_set_t all;
    memset(&all, 0xff, sizeof all);
    sched_setaffinity(0, sizeof all, &all);
    return ckpt_process_count_processors();
}
