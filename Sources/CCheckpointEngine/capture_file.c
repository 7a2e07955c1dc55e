// SPDX-License-Identifier: Apache-2.0
// Captures regular files: a fingerprint of content that stays where it is, the content itself when no name leads to it.
// Signal time: safe. Reads the file through /proc/PID/fd while the program is frozen.
#include "engine.h"
#include "ckpt/crc32c.h"

static int read_range(int file, uint8_t *buffer, uint64_t byte_count, uint64_t offset, uint32_t *crc) {
    uint64_t used = 0;
    while (used < byte_count) {
        long got = ckpt_pread(file, buffer + used, byte_count - used, offset + used);
        if (got == -CKPT_EINTR) continue;
        if (got <= 0) return -1;
        used += (uint64_t)got;
    }
    *crc = ckpt_crc32c(*crc, buffer, byte_count);
    return 0;
}

// Copies the whole content into the image. Its length is the pause's: deleted files are mostly small.
static int embed(struct ckpt_checkpoint *c, struct ckpt_descriptor *d, int file, uint8_t *buffer) {
    d->flags |= CKPT_DESCRIPTOR_EMBEDDED;
    if (!c->frozen) return 0; // a survey: it would be
    struct ckpt_blob *blob = &c->blobs[c->blob_count];
    *blob = (struct ckpt_blob){c->file_end, d->byte_count, 0, 0};
    for (uint64_t at = 0; at < d->byte_count; at += CKPT_BOUNCE_BYTES) {
        uint64_t part = d->byte_count - at < CKPT_BOUNCE_BYTES ? d->byte_count - at : CKPT_BOUNCE_BYTES;
        uint64_t pages = (part + CKPT_PAGE_SIZE - 1) & ~(uint64_t)(CKPT_PAGE_SIZE - 1);
        if (read_range(file, buffer, part, at, &blob->crc) < 0) {
            d->flags &= ~(uint32_t)CKPT_DESCRIPTOR_EMBEDDED; // cannot be read: stays without content
            return 0;
        }
        ckpt_memset(buffer + part, 0, pages - part);
        int error = ckpt_output_write(c, buffer, pages, c->file_end);
        if (error < 0) { if (c->step == CKPT_STEP_NONE) c->step = CKPT_STEP_WRITE; return error; }
        c->file_end += pages;
    }
    c->blob_memory[c->blob_count] = 0;
    d->detail = c->blob_count++;
    return 0;
}

int ckpt_capture_file(struct ckpt_checkpoint *c, struct ckpt_descriptor *d) {
    char path[64];
    if (d->flags & CKPT_DESCRIPTOR_DELETED && ckpt_is_mapped_shared(c, d)) return 0; // capture_shared.c
    uint8_t *buffer = (uint8_t *)(ckpt_arena + CKPT_BOUNCE_OFFSET);
    ckpt_descriptor_path(c, d->number, path, sizeof path);
    // Kernel: opening the link gives the file itself with a position of its own, also when it is deleted (proc(5)).
    long file = ckpt_openat(c->proc, path, 02004000 /* O_CLOEXEC | O_NONBLOCK */);
    if (file < 0) return 0; // no permission to read it: no fingerprint
    int error = 0;
    if (d->flags & CKPT_DESCRIPTOR_DELETED) {
        error = embed(c, d, (int)file, buffer);
    } else {
        uint64_t part = d->byte_count < CKPT_FINGERPRINT_BYTES ? d->byte_count : CKPT_FINGERPRINT_BYTES;
        if (read_range((int)file, buffer, part, 0, &d->head_crc) == 0
            && read_range((int)file, buffer, part, d->byte_count - part, &d->tail_crc) == 0)
            d->flags |= CKPT_DESCRIPTOR_FINGERPRINT;
    }
    ckpt_close((int)file);
    return error;
}
