// SPDX-License-Identifier: Apache-2.0
// A program whose first system call after a restart is execve, with arguments that lie in memory which is loaded late:
// executes leader|thread. The one that does it looks at memory until it is released, or restarted with --env GO=1.
#include "fixture.h"
#include <dirent.h>
#include <sys/wait.h>

#define MIB (1024ul * 1024)
#define TEXT 100000

static volatile int released;
static char *memory, program[PATH_MAX], *words[5];
extern char **environ;

static void *waiting(void *unused) {
    (void)unused;
    fixture_checkpoint_here();
    released = 1;
    return NULL;
}

static void *executing(void *unused) {
    (void)unused;
    while (!released && !ckpt_restart_environment("GO")) {}
    execve(program, words, environ);
    fact("execve: %s", strerror(errno));
    _exit(96);
}

static int descriptors(void) {
    int count = 0;
    DIR *directory = opendir("/proc/self/fd");
    need(directory != NULL);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) count += entry->d_name[0] != '.';
    closedir(directory);
    return count - 1;
}

static int has_mapping(const char *ending) {
    char line[PATH_MAX + 128];
    int found = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    need(maps != NULL);
    while (fgets(line, sizeof line, maps)) found |= strstr(line, ending) != NULL;
    fclose(maps);
    return found;
}

// The new program.
static int executed(int count, char **arguments) {
    sigset_t mask;
    need(sigprocmask(SIG_BLOCK, NULL, &mask) == 0);
    int blocked = 0, taken = 0;
    for (int number = 1; number < NSIG; number++) {
        struct sigaction action;
        blocked += sigismember(&mask, number) == 1;
        taken += sigaction(number, NULL, &action) == 0 && action.sa_handler != SIG_DFL;
    }
    int whole = strlen(arguments[3]) == TEXT;
    for (size_t i = 0; whole && i < TEXT; i++) whole = arguments[3][i] == (char)('a' + i % 23);
    fact("executed with %d words, the long one is %s", count, whole ? "whole" : "not whole");
    fact("signals: %d blocked, %d not at their default", blocked, taken);
    fact("descriptors: %d", descriptors());
    fact_that(!has_mapping(".img\n"));
    fact_that(getpid() == gettid());
    fact_that(waitpid(-1, NULL, __WALL | WNOHANG) == -1 && errno == ECHILD);
    return 43;
}

int main(int count, char **arguments) {
    need(count >= 2);
    if (strcmp(arguments[1], "executed") == 0) return executed(count, arguments);
    need(readlink("/proc/self/exe", program, sizeof program - 1) > 0);
    memory = mmap(NULL, 64 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    need(memory != MAP_FAILED);
    fill(memory, 64 * MIB, 1);
    char *text = memory + 40 * MIB + 17;
    for (size_t i = 0; i < TEXT; i++) text[i] = (char)('a' + i % 23);
    text[TEXT] = 0;
    char *const all[] = {arguments[0], "executed", arguments[1], text};
    for (int i = 0; i < 4; i++) words[i] = all[i];
    fixture_begin();
    int leads = strcmp(arguments[1], "leader") == 0;
    pthread_t thread;
    need(pthread_create(&thread, NULL, leads ? waiting : executing, NULL) == 0);
    if (leads) executing(NULL);
    waiting(NULL);
    for (;;) pause();
}
