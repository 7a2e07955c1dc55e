// SPDX-License-Identifier: Apache-2.0
// The checkpoint plan: what plan time tells signal time, and what signal time tells back.
#ifndef CKPT_CHECKPOINT_PLAN_H
#define CKPT_CHECKPOINT_PLAN_H

#include "image.h"
#include "restart_context.h"

#define CKPT_PLAN_VERSION 3u
#define CKPT_EXIT_STATUS_DEFAULT 85

// How written pages are found. AUTO tries UFFD, then takes full images (NONE): MPROTECT makes system calls of the program fail
// with EFAULT where they write into memory that is tracked, so it is only taken when it is asked for.
enum ckpt_tracker { CKPT_TRACKER_AUTO = 0, CKPT_TRACKER_UFFD = 1, CKPT_TRACKER_MPROTECT = 2, CKPT_TRACKER_NONE = 3 };
enum ckpt_exclusion { CKPT_EXCLUDE_DEAD = 1 /* zero after a restart, in no image */, CKPT_EXCLUDE_READ_ONLY = 2 /* as in the last image */ };

struct ckpt_inherited_stream { uint64_t device, inode; uint32_t mode, open; }; // as fstat gives it; open 0: was closed

struct ckpt_plan {
    uint32_t version, byte_count;       // CKPT_PLAN_VERSION, sizeof(struct ckpt_plan)
    int32_t signal, exit_signal;        // exit_signal 0: none
    int32_t exit_status;                // of checkpoint-and-exit
    uint32_t generations;               // complete older checkpoints kept
    uint64_t freeze_deadline_ns;        // of one attempt
    uint64_t freeze_patience_ns;        // of all attempts
    struct ckpt_inherited_stream inherited[3]; // descriptors 0–2 at enable()
    uint64_t rseq_offset;               // from FS base (glibc: __rseq_offset); valid when rseq_byte_count > 0
    uint32_t rseq_byte_count, rseq_signature;
    uint8_t build_id[20];
    uint32_t build_id_byte_count;
    uint32_t tracker;                   // enum ckpt_tracker
    uint64_t pause_budget_ns;           // the freeze begins when what is left to copy fits into this
    uint64_t interval_ns;               // periodic checkpoints; 0: none
    uint64_t failure_ns;                // mean time between failures: the interval is found from the measured cost; 0: interval_ns is it
    uint64_t minimum_interval_ns;       // a request sooner after the last checkpoint is refused (TOO_SOON); 0: never
    uint64_t disk_limit_byte_count;     // of all images of this program; 0: none
    uint32_t chain_length;              // increments before the next full image; 0: every image is full
    uint32_t compression;               // enum ckpt_compression
    int32_t compression_level;
    uint32_t sink_patience_ms;          // a sink that makes no progress for so long has failed; 0: a minute
    uint32_t processor_level;           // the program promises to use no more than x86-64-v1 … v4 (CKPT_CPU); 0: no promise
    uint32_t reserved;
    char sink_path[CKPT_PATH_BYTES];    // absolute path of the program that is run as sink; empty: the image is written directly
    char image_path[CKPT_PATH_BYTES];   // absolute
};

// Outcome of one checkpoint; in a ring, written by the scribe, and sent to `ckpt save`.
enum ckpt_outcome {
    CKPT_OUTCOME_SAVED = 0, CKPT_OUTCOME_FAILED = 1, CKPT_OUTCOME_CANCELLED = 2 /* by a before-hook */,
    CKPT_OUTCOME_RESTARTED = 3, CKPT_OUTCOME_TOO_SOON = 4 /* minimum_interval_ns is not over */,
};
// Where a checkpoint was when it failed: one list for the enum and its text.
#define CKPT_STEP_LIST(X) \
    X(NONE, "nothing failed") \
    X(SCRIBE, "starting the scribe") \
    X(PROC, "reading /proc") \
    X(HOOK, "running the hooks") \
    X(FREEZE, "freezing the threads") \
    X(CAPTURE, "capturing kernel state") \
    X(SNAPSHOT, "making the copy-on-write child") \
    X(ARENA, "the engine's own memory is too small") \
    X(OPEN, "creating the image") \
    X(WRITE, "writing the image") \
    X(SYNC, "syncing the image") \
    X(COMMIT, "making the image visible") \
    X(DIED, "the scribe was killed") \
    X(CONNECT, "connecting to the requester") \
    X(SINK, "passing the image to its sink") \
    X(LIMIT, "keeping to the limit of disk space") \
    X(PARENT, "finding the parent image") \
    X(TRACKER, "tracking written pages") \
    X(SECCOMP, "a seccomp filter that was not tried")
enum ckpt_step {
#define X(name, text) CKPT_STEP_##name,
    CKPT_STEP_LIST(X)
#undef X
};
struct ckpt_report {
    uint32_t outcome;               // enum ckpt_outcome
    uint32_t step;                  // enum ckpt_step, when failed
    int32_t error;                  // negative errno, when failed
    int32_t tid;                    // the thread that could not be parked (step FREEZE)
    uint8_t thread_name[16];
    uint64_t ticket;                // which request this answers
    uint64_t identifier, sequence;
    uint64_t memory_byte_count;     // of all saved mappings
    uint64_t page_byte_count;       // of page data in the image
    uint64_t file_byte_count;       // allocated on disk
    uint64_t pause_ns;              // freeze to thaw
    uint64_t park_ns;               // of it: until every thread was parked
    uint64_t durable_ns;            // request to durable
    uint64_t write_ns;              // of it: writing and syncing
    uint64_t realtime_ns;           // when it was over
    uint32_t thread_count, attempts; // attempts to freeze
    uint32_t unsupported_count;     // descriptors and mappings of kinds that a restart refuses
    uint32_t path_differs;          // 1: another run owns the image path, `path` names what was written
    uint64_t parent;                // identifier; 0: a full image
    uint32_t depth;                 // increments from the last full image to this one
    uint32_t tracker;               // enum ckpt_tracker: what was used
    uint32_t round_count;           // of pre-copy
    uint32_t by_child;              // 1: the rounds did not converge (or there was no tracker): a copy-on-write child wrote the rest
    uint64_t precopied_byte_count;  // pages copied in the rounds while the program ran
    uint64_t frozen_byte_count;     // pages copied in the freeze
    uint64_t excluded_byte_count;
    uint64_t stored_byte_count;     // page data as it is in the image: smaller than page_byte_count when it is compressed
    char path[CKPT_PATH_BYTES];
};

// What `ckpt save` and the scribe say to each other, over a Unix stream socket named "s" in the directory
// CKPT_SAVE_DIRECTORY + 16 hex digits of the nonce that the signal carried (sigqueue, si_value, never 0).
// The scribe connects, reads one ckpt_save_request and answers with one ckpt_report when all is over.
#define CKPT_SAVE_DIRECTORY "/tmp/ckpt-save-"
#define CKPT_SAVE_MAGIC 0x31455641535450ull
struct ckpt_save_request { uint64_t magic; uint32_t exit_after, reserved; char path[CKPT_PATH_BYTES]; /* empty: as planned */ };

// An enabled process shows a mapping of a memfd with this name (printf with signal and exit signal): without it
// nothing is ever sent. In /proc/PID/maps: "/memfd:ckpt.1.10.0 (deleted)".
#define CKPT_BEACON_FORMAT "ckpt.1.%d.%d"

// Signal time's live state, in the program's memory. Counters are written with atomic operations; `event` is a futex
// that is incremented and woken after each change that somebody may wait for.
#define CKPT_REPORT_RING 16u
enum ckpt_hook_phase {
    CKPT_HOOK_IDLE = 0, CKPT_HOOK_BEFORE = 1 /* scribe asks */, CKPT_HOOK_GO = 2, CKPT_HOOK_CANCEL = 3 /* checkpoint thread answers */,
    CKPT_HOOK_AFTER = 4 /* thawed or cancelled; the checkpoint thread runs the after-hooks and answers IDLE */,
};
struct ckpt_live {
    uint32_t version;
    uint32_t event;                 // futex
    uint32_t armed;                 // 1 between arm and disarm
    uint32_t hooks;                 // plan time: number of registered before- and after-hooks; 0: the scribe does not ask
    uint32_t hook_phase;            // enum ckpt_hook_phase; changes are announced by `event`
    uint32_t deferrals;             // plan time: threads and tasks inside `deferring`
    uint32_t deferred;              // a request came meanwhile: the last to leave calls ckpt_engine_request
    uint32_t hook_outcome;          // enum ckpt_outcome as the after-hooks see it
    uint64_t requested;             // tickets given out
    uint64_t completed;             // every ticket up to here has its report
    uint64_t report_count;          // reports ever written; report i is in reports[i % CKPT_REPORT_RING]
    uint64_t restart_count;         // restarts that this process has behind it (the same as in `restart`)
    struct ckpt_report reports[CKPT_REPORT_RING];
    struct ckpt_restart_context restart;
};
#endif
