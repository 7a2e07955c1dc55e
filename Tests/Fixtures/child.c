// SPDX-License-Identifier: Apache-2.0
// After a checkpoint, and after a restart, a program can have children: fork, wait, SIGCHLD, posix_spawn of a thread's own.
#include "fixture.h"
#include <sys/wait.h>

static volatile int ended;
static void child_ended(int number) { (void)number; ended++; }

int main(void) {
    fixture_begin();
    signal(SIGCHLD, child_ended);
    fixture_checkpoint_here();
    for (int i = 0; i < 5; i++) {
        pid_t child = fork();
        if (child == 0) _exit(getppid() > 0 ? 10 + i : 1);
        int status = 0;
        pid_t waited;
        do waited = waitpid(child, &status, 0); while (waited < 0 && errno == EINTR);
        fact("child %d: waited for %d, status %d", i, waited == child, WIFEXITED(status) ? WEXITSTATUS(status) : -1);
    }
    fact("told %d times; no more children: %d", ended, waitpid(-1, NULL, 0) < 0 && errno == ECHILD);
    return 7;
}
