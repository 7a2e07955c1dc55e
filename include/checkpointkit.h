// SPDX-License-Identifier: Apache-2.0
// CheckpointKit for C, C++ and every language that calls C.
//
//     #include <checkpointkit.h>
//     int main(void) { ckpt_enable(NULL); … }      cc app.c $(pkg-config --cflags --libs checkpointkit)
//     kill -USR1 PID; ckpt-restart app.img
#ifndef CHECKPOINTKIT_H
#define CHECKPOINTKIT_H

#include <stddef.h>
#include <stdint.h>

#define CKPT_VERSION "0.1.0"

#ifdef __cplusplus
extern "C" {
#endif

// Errors: one list for the numbers and the texts of ckpt_strerror. Functions return 0 (or a positive result) or one of these.
#define CKPT_ERROR_LIST(X) \
    X(CKPT_EINVAL, -1, "an argument or a CKPT_ variable is not valid") \
    X(CKPT_EBUSY, -2, "the program handles the checkpoint signal itself") \
    X(CKPT_ENOTENABLED, -3, "checkpoints are not enabled in this process") \
    X(CKPT_EDEFERRED, -4, "not possible inside a hook or a deferred section") \
    X(CKPT_ECANCELLED, -5, "a hook cancelled the checkpoint") \
    X(CKPT_EFREEZE, -6, "a thread could not be parked") \
    X(CKPT_EIO, -7, "the image could not be written") \
    X(CKPT_ESYSTEM, -8, "a system call failed") \
    X(CKPT_EUNSUPPORTED, -9, "this kernel, this processor or what runs the program (valgrind) lacks what is needed") \
    X(CKPT_EDISABLED, -10, "checkpoints are switched off by CKPT_DISABLE") \
    X(CKPT_EFULL, -11, "too many ranges of memory are excluded")

enum {
#define X(name, value, text) name = value,
    CKPT_ERROR_LIST(X)
#undef X
};

#define CKPT_SAVED 0
#define CKPT_RESTARTED 1
#define CKPT_CANCELLED 2
#define CKPT_FAILED 3
#define CKPT_TOO_SOON 4

// Settings of ckpt_enable. Initialise with ckpt_config_init; the CKPT_ environment variables win over what is set here.
// What is text has the words of its variable; NULL is the default. A duration is a number of seconds, or has ms, s, m or h.
typedef struct ckpt_config {
    size_t size;                // sizeof(struct ckpt_config): set by ckpt_config_init
    const char *image;          // path of the newest image; NULL: ./<program>.img
    int signal;                 // checkpoint and go on; 0: SIGUSR1
    int exit_signal;            // checkpoint and exit; 0: none
    int exit_status;            // of checkpoint-and-exit; 0: 85
    int generations;            // complete older checkpoints kept; -1: 1
    int verbose;                // 1: one line on standard error for each checkpoint
    // Since 0.2.0. A program that was compiled before has a smaller size, and gets the defaults.
    const char *interval;       // CKPT_EVERY: periodic checkpoints, a duration or "auto:MTBF" ("auto:24h"); NULL: none
    const char *minimum_interval; // CKPT_MIN_INTERVAL: a request sooner after the last image is too soon; NULL: 0
    const char *tracker;        // CKPT_TRACKER: "auto", "uffd", "mprotect", "none": how written pages are found
    const char *pause_budget;   // CKPT_PAUSE: how long the program may stand still; NULL: "5ms"
    const char *compression;    // CKPT_COMPRESS: "none", "lz4", "zstd", "zstd:LEVEL" (1 to 22)
    const char *disk_limit;     // CKPT_DISK_LIMIT: of all images, in bytes or with K, M, G, T (powers of 1024); NULL: none
    int chain_length;           // CKPT_CHAIN: increments before the next full image; -1: 16
    int trim_heap;              // CKPT_TRIM_HEAP: 1: free heap is given back before each checkpoint; costs a thread
} ckpt_config;

// Every field its default. The macro says how large the caller's struct is. The function of that name is there for programs
// that were compiled before 0.2.0 and knows the fields up to `verbose`: other languages call ckpt_config_init_sized.
void ckpt_config_init(ckpt_config *config);
void ckpt_config_init_sized(ckpt_config *config, size_t size);
#define ckpt_config_init(config) ckpt_config_init_sized((config), sizeof(ckpt_config))

// Arms the process. NULL: defaults. Once more: new settings.
int ckpt_enable(const ckpt_config *config);
// Gives the signal back; leaves no trace.
int ckpt_disable(void);
// Takes a checkpoint and returns when it is durable: CKPT_SAVED here, CKPT_RESTARTED in every process made from the image;
// CKPT_TOO_SOON when the minimum interval is not over, and nothing was done.
int ckpt_now(void);
// No checkpoint starts while any thread is inside; nests. A request made meanwhile is taken when the last leaves.
int ckpt_defer_begin(void);
int ckpt_defer_end(void);

// Leaves memory out of every image, exact to the byte, until it is included again; the later call wins. Before ckpt_enable too.
//   CKPT_DEAD       what is in it does not matter any more: in no image, zero after a restart
//   CKPT_READ_ONLY  it will not be written: saved in the next image once more, from then on as in that one
// Only whole pages make an image smaller. Include memory before it is freed: what is put there next would be left out too.
// CKPT_EINVAL: empty, not mapped, the library's own, or a stack in use. CKPT_EFULL: there are 4096 ranges apart.
#define CKPT_DEAD 1
#define CKPT_READ_ONLY 2
int ckpt_exclude(const void *start, size_t byte_count, int as);
int ckpt_include(const void *start, size_t byte_count);

// Hooks around the freeze, held until cancelled; they run on a thread of their own. A before-hook that returns
// other than 0 cancels this checkpoint. Each returns a registration number (> 0) or an error.
typedef int (*ckpt_before_hook)(void *context);
typedef void (*ckpt_after_hook)(void *context, int outcome /* CKPT_SAVED, CKPT_CANCELLED, CKPT_FAILED */);
typedef void (*ckpt_restart_hook)(void *context, uint32_t restart_count);
int64_t ckpt_before_checkpoint(ckpt_before_hook hook, void *context);
int64_t ckpt_after_checkpoint(ckpt_after_hook hook, void *context);
int64_t ckpt_after_restart(ckpt_restart_hook hook, void *context);
int ckpt_cancel_hook(int64_t registration);

// Of --env at the last restart: the value, or NULL. The program's own environ is memory and stays as it was.
const char *ckpt_restart_environment(const char *name);

// In a restarted process: how often its image has been restarted in this place, this time included, and how many processes that
// were restarted from it here before still run; as the record beside the image tells. -1: not known, or never restarted.
int ckpt_restart_count_here(void);
int ckpt_restart_siblings(void);

// Calls `finding` once for each thing in this process that could not be restored; returns how many there were.
typedef void (*ckpt_finding)(void *context, const char *what, const char *why, const char *remedy);
int ckpt_preflight(ckpt_finding finding, void *context);

const char *ckpt_strerror(int error);
const char *ckpt_version(void);

#ifdef __cplusplus
}
#endif
#endif
