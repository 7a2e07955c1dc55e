// SPDX-License-Identifier: Apache-2.0
// Orders one system call of the scribe, its helpers or its child to go wrong.
#ifndef FAULTY_H
#define FAULTY_H

#include <stdint.h>

enum fault { FAULT_NONE, FAULT_EIO, FAULT_ENOSPC, FAULT_EINTR, FAULT_SHORT, FAULT_KILL, FAULT_KILL_PROGRAM, FAULTS };
// In memory that all processes share.
struct faulty {
    uint64_t count;         // calls so far
    uint64_t at;            // which one goes wrong; 0: none
    uint32_t fault;         // enum fault
    uint32_t fired;         // it went wrong (a call that cannot fail so is passed on)
    int32_t program;        // its own calls are not counted
    uint32_t reserved;
    int64_t number;         // of the system call
};
extern struct faulty *faulty;
extern int64_t clock_jump_ns;  // what the clock of the day is off, as the engine sees it; whole seconds
#endif
