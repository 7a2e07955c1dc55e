// SPDX-License-Identifier: Apache-2.0
// What the memory of a program holds at one moment, told by the kernel and not by the engine.
#ifndef TRUTH_H
#define TRUTH_H

#include <stdint.h>

enum truth_state {
    TRUTH_BYTES = 1,        // `hash` is that of its bytes
    TRUTH_NOTHING = 2,      // a page that nobody can read: behind the end of a file, or a guard
    TRUTH_EITHER = 3,       // a page of a file in a mapping without access: its content or none
};
struct truth_page { uint64_t address, hash; uint32_t state, private; };
#define TRUTH_PAGES_MAX 65536u
#define TRUTH_TEXT_BYTES (4u << 20)
// In memory that the program shares with whoever compares: it is in no image. What has no record is not populated.
struct truth {
    uint32_t count, overflow, recorded;
    uint32_t step;              // where the recorder was when it failed
    int64_t error;
    uint64_t own_start, own_end; // pages that the engine changes itself
    struct truth_page pages[TRUTH_PAGES_MAX];
    char text[TRUTH_TEXT_BYTES];
    uint8_t page[4096];
    uint8_t bytes[TRUTH_PAGES_MAX][4096]; // of the pages, in their order
};
extern struct truth *truth;

uint64_t truth_hash(const uint8_t *page);
// Called by the engine's scribe while the program is frozen, so without libc.
void truth_record(void);
#endif
