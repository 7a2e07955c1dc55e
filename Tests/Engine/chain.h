// SPDX-License-Identifier: Apache-2.0
// Reads an image and the images that it builds on: a reader of its own, that shares no code with the library's.
#ifndef CHAIN_H
#define CHAIN_H

#include <ckpt/image.h>

#define CHAIN_MAX 64
struct image {
    char path[4400];
    const uint8_t *bytes;
    uint64_t byte_count;
    struct ckpt_ident ident;
    struct ckpt_mapping *mappings;
    struct ckpt_run *runs;
    struct ckpt_thread *threads;
    uint32_t mapping_count, run_count, thread_count;
};
struct chain { struct image images[CHAIN_MAX]; int count, thorough; char problem[4700]; };

// Opens the image at `path` and its parents in PATH.d and checks them: checksums, order, limits. 0, or -1 with `problem`.
// `thorough`: also the checksums of the parents' pages.
int chain_open(struct chain *chain, const char *path, int thorough);
void chain_close(struct chain *chain);

enum content { CONTENT_NONE, CONTENT_ZERO, CONTENT_BYTES };
// Content of a page, resolved through the parents. What no parent has was never populated there: zeros.
enum content chain_page(const struct chain *chain, uint64_t address, const uint8_t **bytes);
int is_zero_page(const uint8_t *bytes);
#endif
