// SPDX-License-Identifier: Apache-2.0
// Captures the processor: what the program may have chosen instructions by, and how its vector state lies in signal frames.
// Signal time: safe. Asks the processor and the kernel; runs in the scribe before the freeze, or in a survey.
#include "engine.h"
#include "ckpt/cpu.h"

#define ARCH_GET_XCOMP_PERM 0x1022

// Before the freeze: CPUID leaves a virtual machine each time.
void ckpt_capture_processor(struct ckpt_checkpoint *c) {
    struct ckpt_process *p = &c->process;
    struct ckpt_processor *processor = &c->processor;
    uint64_t permitted = 0;
    ckpt_cpu_words(p->cpuid);
    p->xfeatures = ckpt_cpu_xfeatures();
    p->xsave_byte_count = ckpt_cpu_xsave_byte_count();
    p->cpu_level = ckpt_cpu_level(p->cpuid, p->xfeatures);
    ckpt_cpu_more_words(processor->cpuid);
    processor->level = ckpt_state.plan.processor_level;
    // Kernel: since 5.16 large components must be asked for, by process; a scribe has its program's permission (fpu_clone). Before,
    // EINVAL: every component of XCR0 is there for all.
    if (ckpt_call(__NR_arch_prctl, ARCH_GET_XCOMP_PERM, &permitted) < 0) permitted = ~0ull;
    processor->permitted = permitted & p->xfeatures;
    for (uint32_t i = 2; i < CKPT_COMPONENT_COUNT; i++)
        if (p->xfeatures & 1ull << i) ckpt_cpu_component(i, &processor->components[i].offset, &processor->components[i].byte_count);
}
