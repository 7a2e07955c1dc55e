// SPDX-License-Identifier: Apache-2.0
// The table of pages whose write access was taken away, and the handler that gives it back at the first write.
// Signal time: safe. The handler runs on a stack of the engine's with all signals blocked, one thread at a time (entry.S); the
// table is in the arena, so a forked child has its own copy of it. The scribe changes the table only while every thread is
// parked, so never under a handler.
#include "engine.h"

#define SIGNAL_SEGV 11
#define ACCESS_ERROR 2                  // SEGV_ACCERR
#define BLOCK_SHIFT 21
#define BLOCKS_MAX 65536u
#define SLOTS 131072u
#define TOGETHER_MAX 16u                // pages that are given back at once
#define RETRIES_MAX 100u

struct table {
    struct ckpt_guard head;
    uint32_t slots[SLOTS];              // index + 1 into blocks, by hash
    struct ckpt_guard_block blocks[BLOCKS_MAX];
};
_Static_assert(sizeof(struct table) < CKPT_GUARD_BYTES - CKPT_GUARD_TABLE, "the arena");
_Static_assert(offsetof(struct ckpt_control, guard_lock) == 28 && CKPT_GUARD_OFFSET == 688ull << 20, "entry.S");

uint64_t ckpt_guard_arena;              // the arena in which the table is (entry.S)

static struct table *table(void) { return (struct table *)(ckpt_guard_arena + CKPT_GUARD_OFFSET + CKPT_GUARD_TABLE); }
struct ckpt_guard *ckpt_guard(void) { return &table()->head; }

int ckpt_guard_is_open(void) { return ckpt_guard_arena && ckpt_guard_arena == ckpt_arena && table()->head.is_open; }

struct ckpt_guard_block *ckpt_guard_blocks(uint32_t *count) {
    *count = table()->head.block_count;
    return table()->blocks;
}

struct ckpt_guard_block *ckpt_guard_block(uint64_t address, int make) {
    struct table *t = table();
    uint64_t number = address >> BLOCK_SHIFT;
    uint32_t at = (uint32_t)((number * 0x9e3779b97f4a7c15ull) >> 40) & (SLOTS - 1);
    while (t->slots[at] && t->blocks[t->slots[at] - 1].number != number) at = (at + 1) & (SLOTS - 1);
    if (t->slots[at]) return &t->blocks[t->slots[at] - 1];
    if (!make || t->head.block_count == BLOCKS_MAX) return NULL;
    t->blocks[t->head.block_count].number = number;
    t->slots[at] = ++t->head.block_count;
    return &t->blocks[t->slots[at] - 1];
}

static uint32_t page_of(uint64_t address) { return (uint32_t)(address / CKPT_PAGE_SIZE % CKPT_BLOCK_PAGES); }

int ckpt_is_guarded(uint64_t address) {
    const struct ckpt_guard_block *block = ckpt_guard_block(address, 0);
    return block && block->guarded[page_of(address) / 64] >> page_of(address) % 64 & 1;
}

// Up to where pages are as the one at `start`.
uint64_t ckpt_guard_run(uint64_t start, uint64_t end) {
    int guarded = ckpt_is_guarded(start);
    const struct ckpt_guard_block *block = NULL;
    for (uint64_t at = start; at < end; at += CKPT_PAGE_SIZE) {
        if (at == start || (at & ((1ull << BLOCK_SHIFT) - 1)) == 0) block = ckpt_guard_block(at, 0);
        int here = block && block->guarded[page_of(at) / 64] >> page_of(at) % 64 & 1;
        if (here != guarded) return at;
    }
    return end;
}

// -1: a block does not fit into the table.
int ckpt_guard_set(uint64_t start, uint64_t end, enum ckpt_guard_change change) {
    for (uint64_t at = start; at < end;) {
        uint64_t block_end = ((at >> BLOCK_SHIFT) + 1) << BLOCK_SHIFT, stop = block_end < end ? block_end : end;
        struct ckpt_guard_block *block = ckpt_guard_block(at, change == CKPT_GUARD_TAKEN);
        if (!block && change == CKPT_GUARD_TAKEN) return -1;
        if (!block && stop < end && end - at > (uint64_t)table()->head.block_count << BLOCK_SHIFT) {
            // A hole of terabytes: look through the blocks instead.
            for (uint32_t i = 0; i < table()->head.block_count; i++) {
                uint64_t first = table()->blocks[i].number << BLOCK_SHIFT;
                if (first >= at && first + (1ull << BLOCK_SHIFT) <= end) ckpt_guard_set(first, first + (1ull << BLOCK_SHIFT), change);
            }
            stop = end & ~((1ull << BLOCK_SHIFT) - 1);
        }
        for (; block && at < stop; at += CKPT_PAGE_SIZE) {
            uint64_t bit = 1ull << page_of(at) % 64, *word = &block->guarded[page_of(at) / 64];
            if (change == CKPT_GUARD_TAKEN) *word |= bit, block->known[page_of(at) / 64] |= bit;
            else if (*word & bit) __atomic_and_fetch(word, ~bit, __ATOMIC_SEQ_CST);
            if (change == CKPT_GUARD_FORGOTTEN) block->known[page_of(at) / 64] &= ~bit;
        }
        at = stop;
    }
    return 0;
}

// Whether the program can read there. Kernel: sigprocmask copies the set before it looks at what is to be done with it.
static int is_readable(uint64_t page) { return ckpt_call(__NR_rt_sigprocmask, 99, page, NULL, 8) != -14 /* EFAULT */; }

// Gives the write access back to guarded pages of this range: not where the program has put something that it cannot read.
// Returns how many pages could not have it.
uint64_t ckpt_guard_give_back(uint64_t start, uint64_t end) {
    uint64_t failed = 0;
    for (uint64_t at = start; at < end;) {
        uint64_t first = at;
        while (at < end && ckpt_is_guarded(at) && is_readable(at)) at += CKPT_PAGE_SIZE;
        if (at == first) { at += CKPT_PAGE_SIZE; continue; }
        if (ckpt_call(__NR_mprotect, first, at - first, 3) < 0) {
            // Not in one piece, because a part is gone meanwhile.
            for (uint64_t page = first; page < at; page += CKPT_PAGE_SIZE)
                if (ckpt_call(__NR_mprotect, page, CKPT_PAGE_SIZE, 3) < 0) failed++; else ckpt_guard_set(page, page + CKPT_PAGE_SIZE, CKPT_GUARD_GIVEN_BACK);
        } else {
            // Order: the access before the bit: a thread that finds the bit cleared may write.
            ckpt_guard_set(first, at, CKPT_GUARD_GIVEN_BACK);
        }
    }
    return failed;
}

void ckpt_guard_give_all_back(void) {
    for (uint32_t i = 0; i < table()->head.block_count; i++) {
        uint64_t start = table()->blocks[i].number << BLOCK_SHIFT;
        ckpt_guard_give_back(start, start + (1ull << BLOCK_SHIFT));
    }
}

// A thread has written into a guarded page.
static int give_page_back(uint64_t page) {
    struct ckpt_guard *guard = &table()->head;
    uint64_t start = page & ~((1ull << BLOCK_SHIFT) - 1), end = start + (1ull << BLOCK_SHIFT);
    if (!is_readable(page)) return 0;
    guard->fault_count++;
    if (guard->map_count + 2 < guard->map_limit / 4) {
        // Whoever has written the pages before this one will write those behind it: as many are given back as were written, so
        // that what is written in order costs a fault for every 16 pages, and no more than twice what is written is copied.
        uint64_t before = 0, behind = page + CKPT_PAGE_SIZE;
        while (before < TOGETHER_MAX && page - before * CKPT_PAGE_SIZE > start && !ckpt_is_guarded(page - (before + 1) * CKPT_PAGE_SIZE)) before++;
        for (uint64_t n = 1; n < before && behind < end && ckpt_is_guarded(behind) && is_readable(behind); n++) behind += CKPT_PAGE_SIZE;
        guard->map_count += before ? 0 : 2;
        if (ckpt_guard_give_back(page, behind) == 0 || !ckpt_is_guarded(page)) return 1;
    }
    // Each page by itself splits a mapping, and a process may have 65,530 of them: then whole blocks have their access back, and
    // in the end all. What was given back is copied, so this is never wrong.
    if (guard->map_count < guard->map_limit / 2) {
        guard->map_count += 2;
        ckpt_guard_give_back(start, end);
        if (!ckpt_is_guarded(page)) return 1;
    }
    ckpt_guard_give_all_back();
    return !ckpt_is_guarded(page);
}

// Reads /proc/self/maps line by line. `buffer` has room for 64 KiB.
static int read_maps(char *buffer, int (*see)(const struct ckpt_guard_line *, void *), void *context) {
    long file = ckpt_open("/proc/self/maps", 02000000, 0), got;
    uint64_t used = 0;
    if (file < 0) return 0;
    int stop = 0;
    while (!stop && (got = ckpt_read((int)file, buffer + used, 65535 - used)) > 0) {
        used += (uint64_t)got;
        buffer[used] = 0;
        char *line = buffer;
        for (;;) {
            char *end = line;
            while (*end && *end != '\n') end++;
            if (!*end) break;
            struct ckpt_guard_line l;
            uint64_t ignored;
            const char *at = ckpt_number(ckpt_number(line, 16, &l.start) + 1, 16, &l.end) + 1;
            l.is_written = at[1] == 'w';
            const char *rest = ckpt_number(ckpt_number(ckpt_number(at + 5, 16, &ignored) + 1, 16, &ignored) + 1, 16, &ignored) + 1;
            ckpt_number(rest, 10, &ignored);
            l.could_be_ours = at[0] == 'r' && at[1] == '-' && at[2] == '-' && at[3] == 'p' && ignored == 0;
            if ((stop = see(&l, context)) != 0) break;
            line = end + 1;
        }
        used -= (uint64_t)(line - buffer);
        for (uint64_t i = 0; i < used; i++) buffer[i] = line[i];
    }
    ckpt_close((int)file);
    return stop;
}

uint64_t ckpt_guard_count(uint64_t start, uint64_t end) {
    uint64_t count = 0;
    for (uint32_t i = 0; i < table()->head.block_count; i++) {
        const struct ckpt_guard_block *block = &table()->blocks[i];
        uint64_t first = block->number << BLOCK_SHIFT;
        if (first >= end || first + (1ull << BLOCK_SHIFT) <= start) continue;
        for (uint64_t k = 0; k < CKPT_BLOCK_PAGES; k++)
            count += (block->guarded[k / 64] >> k % 64 & 1) && first + k * CKPT_PAGE_SIZE >= start && first + k * CKPT_PAGE_SIZE < end;
    }
    return count;
}

static int see_coverage(const struct ckpt_guard_line *line, void *context) {
    if (line->could_be_ours) *(uint64_t *)context += ckpt_guard_count(line->start, line->end);
    return 0;
}

// Whether guarded pages are not where they were: the program has moved them (mremap), or given them back.
int ckpt_guard_has_moved(char *buffer, uint64_t guarded_count) {
    uint64_t covered = 0;
    read_maps(buffer, see_coverage, &covered);
    return covered < guarded_count;
}

int ckpt_guard_is_own(uint64_t page) {
    const struct ckpt_guard *guard = &table()->head;
    for (uint32_t i = 0; i < guard->own_count; i++) if (guard->own[i].start <= page && page < guard->own[i].end) return 1;
    return 0;
}

// Whether a page without write access, in a mapping from here to there, has got it from guarded neighbours: the mapping has grown
// in place (mremap). A page that was given back, and cannot be written now, was protected by the program: when it handles
// faults; without a handler it cannot count on one.
int ckpt_guard_has_grown(uint64_t page, uint64_t start, uint64_t end) {
    const struct ckpt_guard_block *block = ckpt_guard_block(page, 0);
    int known = block && block->known[page_of(page) / 64] >> page_of(page) % 64 & 1;
    return (!known || table()->head.before.handler <= 1) && ckpt_guard_count(start, end) > 0;
}

struct search { uint64_t page; struct ckpt_guard_line found; };
static int see_page(const struct ckpt_guard_line *line, void *context) {
    struct search *search = context;
    if (search->page >= line->end) return 0;
    if (search->page >= line->start) search->found = *line;
    return 1;
}

// A fault where the table knows nothing: another thread was faster, or the page was guarded elsewhere and has been moved.
static int look_closely(uint64_t page) {
    struct ckpt_guard *guard = &table()->head;
    char *buffer = (char *)(ckpt_guard_arena + CKPT_GUARD_OFFSET + CKPT_GUARD_TEXT);
    struct search search = {page, {0, 0, 0, 0}};
    read_maps(buffer, see_page, &search);
    if (search.found.is_written) {
        // A mapping that says it can be written, and never can: not ours to solve.
        guard->retry_count = guard->retry_page == page ? guard->retry_count + 1 : 0;
        guard->retry_page = page;
        return guard->retry_count < RETRIES_MAX;
    }
    if (!search.found.could_be_ours || ckpt_guard_is_own(page)) return 0;
    if (ckpt_guard_has_grown(page, search.found.start, search.found.end)) {
        uint64_t end = ckpt_guard_run(page, search.found.end);
        return ckpt_call(__NR_mprotect, page, end - page, 3) == 0 || ckpt_call(__NR_mprotect, page, CKPT_PAGE_SIZE, 3) == 0;
    }
    // A program without a handler cannot count on a fault.
    if (guard->before.handler > 1 && !ckpt_guard_has_moved(buffer, ckpt_guard_count(0, ~0ull))) return 0;
    return ckpt_call(__NR_mprotect, search.found.start, search.found.end - search.found.start, 3) == 0;
}

struct next { uint64_t handler, mask; };

// To whoever handled the signal before. `by_program`: its own handler passes on what it does not want.
static struct next chain(const struct ckpt_siginfo *info, const uint8_t *context, int by_program) {
    struct ckpt_guard *guard = &table()->head;
    struct ckpt_kernel_action *before = by_program ? &guard->first : &guard->before, none = {0, 0, 0, 0};
    if (before->handler > 1) {
        // As the kernel would do it: the mask of what was interrupted, the action's, and the signal itself.
        struct next next = {before->handler, *(const uint64_t *)(context + 296) | before->mask};
        if (!(before->flags & 0x40000000u /* SA_NODEFER */)) next.mask |= 1ull << (SIGNAL_SEGV - 1);
        if (before->flags & 0x80000000u /* SA_RESETHAND */) before->handler = 0;
        return next;
    }
    if (info->code <= 0 && before->handler == 1) return (struct next){0, 0};
    // The default action happens when the instruction is repeated; what another process sent is sent again. Kernel: an ignored
    // fault is one with the default action.
    ckpt_sigaction(SIGNAL_SEGV, &none, NULL);
    if (info->code <= 0) ckpt_call(__NR_rt_tgsigqueueinfo, ckpt_getpid(), ckpt_gettid(), SIGNAL_SEGV, info);
    return (struct next){0, 0};
}

// From entry.S. Kernel: the error code of the fault is register 19 of the frame; bit 1: a write.
__attribute__((visibility("hidden"), used)) struct next ckpt_guard_fault(int number, const struct ckpt_siginfo *info, const uint8_t *context, int by_program) {
    (void)number;
    uint64_t page = *(const uint64_t *)((const char *)info + 16) & ~(uint64_t)(CKPT_PAGE_SIZE - 1);
    int written = info->code == ACCESS_ERROR && *(const uint64_t *)(context + 40 + 19 * 8) & 2;
    if (written && (ckpt_is_guarded(page) ? give_page_back(page) : look_closely(page))) return (struct next){0, 0};
    return chain(info, context, by_program);
}

void ckpt_guard_install(void) {
    struct ckpt_guard *guard = &table()->head;
    struct ckpt_kernel_action now;
    if (ckpt_sigaction(SIGNAL_SEGV, NULL, &now) < 0 || now.handler == (uint64_t)ckpt_guard_entry) return;
    if (!guard->is_open) guard->first = now;
    guard->before = now;
    // On the stack on which the program wants its own handler.
    uint64_t on_stack = now.handler <= 1 || now.flags & CKPT_SA_ONSTACK ? CKPT_SA_ONSTACK : 0;
    struct ckpt_kernel_action ours = {(uint64_t)ckpt_guard_entry, CKPT_SA_SIGINFO | CKPT_SA_RESTORER | on_stack, (uint64_t)ckpt_signal_return, ~0ull};
    ckpt_sigaction(SIGNAL_SEGV, &ours, NULL);
}

void ckpt_guard_open(void) {
    struct ckpt_scan_argument scan = {sizeof scan, 0, ckpt_arena, ckpt_arena + CKPT_PAGE_SIZE, 0, 0, 0, 0, 0, CKPT_REGION_PRESENT, 0, 0};
    long map = ckpt_open("/proc/self/pagemap", 02000000, 0);
    long known = map < 0 ? map : ckpt_call(__NR_ioctl, map, CKPT_PAGEMAP_SCAN, &scan);
    scan.any_of = CKPT_REGION_GUARD;
    int has_guard_pages = known >= 0 && ckpt_call(__NR_ioctl, map, CKPT_PAGEMAP_SCAN, &scan) >= 0;
    if (map >= 0) ckpt_close((int)map);
    if (known < 0) return;
    char text[32];
    uint64_t limit = 65530;
    if (ckpt_read_text(-100, "/proc/sys/vm/max_map_count", text, sizeof text) > 0) ckpt_number(text, 10, &limit);
    ckpt_guard_arena = ckpt_arena;
    ckpt_state.base = 0;
    table()->head.has_guard_pages = (uint32_t)has_guard_pages;
    table()->head.map_limit = (uint32_t)(limit < 1u << 30 ? limit : 1u << 30);
    ckpt_guard_install();
    table()->head.is_open = 1;
}

// By a thread of the program, when no scribe works; in a forked child too.
void ckpt_guard_close(void) {
    if (!ckpt_guard_arena || !table()->head.is_open) return;
    struct ckpt_kernel_action now;
    ckpt_guard_give_all_back();
    // Order: access before the handler goes; a thread that has just faulted still finds it: membarrier lets all others pass
    // through the kernel.
    ckpt_call(__NR_membarrier, 1 /* MEMBARRIER_CMD_GLOBAL */, 0, 0);
    if (ckpt_sigaction(SIGNAL_SEGV, NULL, &now) == 0 && now.handler == (uint64_t)ckpt_guard_entry) ckpt_sigaction(SIGNAL_SEGV, &table()->head.before, NULL);
    ckpt_call(__NR_madvise, ckpt_guard_arena + CKPT_GUARD_OFFSET, CKPT_GUARD_BYTES, 4 /* MADV_DONTNEED */);
    ckpt_guard_arena = 0;
    ckpt_state.base = 0;
}
