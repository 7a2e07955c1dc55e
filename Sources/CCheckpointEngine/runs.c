// SPDX-License-Identifier: Apache-2.0
// The tables of the pages: runs for the reader, segments for the program headers, both from the ledger.
// Signal time: safe. Reads and writes the arena only.
#include "engine.h"
#include "ckpt/crc32c.h"

#define SHIFT_PAGE 0x35d73a62u // x^(8 · 4096) modulo the polynomial: appends a page to a checksum

static int add_run(struct ckpt_checkpoint *c, const struct ckpt_mapping *m, uint64_t address, const struct ckpt_page *page) {
    struct ckpt_run *last = c->run_count ? &c->runs[c->run_count - 1] : NULL;
    uint32_t kind = page->place == CKPT_PLACE_ZERO ? CKPT_RUN_ZERO : page->place == CKPT_PLACE_PARENT ? CKPT_RUN_PARENT : CKPT_RUN_HERE;
    uint64_t offset = kind == CKPT_RUN_HERE ? (uint64_t)(page->place - CKPT_PLACE_FILE) * CKPT_PAGE_SIZE : 0;
    uint32_t crc = kind == CKPT_RUN_HERE ? page->crc : 0;
    if (last && last->kind == kind && address > m->start && last->address + (uint64_t)last->page_count * CKPT_PAGE_SIZE == address
        && last->page_count < (kind == CKPT_RUN_HERE ? CKPT_RUN_PAGES_MAX : 0x7fffffffu)
        && (kind != CKPT_RUN_HERE || last->file_offset + (uint64_t)last->page_count * CKPT_PAGE_SIZE == offset)) {
        last->page_count++;
        if (kind == CKPT_RUN_HERE) last->crc = ckpt_crc32c_multiply(SHIFT_PAGE, last->crc) ^ crc;
        return 0;
    }
    struct ckpt_run *run = ckpt_extend(&c->tables, sizeof *run);
    if (!run) { c->step = CKPT_STEP_ARENA; return -CKPT_ENOMEM; }
    *run = (struct ckpt_run){address, offset, 1, kind, crc, 0};
    c->run_count++;
    return 0;
}

static int run_mapping(struct ckpt_checkpoint *c, const struct ckpt_mapping *m, uint32_t *next) {
    // Blocks ascend, and so do mappings: a block that reaches behind this mapping is looked at again for the next one.
    const uint64_t block_bytes = (uint64_t)CKPT_BLOCK_PAGES * CKPT_PAGE_SIZE;
    uint32_t i = *next;
    while (i < c->ledger.count && (c->ledger.blocks[c->ledger.order[i]].number + 1) * block_bytes <= m->start) i++;
    *next = i;
    if (ckpt_treatment(m) == CKPT_TREAT_SKIP && m->kind != CKPT_MAPPING_OBJECT) return 0;
    for (; i < c->ledger.count; i++) {
        const struct ckpt_block *block = &c->ledger.blocks[c->ledger.order[i]];
        uint64_t start = block->number * block_bytes;
        if (start >= m->end) break;
        for (uint32_t k = 0; k < CKPT_BLOCK_PAGES; k++) {
            uint64_t at = start + (uint64_t)k * CKPT_PAGE_SIZE;
            if (at < m->start || at >= m->end || block->pages[k].place == CKPT_PLACE_NONE) continue;
            int error = add_run(c, m, at, &block->pages[k]);
            if (error < 0) return error;
        }
    }
    return 0;
}

static int begin_segment(struct ckpt_checkpoint *c, uint64_t start, uint64_t end, uint64_t file_offset, uint32_t mapping) {
    struct ckpt_segment *segment = ckpt_extend(&c->ledger.memory, sizeof *segment);
    if (!segment) { c->step = CKPT_STEP_ARENA; return -CKPT_ENOMEM; }
    *segment = (struct ckpt_segment){start, end, file_offset, 0, c->mappings[mapping].protection, mapping};
    c->segment_count++;
    return 0;
}

// Between `last` and `run` nothing but zeros, in memory and in the file.
static int joins(struct ckpt_checkpoint *c, const struct ckpt_segment *s, const struct ckpt_run *run) {
    uint64_t content_end = s->start + s->file_byte_count;
    if (run->file_offset - s->file_offset != run->address - s->start) return 0;
    if (run->address == content_end) return 1;
    if (c->increment || c->append_only || run->address - content_end >= CKPT_SEGMENT_GAP) return 0;
    for (uint64_t at = content_end; at < run->address; at += CKPT_PAGE_SIZE) {
        const struct ckpt_page *page = ckpt_ledger_find(c, at);
        // A page that was copied, and went away since, has left its bytes there (NONE, ZERO): told by its checksum.
        if (page && (page->place > CKPT_PLACE_ZERO || page->crc)) return 0;
    }
    return 1;
}

static int segment_mapping(struct ckpt_checkpoint *c, uint32_t index, uint32_t *next) {
    const struct ckpt_mapping *m = &c->mappings[index];
    int error = begin_segment(c, m->start, m->end, 0, index);
    for (; error == 0 && *next < c->run_count && c->runs[*next].address < m->end; ++*next) {
        const struct ckpt_run *run = &c->runs[*next];
        if (run->kind != CKPT_RUN_HERE) continue;
        struct ckpt_segment *s = &c->segments[c->segment_count - 1];
        if (s->file_byte_count == 0 && run->address == s->start) {
            s->file_offset = run->file_offset;
        } else if (s->file_byte_count == 0 || !joins(c, s, run)) {
            uint64_t end = s->end;
            s->end = run->address;
            if ((error = begin_segment(c, run->address, end, run->file_offset, index)) < 0) return error;
            s = &c->segments[c->segment_count - 1];
        }
        s->file_byte_count = run->address + (uint64_t)run->page_count * CKPT_PAGE_SIZE - s->start;
    }
    return error;
}

int ckpt_build_runs(struct ckpt_checkpoint *c) {
    uint32_t next = 0;
    int error = 0;
    ckpt_ledger_sort(c);
    c->runs = ckpt_take(&c->tables, 0);
    // Segments grow behind the ledger, which is complete now.
    c->string_byte_count = c->strings.used;
    c->segments = ckpt_take(&c->ledger.memory, 0);
    if (!c->runs || !c->segments) { c->step = CKPT_STEP_ARENA; return -CKPT_ENOMEM; }
    for (uint32_t i = 0; i < c->mapping_count && error == 0; i++) {
        error = run_mapping(c, &c->mappings[i], &next);
        if (c->mappings[i].kind != CKPT_MAPPING_OBJECT) c->memory_byte_count += c->mappings[i].end - c->mappings[i].start;
    }
    next = 0;
    for (uint32_t i = 0; i < c->mapping_count && error == 0; i++) error = segment_mapping(c, i, &next);
    for (uint32_t i = 0; i < c->run_count; i++) {
        c->page_count += c->runs[i].page_count;
        if (c->runs[i].kind == CKPT_RUN_HERE) c->page_byte_count += (uint64_t)c->runs[i].page_count * CKPT_PAGE_SIZE;
    }
    return error;
}
