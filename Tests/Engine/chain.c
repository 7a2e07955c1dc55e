// SPDX-License-Identifier: Apache-2.0
// Reads an image and the images that it builds on.
#include "chain.h"
#include <ckpt/crc32c.h>
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int problem(struct chain *chain, const struct image *image, const char *what) {
    snprintf(chain->problem, sizeof chain->problem, "%s: %s", image->path, what);
    return -1;
}

int is_zero_page(const uint8_t *bytes) {
    for (const uint64_t *word = (const uint64_t *)bytes; word < (const uint64_t *)(bytes + CKPT_PAGE_SIZE); word++) if (*word) return 0;
    return 1;
}

// A table with records of at least `size` bytes, copied.
static void *copy_table(const uint8_t *body, uint64_t byte_count, size_t size, uint32_t *count) {
    const struct ckpt_table *table = (const struct ckpt_table *)body;
    if (byte_count < sizeof *table || table->version != 1 || table->record_size < size
        || sizeof *table + (uint64_t)table->record_size * table->count != byte_count) return NULL;
    uint8_t *copy = malloc(size * table->count + 1);
    for (uint32_t i = 0; i < table->count; i++) memcpy(copy + size * i, body + sizeof *table + (uint64_t)table->record_size * i, size);
    *count = table->count;
    return copy;
}

static int check_runs(struct chain *chain, const struct image *image) {
    uint64_t end = 0;
    for (uint32_t i = 0, m = 0; i < image->run_count; i++) {
        const struct ckpt_run *run = &image->runs[i];
        uint64_t byte_count = (uint64_t)run->page_count * CKPT_PAGE_SIZE;
        if (run->address < end || run->address % CKPT_PAGE_SIZE || run->page_count == 0) return problem(chain, image, "runs are out of order");
        end = run->address + byte_count;
        while (m < image->mapping_count && image->mappings[m].end <= run->address) m++;
        if (m == image->mapping_count || image->mappings[m].start > run->address || image->mappings[m].end < end)
            return problem(chain, image, "a run is not inside one mapping");
        if (run->kind == CKPT_RUN_PARENT && !image->ident.parent) return problem(chain, image, "a full image refers to a parent");
        if (run->kind != CKPT_RUN_HERE) continue;
        if (run->page_count > CKPT_RUN_PAGES_MAX || run->file_offset < CKPT_PAGE_SIZE || run->file_offset % CKPT_PAGE_SIZE
            || run->file_offset + byte_count > image->byte_count) return problem(chain, image, "a run is not inside the file");
        if ((chain->thorough || chain->count == 1) && ckpt_crc32c(0, image->bytes + run->file_offset, byte_count) != run->crc) return problem(chain, image, "a run's checksum does not match");
    }
    return 0;
}

static int check_notes(struct chain *chain, struct image *image) {
    const struct ckpt_ident *ident = &image->ident;
    const uint8_t *notes = image->bytes + ident->notes_offset;
    for (uint64_t at = 0; at + 12 <= ident->notes_byte_count;) {
        const uint32_t *head = (const uint32_t *)(notes + at);
        uint64_t body = at + 12 + ((head[0] + 3u) & ~3u), end = body + ((head[1] + 3u) & ~3u);
        if (end > ident->notes_byte_count) return problem(chain, image, "a note is not inside the notes");
        if (head[0] == 5 && memcmp(notes + at + 12, CKPT_NOTE_OWNER, 5) == 0) {
            if (head[2] == CKPT_NOTE_RUNS) image->runs = copy_table(notes + body, head[1], sizeof *image->runs, &image->run_count);
            if (head[2] == CKPT_NOTE_THREADS) image->threads = copy_table(notes + body, head[1], sizeof *image->threads, &image->thread_count);
            if (head[2] == CKPT_NOTE_MAPPINGS) image->mappings = copy_table(notes + body, head[1], sizeof *image->mappings, &image->mapping_count);
        }
        at = end;
    }
    if (!image->runs || !image->mappings || !image->threads) return problem(chain, image, "a table is missing");
    return check_runs(chain, image);
}

static int open_image(struct chain *chain, struct image *image) {
    struct stat stat;
    int file = open(image->path, O_RDONLY | O_CLOEXEC);
    if (file < 0 || fstat(file, &stat) < 0 || stat.st_size < 4096) {
        if (file >= 0) close(file);
        return problem(chain, image, file < 0 ? "is not there" : "is no image");
    }
    image->byte_count = (uint64_t)stat.st_size;
    image->bytes = mmap(NULL, image->byte_count, PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (image->bytes == MAP_FAILED) { image->bytes = NULL; return problem(chain, image, "cannot be mapped"); }
    const Elf64_Ehdr *elf = (const Elf64_Ehdr *)image->bytes;
    const Elf64_Phdr *headers = (const Elf64_Phdr *)(image->bytes + elf->e_phoff);
    if (memcmp(elf->e_ident, ELFMAG, 4) || elf->e_phoff + sizeof *headers > image->byte_count || headers->p_type != PT_NOTE
        || headers->p_offset + headers->p_filesz > image->byte_count) return problem(chain, image, "is no image");
    uint8_t first[20 + sizeof image->ident];
    memcpy(first, image->bytes + headers->p_offset, sizeof first);
    memcpy(&image->ident, first + 20, sizeof image->ident);
    memset(first + 20 + offsetof(struct ckpt_ident, ident_crc), 0, 4);
    const struct ckpt_ident *ident = &image->ident;
    if (ckpt_crc32c(0, first, sizeof first) != ident->ident_crc) return problem(chain, image, "its identity is damaged");
    if (ident->file_byte_count != image->byte_count || ident->notes_offset != headers->p_offset || ident->notes_byte_count != headers->p_filesz
        || ident->elf_header_crc != ckpt_crc32c(0, image->bytes, 64)
        || ident->program_headers_crc != ckpt_crc32c(0, headers, (uint64_t)ident->program_header_count * 56 + (elf->e_shnum ? 64 : 0))
        || ident->notes_crc != ckpt_crc32c(0, image->bytes + ident->notes_offset + sizeof first, ident->notes_byte_count - sizeof first))
        return problem(chain, image, "is damaged");
    return check_notes(chain, image);
}

int chain_open(struct chain *chain, const char *path, int thorough) {
    memset(chain, 0, sizeof *chain);
    chain->thorough = thorough;
    for (uint64_t parent = 0; chain->count < CHAIN_MAX;) {
        struct image *image = &chain->images[chain->count++];
        if (chain->count == 1) snprintf(image->path, sizeof image->path, "%s", path);
        else snprintf(image->path, sizeof image->path, "%s.d/%012lx", path, parent);
        if (open_image(chain, image) < 0) return -1;
        if (chain->count > 1 && (image->ident.identifier != parent || image->ident.depth + 1 != image[-1].ident.depth)) return problem(chain, image, "is not the parent");
        if (!image->ident.parent) return image->ident.depth ? problem(chain, image, "a full image has a depth") : 0;
        parent = image->ident.parent;
    }
    return problem(chain, &chain->images[0], "its chain is too long");
}

void chain_close(struct chain *chain) {
    for (int i = 0; i < chain->count; i++) {
        struct image *image = &chain->images[i];
        if (image->bytes) munmap((void *)image->bytes, image->byte_count);
        free(image->runs);
        free(image->mappings);
        free(image->threads);
    }
    chain->count = 0;
}

static const struct ckpt_run *find_run(const struct image *image, uint64_t address) {
    uint32_t low = 0, high = image->run_count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (image->runs[middle].address + (uint64_t)image->runs[middle].page_count * CKPT_PAGE_SIZE <= address) low = middle + 1; else high = middle;
    }
    return low < image->run_count && image->runs[low].address <= address ? &image->runs[low] : NULL;
}

enum content chain_page(const struct chain *chain, uint64_t address, const uint8_t **bytes) {
    for (int i = 0; i < chain->count; i++) {
        const struct ckpt_run *run = find_run(&chain->images[i], address);
        if (!run) return i ? CONTENT_ZERO : CONTENT_NONE;
        if (run->kind == CKPT_RUN_ZERO) return CONTENT_ZERO;
        if (run->kind == CKPT_RUN_PARENT) continue;
        *bytes = chain->images[i].bytes + run->file_offset + (address - run->address);
        return is_zero_page(*bytes) ? CONTENT_ZERO : CONTENT_BYTES;
    }
    return CONTENT_NONE;
}
