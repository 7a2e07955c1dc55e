// SPDX-License-Identifier: Apache-2.0
// What each signal does: handlers with their flags and masks, ignored signals, the default.
#include "fixture.h"

static volatile int received[65];
static void handle(int number) { received[number]++; }
static void handle_with_info(int number, siginfo_t *info, void *context) { (void)context; received[number] += info->si_value.sival_int; }

int main(void) {
    fixture_begin();
    struct sigaction action = { .sa_handler = handle, .sa_flags = SA_RESTART };
    sigaddset(&action.sa_mask, SIGTERM);
    need(sigaction(SIGUSR2, &action, NULL) == 0);
    action = (struct sigaction){ .sa_handler = handle, .sa_flags = SA_RESETHAND | SA_NODEFER };
    need(sigaction(SIGHUP, &action, NULL) == 0);
    action = (struct sigaction){ .sa_sigaction = handle_with_info, .sa_flags = SA_SIGINFO };
    need(sigaction(SIGRTMIN + 3, &action, NULL) == 0);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGTERM, SIG_IGN);

    fixture_checkpoint_here();

    struct sigaction found;
    int numbers[] = { SIGUSR2, SIGHUP, SIGRTMIN + 3, SIGPIPE, SIGTERM, SIGINT, SIGCHLD, SIGSEGV };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        need(sigaction(numbers[i], NULL, &found) == 0);
        const char *handler = found.sa_handler == SIG_DFL ? "default" : found.sa_handler == SIG_IGN ? "ignored"
            : found.sa_handler == handle ? "handle" : found.sa_sigaction == handle_with_info ? "handle with info" : "another";
        fact("signal %d: %s, flags %x, mask has TERM: %d", numbers[i], handler, found.sa_flags, sigismember(&found.sa_mask, SIGTERM));
    }
    raise(SIGUSR2);
    raise(SIGUSR2);
    raise(SIGHUP);
    sigqueue(getpid(), SIGRTMIN + 3, (union sigval){ .sival_int = 17 });
    fact("received %d, %d, %d", received[SIGUSR2], received[SIGHUP], received[SIGRTMIN + 3]);
    raise(SIGTERM);
    raise(SIGPIPE);
    sigaction(SIGHUP, NULL, &found);
    fact("SIGHUP is the default again: %d", found.sa_handler == SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    raise(SIGTERM);
    fact("not reached");
    return 1;
}
