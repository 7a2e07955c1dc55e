// SPDX-License-Identifier: Apache-2.0
// The survey: the capture without a freeze, for preflight(). The same code looks, so the same things are found.
// Signal time: safe. Runs in the calling thread at plan time, with the trigger's lock held so that no scribe uses the arena.
#include "engine.h"

static int64_t survey(void *buffer, size_t byte_count) {
    struct ckpt_checkpoint *c = ckpt_begin();
    c->pid = (int32_t)ckpt_getpid();
    long proc = ckpt_open("/proc/self", 0200000 | 02000000, 0);
    if (proc < 0) return proc;
    c->proc = (int)proc;
    // A thread's name in /proc: that of this one, as the link says it ("PID/task/TID").
    char link[64];
    uint64_t tid = 0;
    long length = ckpt_read_link(-100, "/proc/thread-self", link, sizeof link);
    while (length > 0 && link[length - 1] != '/') length--;
    ckpt_number(link + (length > 0 ? length : 0), 10, &tid);
    c->live_tid = (int32_t)tid;
    ckpt_capture_processor(c);
    ckpt_capture_signals(c->actions);
    c->action_count = 64;
    int error = ckpt_capture_process(c);
    if (error == 0) ckpt_capture_status(c);
    if (error == 0) error = ckpt_capture_mappings(c);
    if (error == 0) error = ckpt_capture_limits(c);
    if (error == 0) error = ckpt_capture_attributes(c);
    if (error == 0) error = ckpt_capture_descriptors(c);
    if (error == 0) error = ckpt_ledger_begin(c);
    if (error == 0) error = ckpt_capture_shared(c);
    ckpt_close_objects(c);
    if (error == 0) error = ckpt_capture_timers(c);
    ckpt_close(c->proc);
    if (error < 0) return error;
    uint64_t threads = 0;
    char *text = (char *)(ckpt_arena + CKPT_SCRATCH_OFFSET);
    if (ckpt_read_text(-100, "/proc/self/status", text, 8192) > 0) ckpt_find_field(text, "Threads:", 10, &threads);
    c->process.thread_count = (uint32_t)threads;
    c->string_byte_count = c->strings.used;
    uint64_t notes_byte_count = 0;
    uint8_t *notes = ckpt_build_notes(c, &notes_byte_count);
    if (!notes) return -CKPT_ENOMEM;
    if (notes_byte_count > byte_count) return -CKPT_ENOSPC;
    ckpt_memcpy(buffer, notes, notes_byte_count);
    return (int64_t)notes_byte_count;
}

int64_t ckpt_engine_survey(void *buffer, size_t byte_count) {
    int own = ckpt_arena == 0 || ckpt_make_ready() < 0; // not enabled here: an arena for this call alone
    uint64_t before = ckpt_arena;
    if (own) {
        int error = ckpt_make_arena();
        if (error < 0) return error;
    }
    uint64_t mask;
    for (;;) {
        mask = ckpt_block_signals();
        ckpt_lock();
        if (ckpt_load(&ckpt_control()->work) == CKPT_WORK_IDLE) break;
        ckpt_unlock();
        ckpt_restore_signals(mask);
        ckpt_engine_wait_event(ckpt_load(&ckpt_state.live.event), 10000000);
    }
    int64_t result = survey(buffer, byte_count);
    ckpt_call(__NR_madvise, ckpt_arena + CKPT_STRINGS_OFFSET, CKPT_EMPTIED_BYTES, 4 /* MADV_DONTNEED */);
    ckpt_unlock();
    if (own) {
        ckpt_call(__NR_munmap, ckpt_arena, CKPT_ARENA_BYTES);
        ckpt_arena = ckpt_state.arena = before;
    }
    ckpt_restore_signals(mask);
    return result;
}
