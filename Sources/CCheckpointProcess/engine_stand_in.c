// SPDX-License-Identifier: Apache-2.0
// Weak definitions that let the library link before the engine is there; the engine's own replace them.
#include "ckpt_process.h"
#include <errno.h>

static struct ckpt_live nothing;
__attribute__((weak)) int ckpt_engine_arm(const struct ckpt_plan *plan) { (void)plan; return -ENOSYS; }
__attribute__((weak)) int ckpt_engine_disarm(void) { return 0; }
__attribute__((weak)) int64_t ckpt_engine_request(uint32_t flags) { (void)flags; return -ENOSYS; }
__attribute__((weak)) struct ckpt_live *ckpt_engine_live(void) { return &nothing; }
__attribute__((weak)) void ckpt_engine_wait_event(uint32_t seen, uint64_t timeout_ns) { (void)seen; (void)timeout_ns; }
__attribute__((weak)) void ckpt_engine_announce(void) {}
__attribute__((weak)) int64_t ckpt_engine_survey(void *buffer, size_t byte_count) { (void)buffer; (void)byte_count; return -ENOSYS; }
