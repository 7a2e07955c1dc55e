// SPDX-License-Identifier: Apache-2.0
// What prctl and its like set: for the process, and for one thread another than for the others. With "hidden": a process that is
// not dumpable, so that /proc is closed to others of its user, and that may not make memory executable which was not.
#include "fixture.h"
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static pthread_barrier_t prepared, released;

static int asked(int option) {
    int value = -1;
    return prctl(option, &value) == 0 ? value : -1;
}

static int adjustment(void) {
    char text[16] = "";
    int file = open("/proc/self/oom_score_adj", O_RDONLY | O_CLOEXEC);
    if (file < 0 || read(file, text, sizeof text - 1) <= 0) return -9999;
    close(file);
    return atoi(text);
}

static void describe(const char *who, int with_death_signal) {
    // A restarted program that asked for none has one all the same: it ends with its supervisor.
    fact("%s: death signal %d, no new privileges %d, keeps capabilities %d, securebits %d, personality %x, time stamps %d, machine checks %d, store bypass %d, indirect branches %d",
        who, with_death_signal ? asked(PR_GET_PDEATHSIG) : 0, prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), prctl(PR_GET_KEEPCAPS), prctl(PR_GET_SECUREBITS),
        (unsigned)personality(0xffffffff), asked(PR_GET_TSC), prctl(PR_MCE_KILL_GET, 0, 0, 0, 0),
        prctl(PR_GET_SPECULATION_CTRL, 0, 0, 0, 0), prctl(PR_GET_SPECULATION_CTRL, 1, 0, 0, 0));
}

static void *work(void *unused) {
    (void)unused;
    need(prctl(PR_SET_PDEATHSIG, SIGHUP) == 0);
    need(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    need(personality(ADDR_NO_RANDOMIZE | READ_IMPLIES_EXEC) >= 0);
    prctl(PR_SET_SPECULATION_CTRL, 0, PR_SPEC_DISABLE, 0, 0);
    pthread_barrier_wait(&prepared);
    pthread_barrier_wait(&released);
    describe("the thread", 1);
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    need(page != MAP_FAILED);
    *page = (char)0xc3; // ret
    ((void (*)(void))page)();
    fact("memory that can be read can be executed");
    return NULL;
}

static void hidden(void) {
    need(prctl(PR_SET_DUMPABLE, 0) == 0);
    int refuses = prctl(65 /* PR_SET_MDWE */, 1 | 2 /* PR_MDWE_NO_INHERIT */, 0, 0, 0);
    if (refuses != 0) refuses = prctl(65, 1, 0, 0, 0);
    fixture_checkpoint_here();
    fact("dumpable %d, own page map %s, memory that becomes executable: %d", prctl(PR_GET_DUMPABLE), access("/proc/self/pagemap", R_OK) == 0 || geteuid() == 0 ? "open" : "closed",
        prctl(66 /* PR_GET_MDWE */, 0, 0, 0, 0));
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int result = mprotect(page, 4096, PROT_READ | PROT_EXEC);
    fact("making it executable: %s", result == 0 ? "done" : strerror(errno));
    pid_t child = fork();
    if (child == 0) _exit(prctl(PR_GET_DUMPABLE));
    int status;
    need(waitpid(child, &status, 0) == child);
    fact("a child's dumpable %d", WEXITSTATUS(status));
}

int main(int count, char **arguments) {
    fixture_begin();
    if (count > 1 && strcmp(arguments[1], "hidden") == 0) { hidden(); return 0; }
    pthread_barrier_init(&prepared, NULL, 2);
    pthread_barrier_init(&released, NULL, 2);
    pthread_t thread;
    need(pthread_create(&thread, NULL, work, NULL) == 0);
    need(prctl(PR_SET_PDEATHSIG, SIGTERM) == 0);
    need(prctl(PR_SET_KEEPCAPS, 1) == 0);
    need(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    need(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0);
    prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0);
    need(personality(ADDR_NO_RANDOMIZE) >= 0);
    int file = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    need(file >= 0 && write(file, "321", 3) == 3);
    close(file);
    pthread_barrier_wait(&prepared);
    fixture_checkpoint_here();
    describe("the first thread", 1);
    fact("the process: dumpable %d, no huge pages %d, subreaper %d, oom_score_adj %d", prctl(PR_GET_DUMPABLE), prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0),
        asked(PR_GET_CHILD_SUBREAPER), adjustment());
    pthread_barrier_wait(&released);
    need(pthread_join(thread, NULL) == 0);
    return 0;
}
