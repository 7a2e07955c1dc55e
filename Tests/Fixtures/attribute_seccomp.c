// SPDX-License-Identifier: Apache-2.0
// Seccomp filters: "inherited": the program was started with one. "tried": it installs one and enables checkpoints once more.
// "untried": it does not. "forbids", "kills": one that refuses, or ends the program for, what checkpoints need.
// "thread": an untried one in a thread other than the one that asks.
#include "fixture.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

// Everything is allowed but these two calls.
static void install(int number, int other, unsigned action) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0), // struct seccomp_data: nr
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)number, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)other, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, action),
    };
    struct sock_fprog program = { sizeof code / sizeof *code, code };
    need(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    need(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

static pthread_barrier_t prepared;
static int released;
static void *work(void *unused) {
    install(SYS_getrusage, SYS_get_robust_list, SECCOMP_RET_KILL_PROCESS);
    pthread_barrier_wait(&prepared);
    while (!__atomic_load_n(&released, __ATOMIC_SEQ_CST)) fixture_sleep(1);
    return unused;
}

int main(int count, char **arguments) {
    const char *kind = count > 1 ? arguments[1] : "tried";
    if (strcmp(kind, "inherited") == 0 && count == 2) {
        install(SYS_acct, SYS_swapon, SECCOMP_RET_ERRNO | EPERM);
        execl("/proc/self/exe", arguments[0], "inherited", "again", NULL);
        _exit(96);
    }
    fixture_begin();
    pthread_t thread;
    int mode = 2;
    if (strcmp(kind, "tried") == 0 || strcmp(kind, "untried") == 0) install(SYS_acct, SYS_swapon, SECCOMP_RET_ERRNO | EPERM);
    if (strcmp(kind, "forbids") == 0) install(SYS_linkat, SYS_rt_tgsigqueueinfo, SECCOMP_RET_ERRNO | EPERM);
    if (strcmp(kind, "kills") == 0) install(SYS_clone, SYS_getrusage, SECCOMP_RET_KILL_PROCESS);
    if (strcmp(kind, "kills-late") == 0) install(SYS_getrusage, SYS_get_robust_list, SECCOMP_RET_KILL_PROCESS);
    if (strcmp(kind, "thread") == 0) {
        mode = 0;
        pthread_barrier_init(&prepared, NULL, 2);
        need(pthread_create(&thread, NULL, work, NULL) == 0);
        pthread_barrier_wait(&prepared);
    }
    if (strcmp(kind, "tried") == 0 || strcmp(kind, "forbids") == 0 || strcmp(kind, "kills-late") == 0) {
        int error = ckpt_enable(NULL);
        fact("enabled once more: %s", error == 0 ? "yes" : ckpt_strerror(error));
    }
    fixture_checkpoint_here();
    if (strcmp(kind, "inherited") == 0) { fact("it goes on, wherever it is now"); return 0; }
    fact("mode %d, another %d, acct: %s", prctl(PR_GET_SECCOMP) == mode, prctl(PR_GET_SECCOMP), acct(NULL) == 0 ? "done" : strerror(errno));
    if (strcmp(kind, "thread") == 0) {
        __atomic_store_n(&released, 1, __ATOMIC_SEQ_CST);
        pthread_join(thread, NULL);
    }
    return 0;
}
