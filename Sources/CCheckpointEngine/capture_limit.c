// SPDX-License-Identifier: Apache-2.0
// Captures the resource limits of the process.
// Signal time: safe. One call for each, in the scribe while the program is frozen. Kernel: prlimit(2) asks that all user and
// group ids be the same; a process that has changed some of them is asked by its own thread in a survey, and not in a freeze.
#include "engine.h"

#define RESOURCES 16u // RLIM_NLIMITS

int ckpt_capture_limits(struct ckpt_checkpoint *c) {
    c->limit_count = 0;
    c->limits = ckpt_take(&c->tables, RESOURCES * sizeof *c->limits);
    if (!c->limits) { c->step = CKPT_STEP_ARENA; return -CKPT_ENOMEM; }
    for (uint32_t i = 0; i < RESOURCES; i++) {
        struct ckpt_limit *limit = &c->limits[c->limit_count];
        *limit = (struct ckpt_limit){i, 0, 0, 0};
        // struct rlimit64: soft, hard
        if (ckpt_call(__NR_prlimit64, c->pid, i, NULL, &limit->soft) == 0) c->limit_count++;
    }
    return 0;
}
