// SPDX-License-Identifier: Apache-2.0
// Records what the memory of the frozen program holds. Runs in the engine's scribe: system calls only.
//
// Nothing is populated that was not: what is not there is looked up in the pagemap, or read from the mapped file.
#include "engine.h"
#include "truth.h"

#define PRESENT (1ull << 63)
#define SWAPPED (1ull << 62)
#define FILE_PAGE (1ull << 61)
#define GUARD (1ull << 58) // since 6.15

struct truth *truth;

uint64_t truth_hash(const uint8_t *page) {
    uint64_t hash = 0x9e3779b97f4a7c15ull;
    for (const uint64_t *word = (const uint64_t *)page; word < (const uint64_t *)(page + 4096); word++) {
        hash = (hash ^ *word) * 0xff51afd7ed558ccdull;
        hash ^= hash >> 29;
    }
    return hash;
}

static void note(uint64_t address, uint32_t state, int private) {
    if (truth->count == TRUTH_PAGES_MAX) { truth->overflow = 1; return; }
    ckpt_memcpy(truth->bytes[truth->count], truth->page, 4096);
    truth->pages[truth->count++] = (struct truth_page){address, state == TRUTH_NOTHING ? 0 : truth_hash(truth->page), state, (uint32_t)private};
}

struct descriptors { long memory, map; };

// One page of a private mapping. `file`: of the mapped file, or negative.
static void record_page(const struct descriptors *d, uint64_t address, int is_file, int has_access, long file, uint64_t offset) {
    uint64_t entry = 0;
    if (ckpt_pread((int)d->map, &entry, 8, address / 4096 * 8) != 8) { truth->step = 1; return; }
    int there = (entry & (PRESENT | SWAPPED)) != 0, private = (entry & PRESENT) && !(entry & FILE_PAGE);
    if (entry & GUARD) { note(address, TRUTH_NOTHING, 0); return; }
    if (!is_file || private) {
        if (!there) return;
        long got = ckpt_pread((int)d->memory, truth->page, 4096, address);
        note(address, got == 4096 ? TRUTH_BYTES : TRUTH_NOTHING, private);
        return;
    }
    for (int i = 0; i < 4096; i++) truth->page[i] = 0;
    long got = file >= 0 ? ckpt_pread((int)file, truth->page, 4096, offset) : ckpt_pread((int)d->memory, truth->page, 4096, address);
    note(address, got <= 0 ? TRUTH_NOTHING : has_access ? TRUTH_BYTES : TRUTH_EITHER, 0);
}

static int has(const char *text, size_t length, const char *end) {
    size_t count = ckpt_length(end);
    return length >= count && ckpt_same(text + length - count, end, count);
}

static const char *record_mapping(const struct descriptors *d, const char *at) {
    uint64_t start, end, offset, inode, skipped;
    at = ckpt_number(at, 16, &start) + 1;
    at = ckpt_number(at, 16, &end) + 1;
    const char *protection = at;
    at = ckpt_number(at + 5, 16, &offset) + 1;
    at = ckpt_number(at, 16, &skipped) + 1;
    at = ckpt_number(at, 16, &skipped) + 1;
    at = ckpt_number(at, 10, &inode);
    while (*at == ' ') at++;
    const char *name = at;
    while (*at && *at != '\n') at++;
    size_t length = (size_t)(at - name);
    at += *at == '\n';
    if (protection[3] == 's' || (name[0] == '[' && name[1] == 'v') || (length > 4 && ckpt_same(name, "/dev/", 5) && !has(name, length, "(deleted)") && !ckpt_same(name, "/dev/shm/", 9))) return at;
    long file = -1;
    if (inode && !has(name, length, " (deleted)")) {
        char path[4096];
        for (size_t i = 0; i < length && i < 4095; i++) path[i] = name[i], path[i + 1] = 0;
        file = ckpt_open(path, 02000000, 0);
        if (file < 0) { truth->step = 2; truth->error = file; }
    }
    int has_access = protection[0] != '-' || protection[1] != '-' || protection[2] != '-';
    for (uint64_t page = start; page < end; page += 4096) {
        if (page >= ckpt_arena && page < ckpt_arena + CKPT_ARENA_BYTES) { page = ckpt_arena + CKPT_ARENA_BYTES - 4096; continue; }
        if (page >= truth->own_start && page < truth->own_end) continue;
        record_page(d, page, inode != 0, has_access, file, offset + (page - start));
    }
    if (file >= 0) ckpt_close((int)file);
    return at;
}

void truth_record(void) {
    struct descriptors d = {ckpt_open("/proc/self/mem", 02000000, 0), ckpt_open("/proc/self/pagemap", 02000000, 0)};
    truth->count = truth->overflow = truth->step = 0;
    truth->own_start = (uint64_t)&ckpt_state & ~4095ull;
    truth->own_end = ((uint64_t)(&ckpt_state + 1) + 4095) & ~4095ull;
    long length = ckpt_read_text(-100, "/proc/self/maps", truth->text, TRUTH_TEXT_BYTES);
    if (length < 0 || length + 1 >= (long)TRUTH_TEXT_BYTES) truth->step = 3, truth->error = length;
    for (const char *at = truth->text; length > 0 && *at;) at = record_mapping(&d, at);
    ckpt_close((int)d.memory);
    ckpt_close((int)d.map);
    truth->recorded++;
}
