// SPDX-License-Identifier: Apache-2.0
// Captures the signal actions.
// Signal time: safe. Runs in a parked thread of the program, because the scribe has only a copy of the table.
#include "engine.h"

// `actions` has room for 64.
void ckpt_capture_signals(struct ckpt_signal_action *actions) {
    // The program may have installed a handler of its own since.
    if (ckpt_guard_is_open()) ckpt_guard_install();
    for (uint32_t number = 1; number <= 64; number++) {
        struct ckpt_kernel_action now = {0, 0, 0, 0};
        ckpt_sigaction((int)number, NULL, &now);
        // The handler of the tracker stands before the program's own, which is what a restarted program has.
        if (now.handler == (uint64_t)ckpt_guard_entry) now = ckpt_guard()->before;
        actions[number - 1] = (struct ckpt_signal_action){number, 0, now.handler, now.flags, now.restorer, now.mask};
    }
}
