// SPDX-License-Identifier: Apache-2.0
// Objects of shared memory: capture_shared.c finds them, shared.c copies them. Part of engine.h.
#ifndef CKPT_SHARED_H
#define CKPT_SHARED_H

#define CKPT_OBJECTS_MAX 4096u

// A part of an object that is mapped. The engine's tables of one look.
struct ckpt_piece { uint64_t offset, end, address; uint32_t object; uint8_t is_readable, is_swapped; };

struct ckpt_object {
    struct ckpt_shared shared;
    int descriptor;             // of the scribe, for reading; -1: none
    uint32_t seen;              // the look that found it last
    uint32_t index;             // in the image
    uint32_t mapped_count;
    uint64_t room;              // of its address
};
struct ckpt_objects {
    struct ckpt_object *all;
    uint32_t count, look;
    uint64_t next_address;
    struct ckpt_piece *pieces; uint32_t piece_count; // of the last look, by object and offset
    uint64_t *key;              // of the hash
    uint64_t copied_byte_count;
    uint32_t exclusion_version; // before the first look
};

// capture_shared.c
// While the program runs: the objects that its mappings and descriptors have now.
int ckpt_find_objects(struct ckpt_checkpoint *c);
// In the freeze or a survey, behind the mappings and descriptors, which are told their objects.
int ckpt_capture_shared(struct ckpt_checkpoint *c);
int ckpt_is_mapped_shared(struct ckpt_checkpoint *c, const struct ckpt_descriptor *d);
void ckpt_close_objects(struct ckpt_checkpoint *c);
// shared.c
int ckpt_precopy_objects(struct ckpt_checkpoint *c); // while the program runs: what is not known or has changed, into the file
int ckpt_precopy_objects_again(struct ckpt_checkpoint *c); // until little has changed, or no less than before
int ckpt_copy_objects_at_last(struct ckpt_checkpoint *c); // in the freeze
#endif
