// SPDX-License-Identifier: Apache-2.0
// Holds so many queued signals of its user until it is killed: full_queue COUNT. A program of this user with a lower limit
// (RLIMIT_SIGPENDING) gets no further queued signal for as long; those of kill() reach it.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

int main(int count, char **arguments) {
    struct rlimit limit;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMAX);
    if (count != 2 || sigprocmask(SIG_BLOCK, &set, NULL) != 0 || getrlimit(RLIMIT_SIGPENDING, &limit) != 0) return 1;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_SIGPENDING, &limit) != 0) return 1;
    for (int left = atoi(arguments[1]); left > 0; left--)
        if (sigqueue(getpid(), SIGRTMAX, (union sigval){0}) != 0) { perror("full_queue: sigqueue"); return 1; }
    puts("full");
    fflush(stdout);
    for (;;) pause();
}
