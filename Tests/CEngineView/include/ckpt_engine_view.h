// SPDX-License-Identifier: Apache-2.0
// What tests see of the engine's private side, in their own process and without a checkpoint.
#ifndef CKPT_ENGINE_VIEW_H
#define CKPT_ENGINE_VIEW_H

#include <stddef.h>
#include <stdint.h>

int ckpt_view_exclude(uint64_t start, uint64_t byte_count, uint32_t exclusion);
int ckpt_view_include(uint64_t start, uint64_t byte_count);
void ckpt_view_forget(uint64_t start, uint64_t end);
// enum ckpt_page_exclusion
uint32_t ckpt_view_page(uint64_t address);
uint64_t ckpt_view_stretch(uint64_t address, uint64_t end, uint32_t *exclusion);
void ckpt_view_clear(uint64_t address, uint8_t *page);
// Range `index` of the table; 0: there is none.
int ckpt_view_range(uint32_t index, uint64_t *start, uint64_t *end, uint32_t *kind);
uint32_t ckpt_view_mark(void);
void ckpt_view_settle(uint32_t mark);
uint64_t ckpt_view_interval(uint64_t cost_ns, uint64_t failure_ns);
// Somewhere in what the engine keeps to itself.
uint64_t ckpt_view_state(void);
// Memory that is the test's own, zero: its address.
uint64_t ckpt_view_map(uint64_t byte_count);
void ckpt_view_unmap(uint64_t start, uint64_t byte_count);
uint64_t ckpt_view_stack(void);

#endif
