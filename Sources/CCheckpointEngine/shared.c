// SPDX-License-Identifier: Apache-2.0
// Copies the content of shared objects, which no tracker sees: other mappings, descriptors and processes write it too.
// Signal time: safe. Runs in the scribe; nothing that was never touched is populated.
//
// All of it is copied while the program runs, with a hash of what was copied. In the freeze each page is read once more and hashed,
// at the speed of memory; what is another is copied again. The copy-on-write child shares these objects with the program, so nothing
// is left for it: what does not fit into the arena goes to the file before the thaw.
//
// The hash is NH (Black et al., UMAC, CRYPTO 1999) with words of 64 bits: two pages that differ have the same one with a probability of
// at most 2^-64, whatever they hold, because its key is random and new for each checkpoint.
//
// Kernel: for shared memory mincore(2) tells what the object has, whoever touched it and whether it is in this page table (mm/mincore.c),
// but not what is swapped out; SEEK_DATA tells that too, where there is a descriptor (shmem_file_llseek). Where there is none, and
// some of a mapping is swapped out (smaps, which is read only on a host that swaps), all of it is read. Of a file on a disk mincore tells
// only what is cached.
#include "engine.h"

#define CHUNK_BYTES (16ull << 20)
#define KEY_WORDS 512
#define ROUNDS_MAX 4u
#define SEEK_DATA_ 3
#define SEEK_HOLE_ 4

struct walk {
    struct ckpt_object *object;
    uint32_t number;
    uint64_t address;           // of the object's offset 0 in the mapping that is read; is_mapped 0: through the descriptor
    int is_mapped, is_readable, is_last;
    int is_whole;               // what has content is not known: everything is read, up to the end of the file
    uint64_t known;             // pages of the object below this offset are settled
    int error;
};

static struct ckpt_hash hash(const uint64_t *key, const uint8_t *page) {
    const uint64_t *w = (const uint64_t *)page;
    unsigned __int128 a = 0, b = 0;
    for (unsigned i = 0; i < KEY_WORDS; i += 4) {
        a += (unsigned __int128)(w[i] + key[i]) * (w[i + 1] + key[i + 1]);
        b += (unsigned __int128)(w[i + 2] + key[i + 2]) * (w[i + 3] + key[i + 3]);
    }
    a += b;
    return (struct ckpt_hash){(uint64_t)a, (uint64_t)(a >> 64)};
}

static int make_key(struct ckpt_checkpoint *c) {
    if (c->objects.key) return 0;
    uint64_t *key = ckpt_take(&c->ledger.memory, KEY_WORDS * 8);
    if (!key) { c->step = CKPT_STEP_ARENA; return -CKPT_ENOMEM; }
    for (unsigned i = 0; i < KEY_WORDS * 8;) { // Kernel: up to 256 bytes come whole (getrandom(2))
        long got = ckpt_call(__NR_getrandom, (uint8_t *)key + i, 256, 0);
        if (got == -CKPT_EINTR) continue;
        if (got != 256) return got < 0 ? (int)got : -5;
        i += 256;
    }
    c->objects.key = key;
    return 0;
}

static int read_page(struct ckpt_checkpoint *c, const struct walk *w, uint64_t offset, uint8_t *to) {
    if (w->is_mapped && w->is_readable && ckpt_copy_page(to, (const void *)(w->address + offset)) == 0) return 0;
    if (w->is_mapped && ckpt_pread(c->memory, to, CKPT_PAGE_SIZE, w->address + offset) == CKPT_PAGE_SIZE) return 0;
    if (w->object->descriptor < 0) return -CKPT_EFAULT;
    long used = 0, got;
    do {
        got = ckpt_pread(w->object->descriptor, to + used, CKPT_PAGE_SIZE - (uint64_t)used, offset + (uint64_t)used);
        if (got > 0) used += got;
    } while (got == -CKPT_EINTR || (got > 0 && used < (long)CKPT_PAGE_SIZE));
    if (got < 0) return (int)got;
    ckpt_memset(to + used, 0, CKPT_PAGE_SIZE - (uint64_t)used);
    return 0;
}

// What is excluded, by whatever address: a page that is, as a whole, has no content.
static int is_dead(struct ckpt_checkpoint *c, const struct walk *w, uint64_t offset, uint8_t *page) {
    const struct ckpt_objects *objects = &c->objects;
    uint32_t count;
    ckpt_exclusions(&count);
    for (uint32_t i = 0; count > 0 && i < objects->piece_count; i++) {
        const struct ckpt_piece *piece = &objects->pieces[i];
        if (piece->object != w->number || offset < piece->offset || offset >= piece->end) continue;
        uint64_t address = piece->address + (offset - piece->offset);
        if (ckpt_exclusion_of_page(address) == CKPT_PAGE_DEAD) return 1;
        ckpt_clear_dead_bytes(address, page);
    }
    return 0;
}

// Room in the arena that is not needed for the rest of the freeze.
static int has_room(const struct ckpt_checkpoint *c) { return c->hot_count + CKPT_HOT_RESERVE + ckpt_budget_pages() < CKPT_HOT_PAGES; }

static int settle_page(struct ckpt_checkpoint *c, struct walk *w, uint64_t offset) {
    uint8_t *bytes = (uint8_t *)(ckpt_arena + CKPT_BOUNCE_OFFSET);
    uint64_t at = w->object->shared.address + offset;
    int error = read_page(c, w, offset, bytes);
    // While the program runs it may be gone again; the last look decides.
    if (error < 0) { ckpt_ledger_forget(c, at, at + CKPT_PAGE_SIZE); return w->is_last && !w->is_whole ? error : 0; }
    struct ckpt_hash *known = ckpt_ledger_hash(c, at), now = hash(c->objects.key, bytes);
    if (!known) return -CKPT_ENOMEM;
    const struct ckpt_page *page = ckpt_ledger_find(c, at);
    int is_known = page->place != CKPT_PLACE_NONE && known->low == now.low && known->high == now.high;
    *known = now;
    if (is_dead(c, w, offset, bytes)) {
        ckpt_ledger_forget(c, at, at + CKPT_PAGE_SIZE);
        if (w->is_last && !c->tracked) c->report.excluded_byte_count += CKPT_PAGE_SIZE; // else the freeze counts (final.c)
        return 0;
    }
    // What was excluded when it was copied may be included now.
    if (is_known && ckpt_exclusions_version() == c->objects.exclusion_version) return 0;
    c->objects.copied_byte_count += CKPT_PAGE_SIZE;
    error = ckpt_copy_object(c, w->number, at, bytes, w->is_last && has_room(c));
    return error < 0 ? error : 0;
}

// Pages with content, in ascending order of their offsets.
static int settle(struct ckpt_checkpoint *c, struct walk *w, uint64_t start, uint64_t end) {
    const uint64_t base = w->object->shared.address;
    ckpt_ledger_forget(c, base + w->known, base + start);
    w->known = end;
    for (uint64_t offset = start; offset < end; offset += CKPT_PAGE_SIZE) {
        int error = settle_page(c, w, offset);
        if (error < 0) return error;
    }
    return 0;
}

static int settle_mapped(struct ckpt_checkpoint *c, struct walk *w, uint64_t start, uint64_t end) {
    uint8_t *present = (uint8_t *)ckpt_regions(0);
    for (uint64_t at = start; at < end; at += CHUNK_BYTES) {
        uint64_t pages = ((end - at < CHUNK_BYTES ? end - at : CHUNK_BYTES) + CKPT_PAGE_SIZE - 1) / CKPT_PAGE_SIZE;
        long result = ckpt_call(__NR_mincore, w->address + at, pages * CKPT_PAGE_SIZE, present);
        if (result < 0) return w->is_last ? (int)result : 0; // unmapped meanwhile
        for (uint64_t k = 0, first; k < pages; k++) {
            if (!(present[k] & 1)) continue;
            for (first = k; k < pages && present[k] & 1; k++) {}
            int error = settle(c, w, at + first * CKPT_PAGE_SIZE, at + k * CKPT_PAGE_SIZE);
            if (error < 0) return error;
        }
    }
    return 0;
}

static int settle_held(struct ckpt_checkpoint *c, struct walk *w, uint64_t start, uint64_t end) {
    for (uint64_t at = start; at < end;) {
        long data = ckpt_call(__NR_lseek, w->object->descriptor, at, SEEK_DATA_);
        if (data == -6 /* ENXIO */ || (data >= 0 && (uint64_t)data >= end)) return 0;
        long hole = data < 0 ? data : ckpt_call(__NR_lseek, w->object->descriptor, data, SEEK_HOLE_);
        if (hole < 0) return (int)hole;
        uint64_t first = (uint64_t)data & ~4095ull, last = ((uint64_t)hole + 4095) & ~4095ull;
        if (first < at) first = at;
        if (last > end) last = end;
        int error = settle(c, w, first, last);
        if (error < 0) return error;
        at = last;
    }
    return 0;
}

static int settle_range(struct ckpt_checkpoint *c, struct walk *w, uint64_t start, uint64_t end) {
    if (start >= end) return 0;
    if (w->object->descriptor >= 0) return settle_held(c, w, start, end);
    return !w->is_mapped ? 0 : w->is_whole ? settle(c, w, start, end) : settle_mapped(c, w, start, end);
}

// One object: what is mapped through its mappings, the rest through its descriptor.
static int settle_object(struct ckpt_checkpoint *c, struct ckpt_object *o, const struct ckpt_piece *piece, uint32_t count, int is_last) {
    struct walk w = {.object = o, .number = (uint32_t)(o - c->objects.all), .is_last = is_last};
    uint64_t size = (o->shared.byte_count + CKPT_PAGE_SIZE - 1) & ~(uint64_t)(CKPT_PAGE_SIZE - 1), at = 0;
    int is_named = o->shared.kind == CKPT_SHARED_FILE; // what is not mapped of it belongs to the file
    int is_on_disk = (is_named || o->shared.kind == CKPT_SHARED_DELETED) && !ckpt_same((const char *)c->strings.base + o->shared.name, "/dev/shm/", 9);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t start = piece[i].offset > at ? piece[i].offset : at, end = piece[i].end < size ? piece[i].end : size;
        if (start >= end) continue;
        w.is_mapped = 0;
        int error = is_named ? 0 : settle_range(c, &w, at, start);
        if (error < 0) return error;
        w.is_mapped = 1;
        w.is_readable = piece[i].is_readable;
        w.is_whole = is_on_disk || piece[i].is_swapped;
        w.address = piece[i].address - piece[i].offset;
        if ((error = settle_range(c, &w, start, end)) < 0) return error;
        at = end;
    }
    w.is_mapped = 0;
    int error = is_named ? 0 : settle_range(c, &w, at, size);
    if (error == 0) ckpt_ledger_forget(c, o->shared.address + w.known, o->shared.address + o->room);
    return error;
}

static void tell_swapped(struct ckpt_checkpoint *c, uint64_t start, uint64_t end, uint32_t advice) {
    for (uint32_t i = 0; i < c->objects.piece_count; i++) {
        struct ckpt_piece *piece = &c->objects.pieces[i];
        if (piece->address >= start && piece->address < end && advice & CKPT_ADVICE_SWAPPED) piece->is_swapped = 1;
    }
}

static int find_swapped(struct ckpt_checkpoint *c) {
    uint64_t total = 0, left = 0;
    char *text = (char *)(ckpt_arena + CKPT_SCRATCH_OFFSET);
    if (ckpt_read_text(-100, "/proc/meminfo", text, 8192) < 0) return 0;
    ckpt_find_field(text, "SwapTotal:", 10, &total);
    ckpt_find_field(text, "SwapFree:", 10, &left);
    return total == left ? 0 : ckpt_read_advice(tell_swapped, c);
}

static int settle_all(struct ckpt_checkpoint *c, int is_last) {
    struct ckpt_objects *objects = &c->objects;
    uint32_t next = 0;
    int error = objects->count ? make_key(c) : 0;
    if (error == 0 && objects->piece_count) error = find_swapped(c);
    for (uint32_t i = 0; error == 0 && i < objects->count; i++) {
        const struct ckpt_piece *pieces = &objects->pieces[next];
        uint32_t count = 0;
        while (next < objects->piece_count && objects->pieces[next].object == i) next++, count++;
        if (objects->all[i].seen == objects->look) error = settle_object(c, &objects->all[i], pieces, count, is_last);
    }
    if (error < 0 && c->step == CKPT_STEP_NONE) c->step = CKPT_STEP_CAPTURE;
    return error;
}

int ckpt_precopy_objects(struct ckpt_checkpoint *c) {
    struct ckpt_bump tables = c->tables, strings = c->strings;
    uint32_t unsupported_count = c->unsupported_count;
    if (!c->objects.all) c->objects.exclusion_version = ckpt_exclusions_version();
    int error = ckpt_capture_mappings(c);
    if (error == 0) error = ckpt_find_objects(c);
    if (error == 0) error = settle_all(c, 0);
    // Order: a page that is copied again goes to its old place, so what is queued for that place is written before.
    if (error == 0) error = ckpt_output_flush(c);
    c->tables = tables;
    c->strings = strings;
    c->unsupported_count = unsupported_count;
    c->mappings = NULL;
    c->mapping_count = 0;
    return error;
}

int ckpt_precopy_objects_again(struct ckpt_checkpoint *c) {
    uint64_t before = ~0ull, budget = ckpt_budget_pages() * CKPT_PAGE_SIZE;
    for (uint32_t round = 0; c->objects.count > 0 && round < ROUNDS_MAX; round++) {
        uint64_t copied = c->objects.copied_byte_count;
        int error = ckpt_precopy_objects(c);
        if (error < 0) return error;
        copied = c->objects.copied_byte_count - copied;
        if (copied <= budget || copied > before - before / 8) break;
        before = copied;
    }
    return 0;
}

// Order: behind the capture, before the rest of the last copy, which takes what room is left.
int ckpt_copy_objects_at_last(struct ckpt_checkpoint *c) {
    if (c->shared_count == 0) return 0;
    uint64_t before = c->objects.copied_byte_count;
    int error = settle_all(c, 1);
    c->report.frozen_byte_count += c->objects.copied_byte_count - before;
    // Order: the queue is empty before there is a copy-on-write child.
    return error < 0 ? error : ckpt_output_flush(c);
}
