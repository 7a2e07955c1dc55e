// SPDX-License-Identifier: Apache-2.0
// The sink: what the scribe and the process that receives an image as a stream say to each other.
//
// The scribe starts plan.sink_path with the arguments `sink --compress NAME[:LEVEL]`. It finds a Unix stream socket as
// descriptor CKPT_SINK_SOCKET and the new file, open for writing and empty, as CKPT_SINK_OUTPUT. It reads frames up to END,
// writes the image into the file, answers with one record and ends. Syncing and naming the file stay the scribe's.
// When the socket is at its end before END, nobody wants the image any more.
#ifndef CKPT_SINK_H
#define CKPT_SINK_H

#include <stdint.h>

#define CKPT_SINK_SOCKET 3
#define CKPT_SINK_OUTPUT 4
#define CKPT_SINK_FRAME_BYTES_MAX (1u << 20)

enum ckpt_sink_frame_kind {
    CKPT_SINK_PAGES = 0x434b5301u,  // whole pages of content. No offset comes twice; what lies between a frame and the next is zeros, and never comes
    CKPT_SINK_TAIL = 0x434b5302u,   // notes and program headers as they are before compression, ascending without gaps
    CKPT_SINK_HEADER = 0x434b5303u, // the page with the ELF header, at offset 0
    CKPT_SINK_END = 0x434b5304u,    // nothing more; no payload
};
struct ckpt_sink_frame {
    uint32_t kind;              // enum ckpt_sink_frame_kind
    uint32_t byte_count;        // of the payload behind this head: a multiple of 4096, at most CKPT_SINK_FRAME_BYTES_MAX
    uint64_t offset;            // in the image before compression
};

#define CKPT_SINK_ANSWER 0x434b5341u
struct ckpt_sink_answer {
    uint32_t magic;             // CKPT_SINK_ANSWER
    int32_t error;              // 0: the image is in the file; else a negative errno
    uint64_t stored_byte_count; // of pages and blobs, as they are in the file
    uint64_t file_byte_count;
};
#endif
