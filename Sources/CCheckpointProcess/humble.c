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

static void write_text(const char *path, const char *text) {
    int file = open(path, O_WRONLY | O_CLOEXEC);
    if (file < 0) return;
    ssize_t ignored = write(file, text, strlen(text));
    (void)ignored;
    close(file);
}

int32_t ckpt_process_make_humble(void) {
    setpriority(PRIO_PROCESS, 0, 19);
    // Kernel: with CONFIG_SCHED_AUTOGROUP a nice value counts inside a session only; the session has one of its own.
    setsid();
    write_text("/proc/self/autogroup", "19");
    syscall(SYS_ioprio_set, 1 /* IOPRIO_WHO_PROCESS */, 0, 3 << 13 /* IOPRIO_CLASS_IDLE */);
    // When memory is short, this process rather than the program: the checkpoint fails, and the next one may not.
    write_text("/proc/self/oom_score_adj", "1000");
    // The program may have bound itself, and so this process, to some processors: the idle ones are others. Kernel: what the
    // control group does not allow is left out.
    cpu_set_t all;
    memset(&all, 0xff, sizeof all);
    sched_setaffinity(0, sizeof all, &all);
    return ckpt_process_count_processors();
}
