// SPDX-License-Identifier: Apache-2.0
// memcpy and memset for the engine.
// Signal time: safe. String instructions only; nothing is called.
#define CKPT_MEMORY_C
#include "engine.h"

void *ckpt_memcpy(void *to, const void *from, size_t byte_count) {
    void *result = to;
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(byte_count) : : "memory");
    return result;
}

void *ckpt_memset(void *to, int byte, size_t byte_count) {
    void *result = to;
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(byte_count) : "a"(byte) : "memory");
    return result;
}
