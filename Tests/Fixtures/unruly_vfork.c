// SPDX-License-Identifier: Apache-2.0
// A thread in vfork: its child opens a FIFO before it execs, so the thread waits, and no signal reaches it.
#include "fixture.h"
#include <spawn.h>
#include <sys/wait.h>

static void *spawn(void *unused) {
    (void)unused;
    pthread_setname_np(pthread_self(), "spawning");
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "fifo", O_RDONLY, 0);
    pid_t child;
    char *arguments[] = { "true", NULL };
    int error = posix_spawnp(&child, "true", &actions, NULL, arguments, NULL);
    int status = -1;
    if (error == 0) while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    static char line[100];
    snprintf(line, sizeof line, "%s, status %d", strerror(error), status);
    return line;
}

int main(void) {
    fixture_begin();
    need(mkfifo("fifo", 0600) == 0);
    pthread_t thread;
    need(pthread_create(&thread, NULL, spawn, NULL) == 0);
    char path[64] = "/proc/thread-self/children", line[64] = "";
    (void)path;
    (void)line;
    fixture_sleep(50);
    fixture_checkpoint_here();
    void *result;
    pthread_join(thread, &result);
    fact("the spawn: %s", (char *)result);
    return 0;
}
