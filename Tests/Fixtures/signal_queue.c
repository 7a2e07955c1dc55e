// SPDX-License-Identifier: Apache-2.0
// Real-time signals that are queued with a value, several of one number.
#include "fixture.h"

static void handle(int number, siginfo_t *info, void *context) {
    (void)context;
    fact("signal %d with value %d, code %d", number, info->si_value.sival_int, info->si_code);
}

int main(void) {
    fixture_begin();
    struct sigaction action = { .sa_sigaction = handle, .sa_flags = SA_SIGINFO };
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGRTMIN + 6);
    sigaction(SIGRTMIN + 6, &action, NULL);
    pthread_sigmask(SIG_BLOCK, &blocked, NULL);
    for (int i = 1; i <= 3; i++) sigqueue(getpid(), SIGRTMIN + 6, (union sigval){ .sival_int = i * 11 });
    fixture_checkpoint_here();
    pthread_sigmask(SIG_UNBLOCK, &blocked, NULL);
    fact("that is all");
    return 0;
}
