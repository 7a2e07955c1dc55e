// SPDX-License-Identifier: Apache-2.0
// The restorer as plan time sees it, and what plan time needs of C: raw system calls and facts that Swift can not ask for.
#ifndef CKPT_RESTORER_H
#define CKPT_RESTORER_H

#include "../../../include/ckpt/restart_plan.h"

// The restorer's code: position-independent, to be copied. Addresses inside this executable.
uint64_t ckpt_restorer_code_start(void);
uint64_t ckpt_restorer_code_byte_count(void);

// With `code` the address of the copy: the handler of a loading phase, and its way back.
uint64_t ckpt_restorer_hold(uint64_t code);
uint64_t ckpt_restorer_hold_return(uint64_t code);

// With `code` the address of the copy. Makes all threads but the leader; they wait inside the block. 0 or a negative errno,
// and then plan->spawn_failed tells which one.
int64_t ckpt_restorer_spawn(uint64_t code, uint64_t plan);
// The point of no return.
_Noreturn void ckpt_restorer_enter(uint64_t code, uint64_t plan);

// A raw system call: the result, or a negative errno.
int64_t ckpt_system_call(int64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f);

// The rseq area that libc has registered for this thread; 0: none.
uint64_t ckpt_own_rseq(void);
uint32_t ckpt_own_rseq_byte_count(void);
uint32_t ckpt_own_rseq_signature(void);

// How this kernel lays out the vector state of this process in a signal frame, found by a signal to itself. For a process with one
// thread. Without XSAVE: 512 bytes, components 0 and 1.
#define CKPT_VECTOR_MAGIC1 0x46505853u
#define CKPT_VECTOR_MAGIC2 0x46505845u
struct ckpt_vector { uint64_t states; uint32_t byte_count, mxcsr_mask; };
struct ckpt_vector ckpt_own_vector(void);
// Offset of the next word from `start` on that may be the first mark of vector state in a signal frame, in bytes that begin at a
// multiple of 64; -1: none.
int64_t ckpt_next_vector(const void *bytes, uint64_t byte_count, uint64_t start);

// Argument `index` of this program, 0 its name; NULL behind the last.
const char *ckpt_argument(uint32_t index);

const char *ckpt_restart_step_text(uint32_t step);
#endif
