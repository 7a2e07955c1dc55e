// SPDX-License-Identifier: Apache-2.0
// Making processes with the ids of an image, and talk between supervisor and init. Plan time.
#ifndef CKPT_IDENTITY_CALLS_H
#define CKPT_IDENTITY_CALLS_H

#include <stdint.h>

// fork() by clone3: in the child 0, in the parent its id, or a negative errno. `tid`: the id that the child shall have,
// 0 for any. `pidfd`: where the descriptor of the child is written, or NULL.
int64_t ckpt_identity_clone(uint64_t flags, int32_t tid, int32_t *pidfd);

// Whether a process with this id could be made just now: 0, or a negative errno (EEXIST, EPERM, EINVAL).
// Kernel: an id may also be held by a group or a session whose leader is gone, which only trying tells.
int64_t ckpt_identity_probe(int32_t tid);

// One message of three numbers over a socket of whole messages, with a descriptor or -1. 0 or a negative errno; -EPIPE: the other end is closed.
int64_t ckpt_identity_send(int32_t socket, const int32_t *message, int32_t descriptor);
int64_t ckpt_identity_receive(int32_t socket, int32_t *message, int32_t *descriptor);

// Offset of the first pthread mutex in these bytes that one of the threads holds and whose kind makes libc or the kernel
// compare its owner with the caller; -1: none. glibc, x86-64: lock, count, owner, nusers, kind, each 32 bits.
int64_t ckpt_identity_held_mutex(const void *bytes, uint64_t byte_count, const int32_t *tids, uint32_t tid_count);

// Offset of the next word of 32 bits from `start` on that is the id of one of the threads, whatever its two highest bits
// (the kernel's FUTEX_WAITERS and FUTEX_OWNER_DIED); -1: none.
int64_t ckpt_identity_next_word(const void *bytes, uint64_t byte_count, uint64_t start, const int32_t *tids, uint32_t tid_count);
#endif
