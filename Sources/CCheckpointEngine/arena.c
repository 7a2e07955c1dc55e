// SPDX-License-Identifier: Apache-2.0
// The engine's own memory: allocation that only grows and is forgotten with the checkpoint.
// Signal time: safe. Bounded by the arena, calls nothing.
#include "engine.h"

void *ckpt_take(struct ckpt_bump *bump, uint64_t byte_count) {
    bump->used = (bump->used + 15) & ~15ull;
    return ckpt_extend(bump, byte_count);
}

void *ckpt_extend(struct ckpt_bump *bump, uint64_t byte_count) {
    if (bump->used > bump->limit || byte_count > bump->limit - bump->used) return NULL;
    void *result = (void *)(bump->base + bump->used);
    bump->used += byte_count;
    return result;
}

uint32_t ckpt_string(struct ckpt_checkpoint *c, const char *text, size_t length) {
    struct ckpt_bump *strings = &c->strings;
    if (length == 0 || length + 1 > strings->limit - strings->used) return 0;
    char *to = (char *)(strings->base + strings->used);
    uint32_t offset = (uint32_t)strings->used;
    ckpt_memcpy(to, text, length);
    to[length] = 0;
    strings->used += length + 1;
    return offset;
}
