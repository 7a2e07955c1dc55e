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

// A checkpoint begins with empty tables; its record is the first thing in them, behind the room for the signal actions.
struct ckpt_checkpoint *ckpt_begin(void) {
    struct ckpt_bump tables = {ckpt_arena + CKPT_TABLES_OFFSET, 64 * sizeof(struct ckpt_signal_action), CKPT_TABLES_BYTES};
    struct ckpt_checkpoint *c = ckpt_take(&tables, sizeof *c);
    ckpt_memset(c, 0, sizeof *c);
    c->tables = tables;
    c->strings = (struct ckpt_bump){ckpt_arena + CKPT_STRINGS_OFFSET, 1, CKPT_STRINGS_BYTES};
    *(char *)(ckpt_arena + CKPT_STRINGS_OFFSET) = 0;
    c->actions = (struct ckpt_signal_action *)(ckpt_arena + CKPT_TABLES_OFFSET);
    c->proc = c->output = c->directory = c->replaced = c->parent_map = c->map = c->memory = c->sink = -1;
    c->spans = (struct ckpt_region *)(ckpt_arena + CKPT_SPANS_OFFSET);
    return c;
}
