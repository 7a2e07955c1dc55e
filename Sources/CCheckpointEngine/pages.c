// SPDX-License-Identifier: Apache-2.0
// Writes pages from the copy-on-write child's memory, which nobody changes: all that are populated, or those that the freeze
// found.
// Signal time: safe. Never populates what was not populated; what may not be readable is read through /proc/self/mem.
#include "engine.h"

#define PRESENT (1ull << 63)
#define SWAPPED (1ull << 62)
#define FILE_PAGE (1ull << 61)
#define MAP_ENTRIES 4096u // of /proc/self/pagemap at a time: 16 MiB of memory

// Whether a page has content. Never touch one that is not populated: it would become so.
static int has_content(const struct ckpt_mapping *m, enum ckpt_treatment treatment, uint64_t entry) {
    if (treatment != CKPT_TREAT_MEMORY) return 1; // behind the end of the file there is only SIGBUS: the copy ends there
    if (m->kind == CKPT_MAPPING_FILE && entry & FILE_PAGE) return 0; // without access nothing of the file is content
    // Kernel: swapped pages, but also markers of userfaultfd and guard regions; reading tells which.
    return (entry & (PRESENT | SWAPPED)) != 0;
}

// Content that fork did not copy, from the copies made in the freeze.
static int write_shadows(struct ckpt_checkpoint *c, const struct ckpt_mapping *m) {
    for (const struct ckpt_shadow *shadow = c->shadows; shadow; shadow = shadow->next) {
        int error = ckpt_copy_shadow(c, m, shadow);
        if (error < 0) return error;
    }
    return 0;
}

static int write_mapping(struct ckpt_checkpoint *c, const struct ckpt_mapping *m, uint64_t *entries) {
    enum ckpt_treatment treatment = ckpt_treatment(m);
    if (treatment == CKPT_TREAT_SKIP) return 0;
    if (m->flags & (CKPT_MAPPING_DONT_FORK | CKPT_MAPPING_WIPE_ON_FORK)) return write_shadows(c, m);
    for (uint64_t at = m->start; at < m->end;) {
        if (treatment == CKPT_TREAT_MEMORY && (at = ckpt_next_populated(c->map, at, m->end)) == m->end) break;
        uint64_t left = (m->end - at) / CKPT_PAGE_SIZE;
        uint32_t count = left < MAP_ENTRIES ? (uint32_t)left : MAP_ENTRIES;
        long got = ckpt_pread(c->map, entries, (uint64_t)count * 8, at / CKPT_PAGE_SIZE * 8);
        if (got <= 0) { c->step = CKPT_STEP_PROC; return got < 0 ? (int)got : -5; }
        count = (uint32_t)(got / 8);
        for (uint32_t i = 0; i < count;) {
            uint32_t first = i;
            int content = has_content(m, treatment, entries[i]);
            while (i < count && has_content(m, treatment, entries[i]) == content) i++;
            if (!content) continue;
            uint64_t start = at + (uint64_t)first * CKPT_PAGE_SIZE, end = at + (uint64_t)i * CKPT_PAGE_SIZE;
            int64_t copied = ckpt_copy_to_file(c, m, start, end);
            if (copied < 0) return (int)copied;
            if (treatment == CKPT_TREAT_FILE && (uint64_t)copied < (end - start) / CKPT_PAGE_SIZE) return 0;
        }
        at += (uint64_t)count * CKPT_PAGE_SIZE;
    }
    return 0;
}

int ckpt_write_pages(struct ckpt_checkpoint *c) {
    uint64_t *entries = ckpt_take(&c->tables, MAP_ENTRIES * 8);
    if (!entries) { c->step = CKPT_STEP_ARENA; return -CKPT_ENOMEM; }
    for (uint32_t i = 0; i < c->mapping_count; i++) {
        int error = write_mapping(c, &c->mappings[i], entries);
        if (error < 0) return error;
    }
    return 0;
}

int ckpt_write_spans(struct ckpt_checkpoint *c) {
    for (uint32_t i = 0; i < c->span_count; i++) {
        const struct ckpt_region *span = &c->spans[i];
        const struct ckpt_mapping *m = &c->mappings[span->categories];
        if (m->flags & (CKPT_MAPPING_DONT_FORK | CKPT_MAPPING_WIPE_ON_FORK)) {
            // Copied as a whole in the freeze, dirty or not.
            if (i > 0 && c->spans[i - 1].categories == span->categories) continue;
            int error = write_shadows(c, m);
            if (error < 0) return error;
            continue;
        }
        int64_t copied = ckpt_copy_to_file(c, m, span->start, span->end);
        if (copied < 0) return (int)copied;
    }
    // The engine's state, which this child has changed in its copy: also where the program has not written it.
    for (uint32_t i = 0; i < c->mapping_count; i++) {
        const struct ckpt_mapping *m = &c->mappings[i];
        uint64_t start = (uint64_t)&ckpt_state & ~4095ull, end = (uint64_t)(&ckpt_state + 1);
        if (start < m->start) start = m->start;
        if (end > m->end) end = m->end;
        int64_t copied = start < end ? ckpt_copy_to_file(c, m, start, end) : 0;
        if (copied < 0) return (int)copied;
    }
    return 0;
}
