// SPDX-License-Identifier: Apache-2.0
// A program that asks for a checkpoint and in the next moment does what its argument says: fork, exec, exit, kill.
#include "fixture.h"
#include <sys/wait.h>

int main(int count, char **arguments) {
    const char *kind = count > 1 ? arguments[1] : "exit";
    long delay = count > 2 ? atol(arguments[2]) : 0; // microseconds
    fixture_begin();
    static char memory[8 << 20];
    fill(memory, sizeof memory, 1);
    raise(SIGUSR1);
    struct timespec time = { 0, delay * 1000 };
    if (delay > 0) nanosleep(&time, NULL);
    if (strcmp(kind, "exit") == 0) _exit(3);
    if (strcmp(kind, "kill") == 0) kill(0, SIGKILL);
    if (strcmp(kind, "exec") == 0) {
        execlp("echo", "echo", "another program", NULL);
        return 1;
    }
    if (strcmp(kind, "fork") == 0) {
        pid_t child = fork();
        if (child == 0) _exit(is_filled(memory, sizeof memory, 1) ? 11 : 12);
        int status = 0;
        while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
        fact("the child ended with %d; no other child: %d", WIFEXITED(status) ? WEXITSTATUS(status) : -1, waitpid(-1, NULL, 0) < 0);
        return 4;
    }
    return 2;
}
