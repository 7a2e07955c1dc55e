// SPDX-License-Identifier: Apache-2.0
// Writes the pages of all mappings: zero pages are holes, every other run is checksummed and written.
// Signal time: safe. Runs in the copy-on-write child, whose memory nobody changes; reads what may not be readable through
// /proc/self/mem, and never populates what was not populated.
#include "engine.h"

#define PRESENT (1ull << 63)
#define SWAPPED (1ull << 62)
#define FILE_PAGE (1ull << 61)
#define MAP_ENTRIES 4096u // of /proc/self/pagemap at a time: 16 MiB of memory

struct writer {
    struct ckpt_checkpoint *c;
    int memory, map;            // /proc/self/mem, /proc/self/pagemap
    uint64_t cursor;            // file offset behind everything placed so far
    struct ckpt_segment *segment;
    uint64_t content_end;       // address behind the last page of the segment that is in the file
    uint64_t *entries;          // of the pagemap
    uint8_t *bounce;
};

static int is_zero(const uint8_t *page) {
    const uint64_t *word = (const uint64_t *)page;
    for (unsigned i = 0; i < CKPT_PAGE_SIZE / 8; i += 8)
        if (word[i] | word[i + 1] | word[i + 2] | word[i + 3] | word[i + 4] | word[i + 5] | word[i + 6] | word[i + 7]) return 0;
    return 1;
}

static int add_run(struct writer *w, uint64_t address, uint32_t page_count, uint32_t kind, uint64_t file_offset, uint32_t crc) {
    struct ckpt_checkpoint *c = w->c;
    struct ckpt_run *last = c->run_count ? &c->runs[c->run_count - 1] : NULL;
    if (last && kind == CKPT_RUN_ZERO && last->kind == kind && last->address + (uint64_t)last->page_count * CKPT_PAGE_SIZE == address
        && address != w->segment->start && last->page_count < 0x7fffffff) {
        last->page_count += page_count;
        return 0;
    }
    // The tables of segments and runs grow towards each other's ends in two parts of the arena.
    struct ckpt_run *run = ckpt_extend(&c->tables, sizeof *run);
    if (!run) { c->step = CKPT_STEP_ARENA; return -CKPT_ENOMEM; }
    *run = (struct ckpt_run){address, file_offset, page_count, kind, crc, 0};
    c->run_count++;
    return 0;
}

static int begin_segment(struct writer *w, uint64_t start, uint64_t end, uint32_t mapping) {
    struct ckpt_checkpoint *c = w->c;
    w->segment = ckpt_extend(&c->strings, sizeof *w->segment);
    if (!w->segment) { c->step = CKPT_STEP_ARENA; return -CKPT_ENOMEM; }
    c->segment_count++;
    *w->segment = (struct ckpt_segment){start, end, w->cursor, 0, c->mappings[mapping].protection, mapping};
    w->content_end = start;
    return 0;
}

static void end_segment(struct writer *w) {
    w->segment->file_byte_count = w->content_end - w->segment->start;
    w->cursor = w->segment->file_offset + w->segment->file_byte_count;
}

// Where `address` lies in the file; a large gap before it begins another segment.
static int place(struct writer *w, uint64_t address, uint64_t *file_offset) {
    if (address - w->content_end >= CKPT_SEGMENT_GAP) {
        uint64_t end = w->segment->end;
        uint32_t mapping = w->segment->mapping;
        w->segment->end = address;
        end_segment(w);
        int error = begin_segment(w, address, end, mapping);
        if (error < 0) return error;
    }
    *file_offset = w->segment->file_offset + (address - w->segment->start);
    return 0;
}

// Pages [address, address + page_count) with their bytes at `bytes`: splits them into zero and other runs.
static int write_pages(struct writer *w, uint64_t address, const uint8_t *bytes, uint32_t page_count) {
    uint32_t i = 0;
    while (i < page_count) {
        uint32_t first = i;
        int zero = is_zero(bytes + (uint64_t)i * CKPT_PAGE_SIZE), error;
        for (i++; i < page_count && is_zero(bytes + (uint64_t)i * CKPT_PAGE_SIZE) == zero; i++) {}
        uint64_t at = address + (uint64_t)first * CKPT_PAGE_SIZE, byte_count = (uint64_t)(i - first) * CKPT_PAGE_SIZE, offset = 0;
        const uint8_t *from = bytes + (uint64_t)first * CKPT_PAGE_SIZE;
        if (zero) {
            if ((error = add_run(w, at, i - first, CKPT_RUN_ZERO, 0, 0)) < 0) return error;
            continue;
        }
        if ((error = place(w, at, &offset)) < 0) return error;
        uint32_t crc = 0;
        if ((error = ckpt_output_put(w->c, from, byte_count, offset, &crc)) < 0) return error;
        if ((error = add_run(w, at, i - first, CKPT_RUN_HERE, offset, crc)) < 0) return error;
        w->content_end = at + byte_count;
        w->c->page_byte_count += byte_count;
    }
    return 0;
}

// Reads through /proc/self/mem, which ignores protections; returns how many whole pages could be read.
static uint32_t read_pages(struct writer *w, uint64_t address, uint32_t page_count) {
    uint64_t used = 0, wanted = (uint64_t)page_count * CKPT_PAGE_SIZE;
    while (used < wanted) {
        long got = ckpt_pread(w->memory, w->bounce + used, wanted - used, address + used);
        if (got == -CKPT_EINTR) continue;
        if (got <= 0) break;
        used += (uint64_t)got;
    }
    return (uint32_t)(used / CKPT_PAGE_SIZE);
}

enum source { SOURCE_NONE, SOURCE_MEMORY, SOURCE_THROUGH_KERNEL };

// How the content of one page is reached. Never touch a page that is not populated: it would become so.
static enum source source_of(const struct ckpt_mapping *m, uint64_t entry) {
    switch (m->kind) {
    case CKPT_MAPPING_FILE:
        // A gap between the segments of a library is mapped from the file without access: nothing there is content.
        if (m->protection == 0 && (!(entry & (PRESENT | SWAPPED)) || (entry & FILE_PAGE))) return SOURCE_NONE;
        return SOURCE_THROUGH_KERNEL; // behind the end of the file there is only SIGBUS
    case CKPT_MAPPING_VDSO: return SOURCE_MEMORY;
    case CKPT_MAPPING_BEACON: return SOURCE_NONE;
    // Others may write there while this child reads: not restored yet, so not saved.
    case CKPT_MAPPING_SHARED_ANONYMOUS: case CKPT_MAPPING_SHARED_FILE: return SOURCE_NONE;
    default: break;
    }
    if (entry & PRESENT) return m->protection & 1 ? SOURCE_MEMORY : SOURCE_THROUGH_KERNEL;
    // Kernel: swapped pages, but also markers of userfaultfd and guard regions; reading tells which.
    return entry & SWAPPED ? SOURCE_THROUGH_KERNEL : SOURCE_NONE;
}

static int write_range(struct writer *w, const struct ckpt_mapping *m, uint64_t address, uint32_t page_count, enum source source) {
    while (page_count > 0) {
        uint32_t part = page_count < CKPT_RUN_PAGES_MAX ? page_count : CKPT_RUN_PAGES_MAX, readable = part;
        int error;
        const uint8_t *bytes = (const uint8_t *)address;
        if (source == SOURCE_THROUGH_KERNEL) {
            readable = read_pages(w, address, part);
            bytes = w->bounce;
        }
        if ((error = write_pages(w, address, bytes, readable)) < 0) return error;
        if (readable < part) {
            // Behind the end of a file nothing more comes; elsewhere (a guard page) only this page is missing.
            if (m->kind == CKPT_MAPPING_FILE) return 1;
            readable++;
        }
        address += (uint64_t)readable * CKPT_PAGE_SIZE;
        page_count -= readable;
    }
    return 0;
}

// Content that fork did not copy, from the copies made in the freeze. They are chained backwards.
static int write_shadows(struct writer *w, const struct ckpt_mapping *m) {
    for (uint64_t at = m->start; at < m->end;) {
        const struct ckpt_shadow *next = NULL; // the first copy at or behind `at`
        for (const struct ckpt_shadow *shadow = w->c->shadows; shadow; shadow = shadow->next)
            if (shadow->address >= at && shadow->address < m->end && (!next || shadow->address < next->address)) next = shadow;
        if (!next) break;
        int error = next->page_count ? write_pages(w, next->address, next->copy, next->page_count) : 0;
        if (error < 0) return error;
        at = next->address + (uint64_t)(next->page_count ? next->page_count : 1) * CKPT_PAGE_SIZE;
    }
    end_segment(w);
    return 0;
}

static int write_mapping(struct writer *w, uint32_t index) {
    const struct ckpt_mapping *m = &w->c->mappings[index];
    int error = begin_segment(w, m->start, m->end, index);
    if (error < 0) return error;
    if (m->kind == CKPT_MAPPING_ARENA || m->kind == CKPT_MAPPING_VVAR || m->kind == CKPT_MAPPING_OTHER) { end_segment(w); return 0; }
    if (m->flags & (CKPT_MAPPING_DONT_FORK | CKPT_MAPPING_WIPE_ON_FORK)) return write_shadows(w, m);
    for (uint64_t at = m->start; at < m->end;) {
        uint64_t left = (m->end - at) / CKPT_PAGE_SIZE;
        uint32_t count = left < MAP_ENTRIES ? (uint32_t)left : MAP_ENTRIES;
        long got = ckpt_pread(w->map, w->entries, (uint64_t)count * 8, at / CKPT_PAGE_SIZE * 8);
        if (got <= 0) { w->c->step = CKPT_STEP_PROC; return got < 0 ? (int)got : -5; }
        count = (uint32_t)(got / 8);
        for (uint32_t i = 0; i < count;) {
            enum source source = source_of(m, w->entries[i]);
            uint32_t first = i;
            while (i < count && source_of(m, w->entries[i]) == source) i++;
            if (source == SOURCE_NONE) continue;
            error = write_range(w, m, at + (uint64_t)first * CKPT_PAGE_SIZE, i - first, source);
            if (error < 0) return error;
            if (error > 0) { end_segment(w); return 0; }
        }
        at += (uint64_t)count * CKPT_PAGE_SIZE;
    }
    end_segment(w);
    return 0;
}

int ckpt_write_pages(struct ckpt_checkpoint *c) {
    struct writer w = {c, -1, -1, c->blob_cursor, NULL, 0, NULL, (uint8_t *)(ckpt_arena + CKPT_BOUNCE_OFFSET)};
    w.entries = ckpt_take(&c->tables, MAP_ENTRIES * 8);
    c->runs = ckpt_take(&c->tables, 0);
    // Segments grow in the rest of the strings' part, which is complete now.
    c->string_byte_count = c->strings.used;
    c->segments = ckpt_take(&c->strings, 0);
    if (!w.entries || !c->runs || !c->segments) { c->step = CKPT_STEP_ARENA; return -CKPT_ENOMEM; }
    w.memory = (int)ckpt_open("/proc/self/mem", 02000000, 0);
    w.map = (int)ckpt_open("/proc/self/pagemap", 02000000, 0);
    if (w.memory < 0 || w.map < 0) { c->step = CKPT_STEP_PROC; return w.memory < 0 ? w.memory : w.map; }
    for (uint32_t i = 0; i < c->mapping_count; i++) {
        int error = write_mapping(&w, i);
        if (error < 0) return error;
        c->memory_byte_count += c->mappings[i].end - c->mappings[i].start;
    }
    c->blob_cursor = w.cursor;
    return 0;
}
