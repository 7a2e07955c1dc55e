// SPDX-License-Identifier: Apache-2.0
// The timer of periodic checkpoints comes with enable and goes with disable; what it asked for meanwhile ends nobody.
#include "fixture.h"

// Kernel: a line "ID: N" for each timer of the process (CONFIG_CHECKPOINT_RESTORE).
static int count_timers(void) {
    char line[256];
    int count = 0;
    FILE *timers = fopen("/proc/self/timers", "re");
    need(timers);
    while (fgets(line, sizeof line, timers)) count += strncmp(line, "ID:", 3) == 0;
    fclose(timers);
    return count;
}

int main(void) {
    ckpt_config config;
    ckpt_config_init(&config);
    config.interval = "1ms";
    sigset_t set, before, pending;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    fact("timers at first: %d", count_timers());
    for (int i = 0; i < 50; i++) {
        need(ckpt_enable(&config) == 0);
        need(count_timers() == 1);
        // A signal of the timer is pending for certain when the handler goes.
        need(sigprocmask(SIG_BLOCK, &set, &before) == 0);
        do need(sigpending(&pending) == 0); while (!sigismember(&pending, SIGUSR1));
        if (i % 2 == 0) config.signal = config.signal == SIGUSR2 ? SIGUSR1 : SIGUSR2;
        else need(ckpt_disable() == 0 && count_timers() == 0);
        if (i % 2 == 0) need(ckpt_enable(&config) == 0 && ckpt_disable() == 0);
        config.signal = SIGUSR1;
        need(sigprocmask(SIG_SETMASK, &before, NULL) == 0);
    }
    fact("timers at last: %d", count_timers());
    config.interval = "sometimes";
    fact("an interval that is none: %s", ckpt_strerror(ckpt_enable(&config)));
    config.interval = "auto:24h";
    config.minimum_interval = "1h";
    fact("after Young and Daly: %d", ckpt_enable(&config));
    fact("timers: %d", count_timers());
    fact("now: %d", ckpt_now());
    fact("and again: %d", ckpt_now());
    return 0;
}
