// SPDX-License-Identifier: Apache-2.0
// The engine as plan time sees it. Everything else in this target is private to signal time.
#ifndef CKPT_ENGINE_H
#define CKPT_ENGINE_H

#include "../../../include/ckpt/checkpoint_plan.h"

enum ckpt_request_flag { CKPT_REQUEST_EXIT = 1 /* checkpoint and exit */, CKPT_REQUEST_PERIODIC = 2 /* by the interval's timer */ };

// Arms the process with this plan, which is copied: maps the arena and the beacon, installs the handlers. Armed before:
// the new plan replaces the old one. Returns 0 or a negative errno: -EBUSY when the program handles one of the signals
// itself, -EINVAL for a plan that is not valid.
// -EPERM with a name in `ckpt_engine_refused_call`: a seccomp filter of the program forbids what checkpoints need.
int ckpt_engine_arm(const struct ckpt_plan *plan);
const char *ckpt_engine_refused_call(void); // NULL: none

// Gives the signals back and unmaps arena and beacon; waits for a checkpoint that is under way. 0 or a negative errno.
int ckpt_engine_disarm(void);

// Asks for a checkpoint. Returns its ticket (> 0; done when `completed` of the live state reaches it) or a negative errno.
// Callable from any thread and from a signal handler.
int64_t ckpt_engine_request(uint32_t flags);

// The live state; never NULL, valid for the life of the process.
struct ckpt_live *ckpt_engine_live(void);

// Waits until `event` differs from `seen` or the time is over (0: no limit). A futex wait; may return early.
void ckpt_engine_wait_event(uint32_t seen, uint64_t timeout_ns);
// Increments `event` and wakes everybody who waits for it.
void ckpt_engine_announce(void);

// Excludes a range of memory, exact to the byte, as enum ckpt_exclusion says; includes it again. A later call wins. Before the
// process is armed too. 0 or a negative errno: -EINVAL: empty, wrapping, or no such kind; -EPERM: the engine's own memory;
// -EFAULT: not mapped; -ENOSPC: the table (4096 ranges) is full. A stack in use is the caller's to refuse.
int ckpt_engine_exclude(const void *start, uint64_t byte_count, uint32_t exclusion);
int ckpt_engine_include(const void *start, uint64_t byte_count);

// The capture without a freeze, for preflight(): writes the notes of an image of this moment (threads without registers,
// no runs) into `buffer`. Returns the byte count or a negative errno (-ENOSPC: too small).
int64_t ckpt_engine_survey(void *buffer, size_t byte_count);
#endif
