// SPDX-License-Identifier: Apache-2.0
// What the engine's test programs have in common: a checkpoint, taken and waited for.
#ifndef TAKE_H
#define TAKE_H

#include "ckpt_engine.h"

// The report; NULL: there is no engine that could take it.
static inline struct ckpt_report *checkpoint(void) {
    struct ckpt_live *live = ckpt_engine_live();
    int64_t ticket = ckpt_engine_request(0);
    if (ticket < 0) return NULL;
    for (;;) {
        uint32_t seen = __atomic_load_n(&live->event, __ATOMIC_SEQ_CST);
        if (__atomic_load_n(&live->completed, __ATOMIC_SEQ_CST) >= (uint64_t)ticket) break;
        ckpt_engine_wait_event(seen, 20000000);
    }
    return &live->reports[(live->report_count - 1) % CKPT_REPORT_RING];
}
#endif
