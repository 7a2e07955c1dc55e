// SPDX-License-Identifier: Apache-2.0
// A thread that blocks every signal by a raw system call, glibc's own ones too, until the file `obey` is there.
#include "fixture.h"

static int blocked;
static void *refuse(void *unused) {
    (void)unused;
    pthread_setname_np(pthread_self(), "stubborn");
    uint64_t all = ~0ull, before;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, 8);
    __atomic_store_n(&blocked, 1, __ATOMIC_SEQ_CST);
    while (access("obey", F_OK) != 0) fixture_sleep(1);
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, 8);
    while (access("release", F_OK) != 0) fixture_sleep(1);
    return "obeys";
}

int main(void) {
    fixture_begin();
    pthread_t thread;
    need(pthread_create(&thread, NULL, refuse, NULL) == 0);
    while (!__atomic_load_n(&blocked, __ATOMIC_SEQ_CST)) fixture_sleep(1);
    fixture_checkpoint_here();
    void *result;
    pthread_join(thread, &result);
    fact("the thread %s", (char *)result);
    return 0;
}
