// SPDX-License-Identifier: Apache-2.0
// What this processor can do, in the words of struct ckpt_process. Signal time and plan time: no libc, no call.
#ifndef CKPT_CPU_H
#define CKPT_CPU_H

#include <stdint.h>

static inline void ckpt_cpu_leaf(uint32_t leaf, uint32_t subleaf, uint32_t r[4]) {
    __asm__ volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "a"(leaf), "c"(subleaf));
}

// cpuid: leaf 1 ECX, EDX; leaf 7.0 EBX, ECX, EDX; leaf 7.1 EAX; leaf 0x80000001 ECX, EDX. A leaf that is not there reads 0.
static inline void ckpt_cpu_words(uint32_t words[8]) {
    uint32_t r[4], last;
    for (int i = 0; i < 8; i++) words[i] = 0;
    ckpt_cpu_leaf(0, 0, r);
    last = r[0];
    if (last >= 1) {
        ckpt_cpu_leaf(1, 0, r);
        words[0] = r[2];
        words[1] = r[3];
    }
    if (last >= 7) {
        ckpt_cpu_leaf(7, 0, r);
        words[2] = r[1];
        words[3] = r[2];
        words[4] = r[3];
        if (r[0] >= 1) {
            ckpt_cpu_leaf(7, 1, r);
            words[5] = r[0];
        }
    }
    ckpt_cpu_leaf(0x80000000u, 0, r);
    if (r[0] >= 0x80000001u) {
        ckpt_cpu_leaf(0x80000001u, 0, r);
        words[6] = r[2];
        words[7] = r[3];
    }
}

// What instructions are chosen by beside that, in the words of struct ckpt_processor: leaf 13.1 EAX (glibc's lazy binding takes
// XSAVEC), leaf 7.1 EDX, leaf 0x80000008 EBX. A leaf that is not there reads 0.
static inline void ckpt_cpu_more_words(uint32_t words[3]) {
    uint32_t r[4], last;
    for (int i = 0; i < 3; i++) words[i] = 0;
    ckpt_cpu_leaf(0, 0, r);
    last = r[0];
    if (last >= 13) {
        ckpt_cpu_leaf(13, 1, r);
        words[0] = r[0];
    }
    if (last >= 7) {
        ckpt_cpu_leaf(7, 0, r);
        if (r[0] >= 1) {
            ckpt_cpu_leaf(7, 1, r);
            words[1] = r[3];
        }
    }
    ckpt_cpu_leaf(0x80000000u, 0, r);
    if (r[0] >= 0x80000008u) {
        ckpt_cpu_leaf(0x80000008u, 0, r);
        words[2] = r[1];
    }
}

// Where a component of the XSAVE area lies in the layout that signal frames have (not the compacted one), and its size.
// Intel's and AMD's processors differ in the offsets. 0, 0: not there.
static inline void ckpt_cpu_component(uint32_t number, uint32_t *offset, uint32_t *byte_count) {
    uint32_t r[4];
    *offset = *byte_count = 0;
    ckpt_cpu_leaf(0, 0, r);
    if (number < 2 || r[0] < 13) return;
    ckpt_cpu_leaf(13, number, r);
    if (r[0] == 0 || (r[2] & 1)) return; // bit 0 of ECX: a state of the kernel's
    *byte_count = r[0];
    *offset = r[1];
}

// XCR0: the state that the kernel lets programs use; 0 without XSAVE.
static inline uint64_t ckpt_cpu_xfeatures(void) {
    uint32_t words[8], low, high;
    ckpt_cpu_words(words);
    if (!(words[0] & (1u << 27))) return 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

// Size of the XSAVE area for the features of XCR0, as leaf 13 tells it; 512 without XSAVE.
static inline uint32_t ckpt_cpu_xsave_byte_count(void) {
    uint32_t r[4];
    ckpt_cpu_leaf(0, 0, r);
    if (r[0] < 13) return 512;
    ckpt_cpu_leaf(13, 0, r);
    return r[1] ? r[1] : 512;
}

// 1…4: x86-64-v1 … v4 of the psABI, operating system's support for the vector state included.
static inline uint32_t ckpt_cpu_level(const uint32_t words[8], uint64_t xfeatures) {
    // v2: SSE3 SSSE3 CX16 SSE4.1 SSE4.2 POPCNT, LAHF
    const uint32_t v2 = 1u << 0 | 1u << 9 | 1u << 13 | 1u << 19 | 1u << 20 | 1u << 23;
    // v3: FMA MOVBE OSXSAVE AVX F16C; BMI1 AVX2 BMI2; LZCNT
    const uint32_t v3_1 = 1u << 12 | 1u << 22 | 1u << 27 | 1u << 28 | 1u << 29;
    const uint32_t v3_7 = 1u << 3 | 1u << 5 | 1u << 8;
    // v4: AVX512 F DQ CD BW VL
    const uint32_t v4_7 = 1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31;
    if ((words[0] & v2) != v2 || !(words[6] & 1u)) return 1;
    if ((words[0] & v3_1) != v3_1 || (words[2] & v3_7) != v3_7 || !(words[6] & 1u << 5) || (xfeatures & 6) != 6) return 2;
    if ((words[2] & v4_7) != v4_7 || (xfeatures & 0xe6) != 0xe6) return 3;
    return 4;
}
#endif
