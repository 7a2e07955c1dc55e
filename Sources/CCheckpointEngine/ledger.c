// SPDX-License-Identifier: Apache-2.0
// The ledger: for each page of the program, where its bytes are in the image that is being written.
// Signal time: safe. A table in the arena that only grows; calls nothing.
//
// Two levels: blocks of 2 MiB of addresses, found by hashing, each with 512 records. It takes 0.2 % of the memory that it
// describes: 2 MiB for each GiB.
#include "engine.h"

#define BLOCKS_MAX 65536u
#define SLOTS 131072u // a power of two, twice the blocks
#define BLOCK_SHIFT 21

int ckpt_ledger_begin(struct ckpt_checkpoint *c) {
    struct ckpt_ledger *ledger = &c->ledger;
    ledger->memory = (struct ckpt_bump){ckpt_arena + CKPT_LEDGER_OFFSET, 0, CKPT_LEDGER_BYTES};
    // The arena is empty here: zeros cost nothing until they are touched.
    ledger->slots = ckpt_take(&ledger->memory, SLOTS * sizeof *ledger->slots);
    ledger->blocks = ckpt_take(&ledger->memory, BLOCKS_MAX * sizeof *ledger->blocks);
    ledger->order = ckpt_take(&ledger->memory, BLOCKS_MAX * sizeof *ledger->order);
    c->hot_places = ckpt_take(&ledger->memory, CKPT_HOT_PAGES * sizeof *c->hot_places);
    ledger->count = ledger->ordered = 0;
    return c->hot_places ? 0 : -CKPT_ENOMEM;
}

static uint32_t *slot_of(struct ckpt_ledger *ledger, uint64_t number) {
    uint32_t at = (uint32_t)((number * 0x9e3779b97f4a7c15ull) >> 40) & (SLOTS - 1);
    while (ledger->slots[at] && ledger->blocks[ledger->slots[at] - 1].number != number) at = (at + 1) & (SLOTS - 1);
    return &ledger->slots[at];
}

struct ckpt_page *ckpt_ledger_find(struct ckpt_checkpoint *c, uint64_t address) {
    uint32_t slot = *slot_of(&c->ledger, address >> BLOCK_SHIFT);
    return slot ? &c->ledger.blocks[slot - 1].pages[address / CKPT_PAGE_SIZE % CKPT_BLOCK_PAGES] : NULL;
}

struct ckpt_page *ckpt_ledger_page(struct ckpt_checkpoint *c, uint64_t address) {
    struct ckpt_ledger *ledger = &c->ledger;
    uint32_t *slot = slot_of(ledger, address >> BLOCK_SHIFT);
    if (!*slot) {
        struct ckpt_page *pages = ledger->count < BLOCKS_MAX ? ckpt_take(&ledger->memory, CKPT_BLOCK_PAGES * sizeof *pages) : NULL;
        if (!pages) { c->step = CKPT_STEP_ARENA; return NULL; }
        ledger->blocks[ledger->count] = (struct ckpt_block){address >> BLOCK_SHIFT, pages, NULL};
        *slot = ++ledger->count;
    }
    return &ledger->blocks[*slot - 1].pages[address / CKPT_PAGE_SIZE % CKPT_BLOCK_PAGES];
}

struct ckpt_hash *ckpt_ledger_hash(struct ckpt_checkpoint *c, uint64_t address) {
    if (!ckpt_ledger_page(c, address)) return NULL;
    struct ckpt_block *block = &c->ledger.blocks[*slot_of(&c->ledger, address >> BLOCK_SHIFT) - 1];
    if (!block->hashes) block->hashes = ckpt_take(&c->ledger.memory, CKPT_BLOCK_PAGES * sizeof *block->hashes);
    if (!block->hashes) { c->step = CKPT_STEP_ARENA; return NULL; }
    return &block->hashes[address / CKPT_PAGE_SIZE % CKPT_BLOCK_PAGES];
}

void ckpt_ledger_forget(struct ckpt_checkpoint *c, uint64_t start, uint64_t end) {
    while (start < end) {
        uint64_t block_end = ((start >> BLOCK_SHIFT) + 1) << BLOCK_SHIFT, stop = block_end < end ? block_end : end;
        struct ckpt_page *page = ckpt_ledger_find(c, start);
        // The checksum stays: it tells that bytes of the page are in the file already (runs.c).
        if (page) for (uint64_t k = 0; k < (stop - start) / CKPT_PAGE_SIZE; k++) page[k].place = CKPT_PLACE_NONE;
        // A reservation of terabytes has few blocks: look through these instead.
        else if (end - block_end > (uint64_t)c->ledger.count << BLOCK_SHIFT) {
            for (uint32_t i = 0; i < c->ledger.count; i++) {
                uint64_t at = c->ledger.blocks[i].number << BLOCK_SHIFT;
                if (at >= block_end && at < end) ckpt_ledger_forget(c, at, at + (1ull << BLOCK_SHIFT) < end ? at + (1ull << BLOCK_SHIFT) : end);
            }
            return;
        }
        start = stop;
    }
}

static void sift(const struct ckpt_block *blocks, uint32_t *order, uint32_t root, uint32_t count) {
    for (;;) {
        uint32_t child = 2 * root + 1;
        if (child >= count) return;
        if (child + 1 < count && blocks[order[child]].number < blocks[order[child + 1]].number) child++;
        if (blocks[order[root]].number >= blocks[order[child]].number) return;
        uint32_t kept = order[root];
        order[root] = order[child];
        order[child] = kept;
        root = child;
    }
}

// Heapsort: in place, and never slow.
void ckpt_ledger_sort(struct ckpt_checkpoint *c) {
    struct ckpt_ledger *ledger = &c->ledger;
    uint32_t *order = ledger->order, count = ledger->count, ascending = 1;
    if (ledger->ordered == count) return;
    for (uint32_t i = ledger->ordered; i < count; i++) order[i] = i;
    for (uint32_t i = 1; i < count && ascending; i++) ascending = ledger->blocks[order[i - 1]].number < ledger->blocks[order[i]].number;
    ledger->ordered = count;
    if (ascending) return;
    for (uint32_t i = count / 2; i-- > 0;) sift(ledger->blocks, order, i, count);
    for (uint32_t last = count; last-- > 1;) {
        uint32_t kept = order[0];
        order[0] = order[last];
        order[last] = kept;
        sift(ledger->blocks, order, 0, last);
    }
}
