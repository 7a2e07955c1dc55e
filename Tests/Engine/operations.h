// SPDX-License-Identifier: Apache-2.0
// Random operations on memory.
#ifndef OPERATIONS_H
#define OPERATIONS_H

#include <stdint.h>

struct operation { const char *name; int (*run)(void); unsigned weight; };
extern const struct operation operations[];
extern const unsigned operation_count;
struct operation_counts { uint64_t done[64], failed[64]; };
extern struct operation_counts *counts;     // in memory that is in no image

extern __thread uint64_t draws;             // state of the randomness: a round begins it anew, so that it can be seen again
uint64_t draw(void);
uint64_t below(uint64_t limit);
int one_in(uint64_t n);

extern volatile int concurrent;             // a checkpoint may be under way
extern int no_self_memory;                  // nobody writes through /proc/self/mem
void on_fault(int number);                  // the handler of SIGSEGV and SIGBUS
void operate(const char *only);             // one operation; of `only` and the plain ones
// What was done since the checkpoint before, for a report of what went wrong: in memory that is in no image.
struct operation_note { uint64_t began_ns, ended_ns, pages[4]; uint32_t operation, thread; int32_t result; uint32_t page_count; };
#define NOTES_MAX 65536u
struct operation_notes { uint32_t count, before, requested; uint64_t frozen_before_ns, frozen_ns, requested_ns; struct operation_note notes[NOTES_MAX]; };
extern struct operation_notes *notes;
uint64_t clock_now(void);
void make_files(const char *directory);     // that are mapped and read
#endif
