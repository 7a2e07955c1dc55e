// SPDX-License-Identifier: Apache-2.0
// Captures the threads, from the records that they left when they parked.
// Signal time: safe. Reads the arena, the signal frames and /proc; runs in the scribe while the program is frozen.
#include "engine.h"

// Kernel: struct ucontext of arch/x86/include/uapi/asm/ucontext.h; uc_stack at 16, registers at 40, uc_sigmask at 296.
#define UC_STACK 16
#define UC_SIGMASK 296

static uint64_t pending_of(struct ckpt_checkpoint *c, int32_t proc_tid, struct ckpt_slot *slot) {
    char *text = (char *)(ckpt_arena + CKPT_SCRATCH_OFFSET), path[64], *end = path + sizeof path;
    uint64_t pending = 0;
    ckpt_append(ckpt_append_number(ckpt_append(path, end, "task/"), end, (uint64_t)proc_tid, 10, 1), end, "/status");
    if (ckpt_read_text(c->proc, path, text, 8192) <= 0) return 0;
    ckpt_find_field(text, "SigPnd:", 16, &pending);
    ckpt_note_status(slot, text);
    return pending;
}

static void describe(struct ckpt_thread *thread, const struct ckpt_slot *slot) {
    const struct ckpt_plan *plan = &ckpt_state.plan;
    const uint8_t *context = (const uint8_t *)slot->ucontext;
    thread->tid = slot->tid;
    thread->ucontext = slot->ucontext;
    thread->fs_base = slot->fs_base;
    thread->gs_base = slot->gs_base;
    thread->tid_address = slot->tid_address;
    thread->robust_list = slot->robust_list;
    thread->robust_list_byte_count = slot->robust_list_byte_count;
    if (plan->rseq_byte_count) {
        thread->rseq = slot->fs_base + plan->rseq_offset;
        thread->rseq_byte_count = plan->rseq_byte_count;
        thread->rseq_signature = plan->rseq_signature;
    }
    thread->signal_mask = *(const uint64_t *)(context + UC_SIGMASK);
    thread->alternate_stack = *(const uint64_t *)(context + UC_STACK);
    thread->alternate_stack_flags = *(const uint32_t *)(context + UC_STACK + 8);
    thread->alternate_stack_byte_count = *(const uint64_t *)(context + UC_STACK + 16);
    ckpt_memcpy(thread->name, slot->name, sizeof thread->name);
}

// Kernel: the vector state lies where the frame's pointer says, its size in struct _fpx_sw_bytes at 464: magic1,
// extended_size, xfeatures, xstate_size.
static int copy_frame(struct ckpt_checkpoint *c, const struct ckpt_thread *thread, struct ckpt_frame *frame) {
    const uint64_t *context = (const uint64_t *)thread->ucontext;
    if (thread->flags & CKPT_THREAD_ENDED) return 0;
    ckpt_memcpy(frame->registers, context + 5, sizeof frame->registers);
    const uint8_t *vector = (const uint8_t *)context[5 + 23];
    if (!vector) return 0;
    const uint32_t *software = (const uint32_t *)(vector + 464);
    int extended = software[0] == 0x46505853 && software[4] >= 576 && software[4] <= 16384;
    frame->vector_byte_count = extended ? software[4] : 512;
    uint8_t *copy = ckpt_take(&c->tables, frame->vector_byte_count);
    if (!copy) { c->step = CKPT_STEP_ARENA; return -CKPT_ENOMEM; }
    ckpt_memcpy(copy, vector, frame->vector_byte_count);
    frame->vector = copy;
    return 0;
}

int ckpt_capture_threads(struct ckpt_checkpoint *c) {
    struct ckpt_control *control = ckpt_control();
    uint32_t expected = c->thread_count, found = 0, claimed = control->slot_count - control->slot_first;
    // Room for one more: a leader that ended has no slot.
    struct ckpt_thread *threads = c->threads = ckpt_take(&c->tables, (uint64_t)(expected + 1) * sizeof *threads);
    if (!threads) { c->step = CKPT_STEP_ARENA; return -CKPT_ENOMEM; }
    ckpt_memset(threads, 0, (uint64_t)(expected + 1) * sizeof *threads);
    found = 1; // index 0 is the leader's
    for (uint32_t s = 0; s < claimed && s < CKPT_SLOT_COUNT; s++) {
        struct ckpt_slot *slot = ckpt_slot(control->slot_first + s);
        if (slot->ready != control->epoch) continue;
        int leader = slot->tid == c->pid;
        if (!leader && found > expected) return -CKPT_EINVAL_ERRNO;
        struct ckpt_thread *thread = &threads[leader ? 0 : found++];
        if (!c->foreign_proc) thread->pending_signals = pending_of(c, slot->tid, slot);
        slot->pending = ckpt_of_program(thread->pending_signals);
        describe(thread, slot);
        // In a restarted program its handler runs before the call could go on.
        ckpt_interrupt_for(slot, thread->pending_signals | c->process.pending_signals);
    }
    if (threads[0].tid == 0) {
        threads[0].tid = c->pid;
        threads[0].flags = CKPT_THREAD_ENDED;
    }
    threads[0].flags |= CKPT_THREAD_LEADER;
    if (found != expected) return -CKPT_EINVAL_ERRNO;
    c->process.thread_count = expected;
    c->frames = ckpt_take(&c->tables, expected * sizeof *c->frames);
    if (!c->frames) { c->step = CKPT_STEP_ARENA; return -CKPT_ENOMEM; }
    ckpt_memset(c->frames, 0, expected * sizeof *c->frames);
    int error = 0;
    for (uint32_t i = 0; i < expected && error == 0; i++) error = copy_frame(c, &threads[i], &c->frames[i]);
    return error;
}
