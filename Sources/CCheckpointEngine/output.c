// SPDX-License-Identifier: Apache-2.0
// The output: a new inode without a name in the image's directory, written directly.
// Signal time: safe. System calls of the scribe and of the copy-on-write child.
#include "engine.h"

#define O_RDWR_ 02
#define O_DIRECT_ 040000
#define O_TMPFILE_ (020000000 | 0200000)
#define O_CLOEXEC_ 02000000

// Splits the path: the directory is opened, the name stays in c->image_path behind the last slash.
static long open_directory(struct ckpt_checkpoint *c) {
    char *last = c->image_path;
    for (char *at = c->image_path; *at; at++) if (*at == '/') last = at;
    char kept = last[1];
    last[1] = 0;
    long directory = ckpt_open(c->image_path, 0200000 | O_CLOEXEC_, 0);
    last[1] = kept;
    return directory;
}

int ckpt_output_open(struct ckpt_checkpoint *c) {
    long directory = open_directory(c);
    if (directory < 0) return (int)directory;
    c->directory = (int)directory;
    // Kernel: O_TMPFILE since 3.11; a file without a name vanishes with the last descriptor, so a killed scribe leaves
    // nothing behind. Not every file system has it (EOPNOTSUPP, EISDIR), nor direct I/O (EINVAL).
    long file = ckpt_call(__NR_openat, directory, ".", O_RDWR_ | O_DIRECT_ | O_TMPFILE_ | O_CLOEXEC_, 0600);
    c->direct = file >= 0;
    if (file < 0) file = ckpt_call(__NR_openat, directory, ".", O_RDWR_ | O_TMPFILE_ | O_CLOEXEC_, 0600);
    if (file < 0) return (int)file;
    c->output = (int)file;
    c->blob_cursor = CKPT_PAGE_SIZE;
    return 0;
}

// Writes whole pages at a page-aligned offset.
int ckpt_output_write(struct ckpt_checkpoint *c, const void *bytes, uint64_t byte_count, uint64_t offset) {
    const uint8_t *from = bytes;
    while (byte_count > 0) {
        long wrote = ckpt_pwrite(c->output, from, byte_count, offset);
        if (wrote == -CKPT_EINTR) continue;
        if (wrote == -CKPT_EINVAL_ERRNO && c->direct) {
            // The file system took O_DIRECT and refuses this write: through the cache then.
            c->direct = 0;
            ckpt_call(__NR_fcntl, c->output, 4 /* F_SETFL */, O_RDWR_);
            continue;
        }
        if (wrote < 0) return (int)wrote;
        if (wrote == 0) return -CKPT_ENOSPC;
        if (c->direct && (wrote & (CKPT_PAGE_SIZE - 1))) {
            // A short direct write that ends inside a page cannot be continued directly.
            wrote &= ~(long)(CKPT_PAGE_SIZE - 1);
            if (wrote == 0) {
                c->direct = 0;
                ckpt_call(__NR_fcntl, c->output, 4, O_RDWR_);
            }
        }
        from += wrote;
        offset += (uint64_t)wrote;
        byte_count -= (uint64_t)wrote;
    }
    return 0;
}
