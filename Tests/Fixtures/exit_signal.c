// SPDX-License-Identifier: Apache-2.0
// A before-hook that takes as long as the driver wants: what else is asked for meanwhile finds a checkpoint under way.
#include "fixture.h"

static int wait_for_driver(void *context) {
    (void)context;
    fact("a checkpoint is under way");
    while (access("go-on", F_OK) != 0) fixture_sleep(1);
    return 0;
}

int main(void) {
    fixture_begin();
    need(ckpt_before_checkpoint(wait_for_driver, NULL) > 0);
    fixture_checkpoint_here();
    fact("released");
    return 0;
}
