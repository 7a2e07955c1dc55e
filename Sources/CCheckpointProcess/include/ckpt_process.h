// SPDX-License-Identifier: Apache-2.0
// What plan time needs of its own process and Swift cannot say: atomic access to the live state, weak symbols of glibc,
// a thread's own counters, the C lists of texts. Plan time only; signal time never calls anything here.
#ifndef CKPT_PROCESS_H
#define CKPT_PROCESS_H

#include "../../../include/checkpointkit.h"
#include "../../../include/ckpt/checkpoint_plan.h"

// Sequentially consistent throughout: `deferrals` and `deferred` are a store and a load of two sides (Dekker), and
// none of these is on a path that is called often.
#define CKPT_LIVE_FIELD(type, field) \
    static inline type ckpt_live_##field(const struct ckpt_live *live) { return __atomic_load_n(&live->field, __ATOMIC_SEQ_CST); }
CKPT_LIVE_FIELD(uint32_t, event)
CKPT_LIVE_FIELD(uint32_t, armed)
CKPT_LIVE_FIELD(uint32_t, hook_phase)
CKPT_LIVE_FIELD(uint32_t, hook_outcome)
CKPT_LIVE_FIELD(uint64_t, completed)
CKPT_LIVE_FIELD(uint64_t, report_count)
CKPT_LIVE_FIELD(uint64_t, restart_count)
#undef CKPT_LIVE_FIELD

static inline void ckpt_live_set_hooks(struct ckpt_live *live, uint32_t hooks) {
    __atomic_store_n(&live->hooks, hooks, __ATOMIC_SEQ_CST);
}
// True when the phase was `expected` and is now `phase`.
static inline _Bool ckpt_live_change_phase(struct ckpt_live *live, uint32_t expected, uint32_t phase) {
    return __atomic_compare_exchange_n(&live->hook_phase, &expected, phase, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}
static inline void ckpt_live_enter_deferral(struct ckpt_live *live) {
    __atomic_fetch_add(&live->deferrals, 1, __ATOMIC_SEQ_CST);
}
// True when the last one left and a request had come meanwhile: the caller makes the request again.
static inline _Bool ckpt_live_leave_deferral(struct ckpt_live *live) {
    return __atomic_sub_fetch(&live->deferrals, 1, __ATOMIC_SEQ_CST) == 0
        && __atomic_exchange_n(&live->deferred, 0, __ATOMIC_SEQ_CST) != 0;
}
// Copies report `index`; false when it is not there yet or the ring has gone over it.
_Bool ckpt_live_report(const struct ckpt_live *live, uint64_t index, struct ckpt_report *copy);

// Strings of a report and of the last restart, where they are. `ckpt_live_restart_environment` gives entry `index`, "K=V";
// `ckpt_live_restart_value` the value of one name. NULL: there is none.
static inline const char *ckpt_report_path(const struct ckpt_report *report) { return report->path; }
static inline const char *ckpt_report_thread_name(const struct ckpt_report *report) { return (const char *)report->thread_name; }
static inline const char *ckpt_live_restart_image_path(const struct ckpt_live *live) { return live->restart.image_path; }
const char *ckpt_live_restart_environment(const struct ckpt_live *live, uint32_t index);
const char *ckpt_live_restart_value(const struct ckpt_live *live, const char *name);

// Counters of the calling thread: how deep it is inside `deferring`, and whether it runs a hook.
uint32_t ckpt_thread_deferral_depth(void);
void ckpt_thread_change_deferral_depth(int32_t change);
_Bool ckpt_thread_is_in_hook(void);
void ckpt_thread_set_in_hook(_Bool is_in_hook);

// Names the calling thread, as /proc/PID/task/TID/comm shows it.
void ckpt_thread_set_name(const char *name);

// Gives way to everybody else, for the whole process when it is called before other threads are made: lowest priority, any
// processor that it may use. Returns how many those are.
int32_t ckpt_process_make_humble(void);
int32_t ckpt_process_count_processors(void); // that this process may use

// The name that the program was called by, without its directory.
const char *ckpt_invocation_name(void);

// rseq as glibc registered it (2.35 and newer): offset from the thread pointer and the length the kernel was given,
// 0 when there is none. The symbols are weak: a static program and an older glibc have no dynamic symbol to ask for.
#define CKPT_RSEQ_SIGNATURE 0x53053053u
uint32_t ckpt_rseq(uint64_t *offset);

// Whether glibc takes this feature (a name of its tunable glibc.cpu.hwcaps) for usable: 1, 0, or -1 when it does not say (before
// 2.33, and in a static program) or the name is not known here.
int32_t ckpt_glibc_has(const char *name);

// Build id of the executable (PT_NOTE, NT_GNU_BUILD_ID): the byte count, 0 when it has none.
uint32_t ckpt_executable_build_id(uint8_t build_id[20]);

// True under valgrind, which runs the program by a processor of its own.
_Bool ckpt_is_under_valgrind(void);

// True when the range holds a part of a stack in use, as far as that can be known: the caller's, the first thread's, and what is
// around the stack pointer of every other thread that waits in the kernel. Reads /proc.
_Bool ckpt_is_stack(const void *start, size_t byte_count);

// Where the object that holds this library lies: its path, or NULL.
const char *ckpt_library_path(void);
// Gives free heap back to the kernel, where the allocator is glibc's.
void ckpt_trim_heap(void);

// Texts of the lists in checkpointkit.h and checkpoint_plan.h; NULL: no such number.
const char *ckpt_error_text(int error);
static inline const char *ckpt_error_text_unknown(void) { return "no error of this library"; }
static inline const char *ckpt_version_text(void) { return CKPT_VERSION; }
const char *ckpt_step_text(uint32_t step);
// What strerror says, into `text`; safe for threads.
void ckpt_errno_text(int error, char *text, size_t byte_count);

#endif
