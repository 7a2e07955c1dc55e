// SPDX-License-Identifier: Apache-2.0
// A restarted program that restarts itself from its own image, below itself: identity_nested CKPT-RESTART IMAGE. With --env DEPTH=2 the
// second does so too. Each one's ids are taken by the one around it, so each lives in a namespace within a namespace.
#include "fixture.h"
#include <sys/wait.h>

extern char **environ;

int main(int count, char **arguments) {
    need(count == 3);
    fixture_begin();
    pid_t process = getpid(), thread = gettid();

    fixture_checkpoint_here();

    const char *depth = ckpt_restart_environment("DEPTH");
    int left = depth ? atoi(depth) : 0;
    if (left > 0) {
        char variable[32];
        snprintf(variable, sizeof variable, "DEPTH=%d", left - 1);
        pid_t child = fork();
        need(child >= 0);
        if (child == 0) {
            execl(arguments[1], arguments[1], "--identity", "keep", "--env", variable, arguments[2], (char *)NULL);
            _exit(96);
        }
        int status;
        need(waitpid(child, &status, 0) == child);
        fact("the one below ended with %d", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
    }
    fact("%d below: ids %s", left, getpid() == process && gettid() == thread && kill(process, 0) == 0 ? "as before" : "others");
    return 40 + left;
}
