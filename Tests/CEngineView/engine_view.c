// SPDX-License-Identifier: Apache-2.0
// The engine's private functions under names that Swift can call. Plan time; links statically with the engine.
#include <sys/mman.h>
#include "../../Sources/CCheckpointEngine/engine.h"
#include "ckpt_engine_view.h"

int ckpt_view_exclude(uint64_t start, uint64_t byte_count, uint32_t exclusion) {
    return ckpt_engine_exclude((const void *)start, byte_count, exclusion);
}
int ckpt_view_include(uint64_t start, uint64_t byte_count) { return ckpt_engine_include((const void *)start, byte_count); }
void ckpt_view_forget(uint64_t start, uint64_t end) { ckpt_forget_exclusion(start, end); }
uint32_t ckpt_view_page(uint64_t address) { return ckpt_exclusion_of_page(address); }
uint64_t ckpt_view_stretch(uint64_t address, uint64_t end, uint32_t *exclusion) { return ckpt_exclusion_stretch(address, end, exclusion); }
void ckpt_view_clear(uint64_t address, uint8_t *page) { ckpt_clear_dead_bytes(address, page); }
int ckpt_view_range(uint32_t index, uint64_t *start, uint64_t *end, uint32_t *kind) {
    uint32_t count;
    const struct ckpt_excluded *ranges = ckpt_exclusions(&count);
    if (index >= count) return 0;
    *start = ranges[index].start;
    *end = ranges[index].end;
    *kind = ranges[index].kind;
    return 1;
}
uint32_t ckpt_view_mark(void) { return ckpt_exclusions_mark(); }
void ckpt_view_settle(uint32_t mark) { ckpt_exclusions_settle(mark); }
uint64_t ckpt_view_interval(uint64_t cost_ns, uint64_t failure_ns) { return ckpt_optimal_interval(cost_ns, failure_ns); }
uint64_t ckpt_view_state(void) { return (uint64_t)&ckpt_state + 100; }
uint64_t ckpt_view_map(uint64_t byte_count) {
    return (uint64_t)mmap(NULL, byte_count, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}
void ckpt_view_unmap(uint64_t start, uint64_t byte_count) { munmap((void *)start, byte_count); }
uint64_t ckpt_view_stack(void) { return (uint64_t)__builtin_frame_address(0); }
