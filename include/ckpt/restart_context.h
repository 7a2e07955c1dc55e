// SPDX-License-Identifier: Apache-2.0
// What ckpt-restart tells the restarted program: it fills this in the program's memory, before its first instruction.
#ifndef CKPT_RESTART_CONTEXT_H
#define CKPT_RESTART_CONTEXT_H

#include <stdint.h>

#define CKPT_PATH_BYTES 4096u
#define CKPT_ENVIRONMENT_BYTES 8192u
#define CKPT_RESTART_CONTEXT_VERSION 2u // which fields the library in the program knows, until a restart writes which it has filled
struct ckpt_restart_context {
    uint32_t version;           // 1: all up to `interval_timer`; 2: all
    uint32_t restart_count;     // restarts in this line of runs, this one included: the image holds the number before it
    uint64_t run;               // of the new run: random
    uint64_t image;             // identifier that was restarted
    uint64_t head;              // identifier of the newest image at `image_path` now: the next checkpoint may replace that one
    int64_t restarted_realtime_ns;
    uint64_t load_ns;           // from exec of ckpt-restart until the restorer was entered
    uint64_t restorer_start, restorer_end; // memory that the restarter leaves behind: not the program's, in no later image
    uint32_t identity;          // 0: ids kept in this namespace; 1: kept in a namespace of its own; 2: new ids
    uint32_t environment_byte_count;
    char image_path[CKPT_PATH_BYTES];         // where the next checkpoint goes
    char environment[CKPT_ENVIRONMENT_BYTES]; // "K=V\0K=V\0…" of --env
    // The standard streams that this restart gave the program, as fstat gives them; open 0: the program has its own there.
    // From now on these are the inherited ones, not those of enable().
    uint64_t stream_device[3], stream_inode[3];
    uint32_t stream_mode[3], stream_open[3];
    // The tracker that this restart armed, so that the next checkpoint is an increment of `image`: its descriptor (-1: none; the
    // next image is a full one) and what fstat says of it, because the program may close it and use the number again.
    int32_t tracker_descriptor;
    uint32_t depth;             // of `image`
    uint64_t tracker_device, tracker_inode;
    // A periodic checkpoint, kept up to date by the engine: ckpt-restart makes the POSIX timer anew. interval_ns 0: none.
    uint64_t interval_ns;
    int32_t interval_signal;
    int32_t interval_timer;     // the kernel's id of that timer; -1: none
    // Since version 2. What the record beside the image tells (NAME.d/restarts); -1: not known.
    int32_t restarts_here;      // restarts of `image` here, this one included
    int32_t siblings;           // processes restarted from `image` here before that still run
};
#endif
