// SPDX-License-Identifier: Apache-2.0
// What glibc takes the processor for when it chooses among its own functions. Plan time.
#include "include/ckpt_process.h"
#include <string.h>

// <sys/platform/x86.h> of glibc 2.33 and newer; the numbers are its interface. Weak: there may be none.
struct cpuid_feature { uint32_t cpuid[4], active[4]; };
extern const struct cpuid_feature *__x86_get_cpuid_feature_leaf(unsigned leaf) __attribute__((weak));
enum { LEAF_1 = 0, LEAF_7 = 1, LEAF_80000001 = 2, LEAF_D_1 = 3 };
enum { EAX = 0, EBX = 1, ECX = 2 };

int32_t ckpt_glibc_has(const char *name) {
    static const struct { char name[12]; uint8_t leaf, output, bit; } features[] = {
        {"SSSE3", LEAF_1, ECX, 9}, {"FMA", LEAF_1, ECX, 12}, {"SSE4_1", LEAF_1, ECX, 19}, {"SSE4_2", LEAF_1, ECX, 20},
        {"MOVBE", LEAF_1, ECX, 22}, {"POPCNT", LEAF_1, ECX, 23}, {"XSAVE", LEAF_1, ECX, 26}, {"OSXSAVE", LEAF_1, ECX, 27},
        {"AVX", LEAF_1, ECX, 28}, {"BMI1", LEAF_7, EBX, 3}, {"AVX2", LEAF_7, EBX, 5}, {"BMI2", LEAF_7, EBX, 8},
        {"RTM", LEAF_7, EBX, 11}, {"AVX512F", LEAF_7, EBX, 16}, {"AVX512DQ", LEAF_7, EBX, 17}, {"AVX512PF", LEAF_7, EBX, 26},
        {"AVX512ER", LEAF_7, EBX, 27}, {"AVX512CD", LEAF_7, EBX, 28}, {"AVX512BW", LEAF_7, EBX, 30}, {"AVX512VL", LEAF_7, EBX, 31},
        {"LZCNT", LEAF_80000001, ECX, 5}, {"FMA4", LEAF_80000001, ECX, 16}, {"XSAVEC", LEAF_D_1, EAX, 1},
    };
    if (!__x86_get_cpuid_feature_leaf) return -1;
    for (unsigned i = 0; i < sizeof features / sizeof *features; i++) {
        if (strcmp(features[i].name, name) != 0) continue;
        const struct cpuid_feature *leaf = __x86_get_cpuid_feature_leaf(features[i].leaf);
        return leaf ? (int32_t)(leaf->active[features[i].output] >> features[i].bit & 1) : -1;
    }
    return -1;
}
