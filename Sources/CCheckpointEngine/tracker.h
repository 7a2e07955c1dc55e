// SPDX-License-Identifier: Apache-2.0
// What the tracker and its two makers offer: tracker.c, tracker_uffd.c, tracker_mprotect.c, guard.c, pagemap.c. Part of engine.h.
#ifndef CKPT_TRACKER_H
#define CKPT_TRACKER_H

// pagemap.c
#define CKPT_PAGEMAP_SCAN 0xc0606610u   // _IOWR('f', 16, struct pm_scan_arg)
#define CKPT_SCAN_PROTECT 1u            // PM_SCAN_WP_MATCHING
#define CKPT_SCAN_CHECK 2u              // PM_SCAN_CHECK_WPASYNC
struct ckpt_scan_argument {
    uint64_t byte_count, flags, start, end, walk_end, vector, vector_length, page_limit;
    uint64_t inverted, mask, any_of, returned;
};
long ckpt_scan(struct ckpt_checkpoint *c, uint64_t flags, uint64_t start, uint64_t end, uint64_t mask, uint64_t any_of,
               uint64_t returned, struct ckpt_region *regions, uint64_t room, uint64_t *next);
#define CKPT_REGION_ROOM (CKPT_REGIONS_BYTES / 2 / sizeof(struct ckpt_region))
uint64_t ckpt_next_populated(int map, uint64_t start, uint64_t end); // the first populated page, or `end`
struct ckpt_region *ckpt_regions(int which); // two rooms for what a scan finds
// tracker_uffd.c
void ckpt_uffd_open(void);
void ckpt_uffd_close(void);
int ckpt_uffd_is_open(void);
int ckpt_uffd_has(struct ckpt_checkpoint *c, const struct ckpt_mapping *m);
void ckpt_uffd_register(uint64_t start, uint64_t end);
int ckpt_uffd_track(struct ckpt_checkpoint *c, const struct ckpt_mapping *m);
int ckpt_uffd_protect(struct ckpt_checkpoint *c, const struct ckpt_mapping *m, uint64_t start, uint64_t end);
// tracker_mprotect.c: the same
void ckpt_guard_open(void);
void ckpt_guard_close(void);            // by a thread of the program: every protection is taken back, then the handler goes
int ckpt_guard_is_open(void);
int ckpt_guard_track(struct ckpt_checkpoint *c, const struct ckpt_mapping *m);
int ckpt_guard_protect(struct ckpt_checkpoint *c, const struct ckpt_mapping *m, uint64_t start, uint64_t end);
int ckpt_guard_begin(struct ckpt_checkpoint *c); // a short freeze, in which what is dirty is protected
int ckpt_guard_find_dirty(struct ckpt_checkpoint *c, const struct ckpt_mapping *m, int all);
uint64_t ckpt_guard_written_pages(struct ckpt_checkpoint *c, const struct ckpt_mapping *m);
int ckpt_guard_mark_clean(struct ckpt_checkpoint *c, const struct ckpt_mapping *m);
// guard.c: the table and the handler of faults
// 2 MiB of addresses. due: dirty when this checkpoint began; known: guarded at the last freeze, whether it was given back since or not.
struct ckpt_guard_block { uint64_t number, guarded[8], due[8], known[8]; };
enum ckpt_guard_change { CKPT_GUARD_GIVEN_BACK = 0, CKPT_GUARD_TAKEN = 1, CKPT_GUARD_FORGOTTEN = 2 };
struct ckpt_guard {
    uint32_t is_open, block_count;
    uint32_t map_count, map_limit;      // mappings of the process: as known, and as allowed
    uint32_t has_guard_pages;           // the kernel can tell them
    uint32_t off;                       // this checkpoint protects nothing
    uint64_t fault_count;
    uint64_t retry_page;
    uint32_t retry_count;
    struct ckpt_kernel_action before, first; // the program's action: now, and when this began
    uint32_t own_count, left_out_count, kept_out_count; // the first of those left out are for ever
    struct ckpt_unforked own[1024];     // anonymous memory that the program itself took the write access from
    struct ckpt_unforked left_out[8192]; // where a thread was seen to have its stack, or the kernel writes on its own
};
struct ckpt_guard_line { uint64_t start, end; int is_written, could_be_ours; };
struct ckpt_guard *ckpt_guard(void);
struct ckpt_guard_block *ckpt_guard_blocks(uint32_t *count);
struct ckpt_guard_block *ckpt_guard_block(uint64_t address, int make);
int ckpt_is_guarded(uint64_t address);
uint64_t ckpt_guard_run(uint64_t start, uint64_t end);
int ckpt_guard_set(uint64_t start, uint64_t end, enum ckpt_guard_change change);
uint64_t ckpt_guard_give_back(uint64_t start, uint64_t end);
void ckpt_guard_give_all_back(void);
uint64_t ckpt_guard_count(uint64_t start, uint64_t end);
int ckpt_guard_has_moved(char *buffer, uint64_t guarded_count);
int ckpt_guard_is_own(uint64_t page);
int ckpt_guard_has_grown(uint64_t page, uint64_t start, uint64_t end);
// Whether the write access of a mapping was taken away here; *next: up to where that holds.
int ckpt_guard_took(struct ckpt_checkpoint *c, const struct ckpt_mapping *m, uint64_t at, uint64_t end, uint64_t *next);
int ckpt_guard_joins(uint64_t boundary);
void ckpt_guard_install(void);          // by a thread of the program: the handler is the first, whatever it has installed since
// tracker.c
int ckpt_add_span(struct ckpt_checkpoint *c, uint64_t start, uint64_t end);
int ckpt_add_populated(struct ckpt_checkpoint *c, uint64_t start, uint64_t end, int protect);
uint32_t ckpt_tracker_kind(void);
void ckpt_tracker_open(void);       // by a thread of the program
void ckpt_tracker_close(void);      // by a thread of the program
int ckpt_tracker_is_open(void);     // in whatever process shares the descriptors
int ckpt_is_tracked(struct ckpt_checkpoint *c, const struct ckpt_mapping *m);
void ckpt_track_exclusion(uint64_t start, uint64_t end); // by a thread of the program
int ckpt_track(struct ckpt_checkpoint *c, const struct ckpt_mapping *m); // 1: tracked since before, 0: from now on, negative: cannot be
// Finds populated pages of a tracked mapping that are not proven clean, into the spans; `all`: every populated page.
int ckpt_find_dirty(struct ckpt_checkpoint *c, const struct ckpt_mapping *m, int state, int all, int protect);
int ckpt_protect(struct ckpt_checkpoint *c, const struct ckpt_mapping *m, uint64_t start, uint64_t end);
uint64_t ckpt_written_pages(struct ckpt_checkpoint *c, const struct ckpt_mapping *m); // as far as the short way tells; counts holes too
int ckpt_mark_clean(struct ckpt_checkpoint *c, const struct ckpt_mapping *m);
// Clean pages whose exclusion has changed, and which this image must have all the same: to the spans.
int ckpt_find_owed(struct ckpt_checkpoint *c, const struct ckpt_mapping *m);
void ckpt_note_readable(struct ckpt_checkpoint *c, const struct ckpt_mapping *m, uint64_t page_count); // of a file mapping that was copied whole
#endif
