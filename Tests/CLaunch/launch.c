// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "launch.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define WORDS_MAX 256
static int split(const char *bytes, char **words) {
    int count = 0;
    for (; *bytes; bytes += strlen(bytes) + 1) {
        if (count == WORDS_MAX) return E2BIG;
        words[count++] = (char *)bytes;
    }
    words[count] = NULL;
    return 0;
}

int ckpt_test_launch(const char *directory, const char *words, const char *variables, const char *input, const char *output,
                     const char *error, pid_t *id) {
    char *arguments[WORDS_MAX + 1], *environment[WORDS_MAX + 1];
    if (split(words, arguments) || split(variables, environment)) return E2BIG;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addchdir_np(&actions, directory);
    const char *streams[3] = { input, output, error };
    for (int number = 0; number < 3; number++) {
        if (streams[number][0] == 0) posix_spawn_file_actions_addclose(&actions, number);
        else posix_spawn_file_actions_addopen(&actions, number, streams[number], number == 0 ? O_RDONLY : O_WRONLY | O_CREAT | O_APPEND, 0666);
    }
    posix_spawn_file_actions_addclosefrom_np(&actions, 3);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    int result = posix_spawnp(id, arguments[0], &actions, &attributes, arguments, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return result;
}

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
// Order: the descriptor first, so that the name is that of the process which gets the signal.
int ckpt_test_signal_named(pid_t id, const char *name, int signal) {
    char path[64], found[32] = "";
    int process = (int)syscall(SYS_pidfd_open, id, 0);
    if (process < 0) return errno;
    snprintf(path, sizeof path, "/proc/%d/comm", id);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    long length = file < 0 ? 0 : read(file, found, sizeof found - 1);
    if (file >= 0) close(file);
    int result = length > 0 && strncmp(found, name, strlen(name)) == 0 ? 0 : ESRCH;
    if (result == 0 && syscall(SYS_pidfd_send_signal, process, signal, NULL, 0) < 0) result = errno;
    close(process);
    return result;
}
