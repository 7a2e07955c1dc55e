// SPDX-License-Identifier: Apache-2.0
// ckpt_enable once more gives new settings: another signal, another image; and what it refuses.
#include "fixture.h"

static void handle(int number) { (void)number; }
static int handles(int number) {
    struct sigaction action;
    sigaction(number, NULL, &action);
    return action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN;
}

int main(void) {
    fixture_begin();
    fact("first: USR1 %d, USR2 %d", handles(SIGUSR1), handles(SIGUSR2));
    ckpt_config config;
    ckpt_config_init(&config);
    config.signal = SIGUSR2;
    config.image = "second.img";
    fact("again: %d", ckpt_enable(&config));
    fact("then: USR1 %d, USR2 %d", handles(SIGUSR1), handles(SIGUSR2));
    signal(SIGUSR1, handle);
    fact("with a signal that the program handles: %s", ckpt_strerror(ckpt_enable(NULL)));
    fact("still: USR1 %d, USR2 %d", handles(SIGUSR1), handles(SIGUSR2));
    config.signal = SIGKILL;
    fact("with a signal that nobody can handle: %s", ckpt_strerror(ckpt_enable(&config)));
    fixture_checkpoint_here();
    int disabled = ckpt_disable();
    fact("disable: %d; USR1 %d, USR2 %d", disabled, handles(SIGUSR1), handles(SIGUSR2));
    fact("a second time: %s", ckpt_strerror(ckpt_disable()));
    return 0;
}
