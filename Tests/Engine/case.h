// SPDX-License-Identifier: Apache-2.0
// What a case of engine_cases is made of: a program that takes checkpoints of itself and looks at what they hold.
#ifndef CASE_H
#define CASE_H

#include "ckpt_engine.h"
#include "faulty.h"

// In memory that the case and its parent share, and that is in no image.
struct common { struct faulty faulty; uint64_t seed; char image[4000], problem[4800]; };
extern struct common *common;
extern uint32_t tracker;                // enum ckpt_tracker

// Says why the case failed. -1.
int wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));
int arm(uint32_t chain_length, uint64_t pause_budget_ns);
// A checkpoint. `behind`: called at once behind the request; `before`: as a hook is, behind the rounds and before the freeze;
// both may be NULL. NULL when there is no image: the case has failed.
struct ckpt_report *take(void (*behind)(void), void (*before)(void));
// The same, whatever comes of it.
struct ckpt_report *attempt(void (*behind)(void), void (*before)(void));
// The image at the path with its chain against what the memory held; excluded bytes are zeros. 0 or -1.
int compare(void);
int exclude(const void *start, uint64_t byte_count);  // as dead
int include(const void *start, uint64_t byte_count);
// Fills memory with what is nowhere else, and finds it in any image of this program.
void hide(void *start, uint64_t byte_count);
int is_found(void);

uint8_t *map(uint64_t page_count);      // private memory without neighbours, in small pages
uint8_t *map_filled(uint64_t page_count);
void fill(uint8_t *start, uint64_t page_count, uint64_t step); // every step-th page is written
#endif
