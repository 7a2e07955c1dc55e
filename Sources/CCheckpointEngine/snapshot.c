// SPDX-License-Identifier: Apache-2.0
// What the copy-on-write child does: it writes pages from its frozen memory: all of them when nothing is tracked, else those
// that the freeze found.
// Signal time: safe. A process of its own with a copy of the frozen memory; no part of it is seen by the program.
#include "engine.h"
#include "ckpt/crc32c.h"

// Contents of pipes, captured into the arena; those of files are in the output already.
int ckpt_write_blobs(struct ckpt_checkpoint *c) {
    for (uint32_t i = 0; i < c->blob_count; i++) {
        struct ckpt_blob *blob = &c->blobs[i];
        if (!c->blob_memory[i]) continue;
        uint64_t pages = (blob->byte_count + CKPT_PAGE_SIZE - 1) & ~(uint64_t)(CKPT_PAGE_SIZE - 1);
        blob->file_offset = c->file_end;
        blob->crc = ckpt_crc32c(0, (const void *)c->blob_memory[i], blob->byte_count);
        int error = ckpt_output_put(c, (const void *)c->blob_memory[i], pages, c->file_end);
        if (error < 0) return error;
        c->file_end += pages;
    }
    return 0;
}

// -EAGAIN: memory that this child does not have and the freeze did not copy, in *missing.
int ckpt_write_image(struct ckpt_checkpoint *c, struct ckpt_unforked *missing) {
    int error = ckpt_find_unforked(c, missing);
    if (error < 0) return error;
    // The scribe's descriptors speak of the program's memory, not of this copy.
    c->memory = c->map = -1;
    ckpt_output_begin(c);
    error = ckpt_copy_begin(c);
    if (error == 0) error = ckpt_write_blobs(c);
    if (error == 0) error = c->tracked ? ckpt_write_spans(c) : ckpt_write_pages(c);
    if (error == 0) error = ckpt_flush_hot(c);
    if (error == 0) error = ckpt_build_runs(c);
    if (error == 0) error = ckpt_write_notes(c);
    int finished = ckpt_output_finish(c);
    return error < 0 ? error : finished;
}
