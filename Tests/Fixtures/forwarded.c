// SPDX-License-Identifier: Apache-2.0
// Counts the signals that reach it: each that is sent, once.
#include "fixture.h"

static volatile int received[65];
static void handle(int number) { received[number]++; }

int main(void) {
    fixture_begin();
    int numbers[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR2, SIGWINCH };
    for (int i = 0; i < 6; i++) signal(numbers[i], handle);
    fixture_checkpoint_here();
    fact("INT %d, TERM %d, HUP %d, QUIT %d, USR2 %d, WINCH %d", received[SIGINT], received[SIGTERM], received[SIGHUP], received[SIGQUIT],
        received[SIGUSR2], received[SIGWINCH]);
    for (int i = 0; i < 6; i++) signal(numbers[i], SIG_DFL);
    return 42;
}
