// SPDX-License-Identifier: Apache-2.0
// One of several that come from one image: says what it is told of the others, and writes a file in its own directory.
#include "fixture.h"

static void restarted(void *context, uint32_t count) {
    (void)context;
    fact("restart %u, here %d, siblings %d", count, ckpt_restart_count_here(), ckpt_restart_siblings());
}

int main(void) {
    fixture_begin();
    need(ckpt_after_restart(restarted, NULL) > 0);
    fact("never restarted: %d %d", ckpt_restart_count_here(), ckpt_restart_siblings());
    static int number = 41;
    fixture_checkpoint_here();
    number++;
    int file = open("own", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    need(file >= 0 && dprintf(file, "%d\n", number) == 3);
    close(file);
    fact("number: %d", number);
    return 0;
}
