// SPDX-License-Identifier: Apache-2.0
// The tracker by mprotect, as Libckpt did it: the write access of clean pages is taken away; a fault gives it back (guard.c).
// Signal time: safe. Protects only while every thread is parked: so no protection meets a mapping that the program makes or moves
// at that moment, and no fault meets a half-changed table.
//
// Invariants
//   M1  A page is clean only when its bit is set, its mapping has no write access in the freeze that asks, and it is populated and
//       not the zero page (which it is when the program gave it back and read it since).
//   M2  Protected is only large, private, anonymous memory that the program can read and write, and never where the kernel writes
//       by itself: where a thread has its stack, its control block, its alternate stack, its rseq area.
//
// A checkpoint has two freezes: in the first, what is dirty is protected; it is copied while the program runs; the second finds
// what was written meanwhile.
#include "engine.h"

#define BYTES_MIN (256ull << 10)        // smaller mappings are copied each time
#define BSS_BYTES_MAX (1ull << 20)
#define BLOCK_BYTES (CKPT_BLOCK_PAGES * (uint64_t)CKPT_PAGE_SIZE)
#define GAP_BYTES 0x10000ull            // pages between populated ones that are protected with them
#define ALL (CKPT_REGION_POPULATED | CKPT_REGION_FILE | CKPT_REGION_ZERO)

extern uint8_t ckpt_trigger_stack[];
#define TRIGGER_STACK_BYTES 16400u
#define OWN_COUNT 5u

static int bit(const uint64_t *bits, uint64_t address) {
    uint64_t page = address / CKPT_PAGE_SIZE % CKPT_BLOCK_PAGES;
    return bits[page / 64] >> page % 64 & 1;
}

struct range { uint64_t start, end; };

static struct range pages(uint64_t start, uint64_t end) { return (struct range){start & ~4095ull, (end + 4095) & ~4095ull}; }

// The part of [at, end) that is not left out, or an empty one.
static struct range next_part(uint64_t at, uint64_t end) {
    const struct ckpt_guard *guard = ckpt_guard();
    // What the scribe writes, which has no handler of faults, or a thread while its signals are blocked. In a program with large
    // zero-initialised variables the engine's own are in one mapping with them.
    const struct range own[OWN_COUNT] = {
        pages((uint64_t)&ckpt_state, (uint64_t)(&ckpt_state + 1)), pages((uint64_t)&ckpt_exclusion_state, (uint64_t)(&ckpt_exclusion_state + 1)),
        pages((uint64_t)ckpt_trigger_stack, (uint64_t)ckpt_trigger_stack + TRIGGER_STACK_BYTES),
        pages((uint64_t)&ckpt_guard_arena, (uint64_t)(&ckpt_guard_arena + 1)), pages((uint64_t)&ckpt_park_chain, (uint64_t)(&ckpt_park_chain + 1)),
    };
    for (int again = 1; again;) {
        again = 0;
        for (uint32_t i = 0; i < guard->left_out_count + OWN_COUNT; i++) {
            struct range r = i < OWN_COUNT ? own[i] : (struct range){guard->left_out[i - OWN_COUNT].start, guard->left_out[i - OWN_COUNT].end};
            if (r.start <= at && at < r.end) { at = r.end; again = 1; }
        }
    }
    if (at >= end) return (struct range){end, end};
    for (uint32_t i = 0; i < guard->left_out_count + OWN_COUNT; i++) {
        uint64_t start = i < OWN_COUNT ? own[i].start : guard->left_out[i - OWN_COUNT].start;
        if (start > at && start < end) end = start;
    }
    return (struct range){at, end};
}

static int leave_out(uint64_t start, uint64_t end) {
    struct ckpt_guard *guard = ckpt_guard();
    struct range r = pages(start, end);
    if (r.start >= r.end) return 0;
    for (uint32_t i = 0; i < guard->left_out_count; i++) if (guard->left_out[i].start <= r.start && r.end <= guard->left_out[i].end) return 0;
    if (guard->left_out_count == sizeof guard->left_out / sizeof *guard->left_out) return -CKPT_ENOSPC;
    guard->left_out[guard->left_out_count++] = (struct ckpt_unforked){r.start, r.end};
    ckpt_guard_give_back(r.start, r.end);
    return 0;
}

static int is_advised(const struct ckpt_mapping *m) {
    for (uint32_t i = 0; i < ckpt_state.advised_count; i++) {
        const struct ckpt_advised *a = &ckpt_state.advised[i];
        if (a->start < m->end && a->end > m->start && a->advice & (CKPT_MAPPING_DONT_FORK | CKPT_MAPPING_WIPE_ON_FORK)) return 1;
    }
    return 0;
}

// Whether pages of this mapping may be protected.
static int is_suitable(struct ckpt_checkpoint *c, const struct ckpt_mapping *m) {
    const struct ckpt_guard *guard = ckpt_guard();
    if (guard->off || m->protection != 3 || m->flags & CKPT_MAPPING_SHARED || m->end - m->start < BYTES_MIN || is_advised(m)) return 0;
    if (m->kind != CKPT_MAPPING_ANONYMOUS && m->kind != CKPT_MAPPING_HEAP) return 0;
    const struct ckpt_mapping *below = m > c->mappings && m[-1].end == m->start ? &m[-1] : NULL;
    // The zero-initialised variables of a library: small, and some are written where signals are blocked.
    if (below && below->kind == CKPT_MAPPING_FILE && m->end - m->start < BSS_BYTES_MAX) return 0;
    if (below && below->protection == 0) {
        // Above a guard page there may be a stack, which the C library keeps for its next thread. It is known how far it reaches
        // when a thread was seen on it.
        for (uint32_t i = 0; i < guard->kept_out_count; i++) if (guard->left_out[i].start == m->start) return 1;
        return 0;
    }
    return 1;
}

int ckpt_guard_track(struct ckpt_checkpoint *c, const struct ckpt_mapping *m) {
    return ckpt_treatment(m) == CKPT_TREAT_FILE || is_suitable(c, m) ? 1 : -1;
}

static int protect_part(uint64_t start, uint64_t end) {
    struct ckpt_guard *guard = ckpt_guard();
    // Order: the bit before the protection, should the scribe be killed between the two.
    if (guard->map_count + 2 < guard->map_limit / 2 && ckpt_guard_set(start, end, CKPT_GUARD_TAKEN) == 0 && ckpt_call(__NR_mprotect, start, end - start, 1) == 0) {
        guard->map_count += 2;
        return 0;
    }
    ckpt_guard_give_back(start, end); // dirty as before
    return 0;
}

// In the freeze, and only then.
int ckpt_guard_protect(struct ckpt_checkpoint *c, const struct ckpt_mapping *m, uint64_t start, uint64_t end) {
    if (!c->frozen || ckpt_treatment(m) != CKPT_TREAT_MEMORY || !is_suitable(c, m)) return 0;
    for (struct range part = next_part(start, end); part.start < part.end; part = next_part(part.end, end)) protect_part(part.start, part.end);
    return 0;
}

// What each thread needs, from the record that it left when it parked.
static int learn_thread(struct ckpt_checkpoint *c, const struct ckpt_slot *slot) {
    const uint64_t *context = (const uint64_t *)slot->ucontext;
    const struct ckpt_plan *plan = &ckpt_state.plan;
    const uint64_t stacks[2] = {slot->ucontext, context[5 + 15]};
    if (context[37] & 1ull << 10) return -CKPT_EAGAIN; // SIGSEGV blocked: a fault would be its end
    int error = leave_out(context[2], context[2] + context[4]);
    for (int i = 0; error == 0 && i < 2; i++)
        for (uint32_t k = 0; error == 0 && k < c->mapping_count; k++) {
            const struct ckpt_mapping *m = &c->mappings[k];
            if (stacks[i] < m->start || stacks[i] >= m->end || m->kind == CKPT_MAPPING_STACK) continue;
            if (context[2] <= stacks[i] && stacks[i] < context[2] + context[4]) continue;
            // glibc: the control block is at the upper end of the stack; what is above it has been merged by the kernel.
            int is_usual = k > 0 && m[-1].end == m->start && m[-1].protection == 0 && slot->fs_base > stacks[i] && slot->fs_base < m->end;
            uint64_t top = (slot->fs_base + 0x2000) & ~4095ull;
            error = leave_out(m->start, is_usual && top < m->end ? top : m->end);
        }
    if (error == 0) error = leave_out(slot->fs_base - 0x1000, slot->fs_base + 0x2000);
    if (error == 0 && slot->robust_list) error = leave_out(slot->robust_list, slot->robust_list + 24);
    if (error == 0 && slot->tid_address) error = leave_out(slot->tid_address, slot->tid_address + 4);
    if (error == 0 && plan->rseq_byte_count) error = leave_out(slot->fs_base + plan->rseq_offset, slot->fs_base + plan->rseq_offset + plan->rseq_byte_count);
    return error;
}

static int is_mapped(struct ckpt_checkpoint *c, uint64_t address) {
    uint32_t low = 0, high = c->mapping_count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (c->mappings[middle].end <= address) low = middle + 1; else high = middle;
    }
    return low < c->mapping_count && c->mappings[low].start <= address;
}

// A system call that the park signal has interrupted goes on after the freeze, and the kernel may write where its arguments
// point to: into the buffer of a read, the word of a lock with priority inheritance. Until the next checkpoint these pages are
// not protected.
static int spare_arguments(struct ckpt_checkpoint *c, const struct ckpt_slot *slot) {
    const uint64_t *registers = (const uint64_t *)slot->ucontext + 5; // r8 r9 r10 r11 r12 r13 r14 r15 rdi rsi rbp rbx rdx rax rcx rsp rip
    static const uint8_t arguments[6] = {8, 9, 12, 2, 0, 1};          // rdi rsi rdx r10 r8 r9
    uint8_t code[4];
    // Kernel: it goes on behind the instruction, or is repeated.
    if (ckpt_pread(c->memory, code, 4, registers[16] - 2) != 4) return 0;
    if (!(code[0] == 0x0f && code[1] == 0x05) && !(code[2] == 0x0f && code[3] == 0x05) && !ckpt_is_on_detour(registers[16])) return 0;
    for (int i = 0; i < 6; i++) {
        uint64_t at = registers[arguments[i]], byte_count = i == 1 && registers[12] > 4096 ? registers[12] : 4096;
        int error = is_mapped(c, at) ? leave_out(at, at + (byte_count < BLOCK_BYTES ? byte_count : BLOCK_BYTES)) : 0;
        if (error < 0) return error;
    }
    return 0;
}

static int for_threads(struct ckpt_checkpoint *c, int (*learn)(struct ckpt_checkpoint *, const struct ckpt_slot *)) {
    struct ckpt_control *control = ckpt_control();
    uint32_t claimed = control->slot_count - control->slot_first;
    for (uint32_t s = 0; s < claimed && s < CKPT_SLOT_COUNT; s++) {
        struct ckpt_slot *slot = ckpt_slot(control->slot_first + s);
        int error = slot->ready == control->epoch ? learn(c, slot) : 0;
        if (error < 0) return error;
    }
    return 0;
}

static int learn_threads(struct ckpt_checkpoint *c) {
    struct ckpt_guard *guard = ckpt_guard();
    guard->left_out_count = guard->kept_out_count;
    int error = for_threads(c, learn_thread);
    guard->kept_out_count = guard->left_out_count;
    return error < 0 ? error : for_threads(c, spare_arguments);
}

static void set_due(uint64_t start, uint64_t end) {
    struct ckpt_guard_block *block = NULL;
    for (uint64_t at = start; at < end; at += CKPT_PAGE_SIZE) {
        if (at == start || at % BLOCK_BYTES == 0) block = ckpt_guard_block(at, 1);
        uint64_t page = at / CKPT_PAGE_SIZE % CKPT_BLOCK_PAGES;
        if (block && !(block->guarded[page / 64] >> page % 64 & 1)) block->due[page / 64] |= 1ull << page % 64;
    }
}

static int has_guard_pages(struct ckpt_checkpoint *c, const struct ckpt_mapping *m) {
    struct ckpt_region found;
    uint64_t next;
    return ckpt_guard()->has_guard_pages && ckpt_scan(c, 0, m->start, m->end, 0, CKPT_REGION_GUARD, CKPT_REGION_GUARD, &found, 1, &next) != 0;
}

static int protect_populated(struct ckpt_checkpoint *c, uint64_t start, uint64_t end) {
    struct ckpt_region *found = ckpt_regions(0);
    uint64_t from = 0, to = 0;
    for (uint64_t next; start < end; start = next) {
        long count = ckpt_scan(c, 0, start, end, 0, CKPT_REGION_POPULATED, 0, found, CKPT_REGION_ROOM, &next);
        if (count < 0) return (int)count;
        for (long i = 0; i < count; i++) {
            if (c->increment) set_due(found[i].start, found[i].end); // a full image copies all
            if (to && found[i].start - to > GAP_BYTES) { protect_part(from, to); to = 0; }
            if (!to) from = found[i].start;
            to = found[i].end;
        }
    }
    return to ? protect_part(from, to) : 0;
}

static int protect_all(struct ckpt_checkpoint *c) {
    struct ckpt_guard *guard = ckpt_guard();
    uint32_t count;
    struct ckpt_guard_block *blocks = ckpt_guard_blocks(&count);
    for (uint32_t i = 0; i < count; i++) ckpt_memset(blocks[i].due, 0, sizeof blocks[i].due);
    guard->off = 0;
    int error = ckpt_capture_mappings(c);
    if (error < 0) return error;
    if (learn_threads(c) < 0) {
        ckpt_guard_give_all_back();
        guard->off = 1;
        if (guard->left_out_count == sizeof guard->left_out / sizeof *guard->left_out) guard->left_out_count = guard->kept_out_count = 0; // learned anew
        return 0;
    }
    // Kernel: a mapping that is moved (mremap) takes its protection along. Where guarded pages are missing, others that cannot be
    // written either may be in the place of those that were there: nothing is proven of any.
    if (c->distrusted) ckpt_guard_give_all_back();
    c->distrusted = 0;
    for (uint32_t i = 0; i < c->mapping_count && error == 0; i++) {
        const struct ckpt_mapping *m = &c->mappings[i];
        if (ckpt_treatment(m) != CKPT_TREAT_MEMORY || !is_suitable(c, m)) continue;
        if (has_guard_pages(c, m)) { error = leave_out(m->start, m->end); continue; }
        for (struct range part = next_part(m->start, m->end); error == 0 && part.start < part.end; part = next_part(part.end, m->end))
            error = protect_populated(c, part.start, part.end);
    }
    return error;
}

int ckpt_guard_begin(struct ckpt_checkpoint *c) {
    uint32_t attempts = c->attempts;
    // Not inside `deferring`: what the program has written there, so that the kernel can write there too, stays as it is.
    int error = ckpt_freeze_undeferred(c, 0);
    if (error < 0) return error;
    c->attempts = attempts;
    c->frozen = 1;
    // Order: a thread of the program sees to it that the handler is ours, before anything is protected.
    struct ckpt_control *control = ckpt_control();
    ckpt_store(&control->command, CKPT_COMMAND_CAPTURE);
    ckpt_futex_wake(&control->command);
    while (ckpt_load(&control->command) == CKPT_COMMAND_CAPTURE && error == 0) {
        if (ckpt_call(__NR_getppid) != c->pid) error = -CKPT_ESRCH; // killed while it was frozen
        else ckpt_futex_wait(&control->command, CKPT_COMMAND_CAPTURE, 100000000);
    }
    if (error == 0) error = protect_all(c);
    c->frozen = 0;
    c->early_pause_ns = ckpt_clock(CKPT_CLOCK_MONOTONIC) - c->pause_began_ns;
    ckpt_thaw(CKPT_COMMAND_DONE);
    return error;
}

// While the program runs: what was dirty when this checkpoint began, once.
static int find_due(struct ckpt_checkpoint *c, const struct ckpt_mapping *m) {
    uint32_t count;
    struct ckpt_guard_block *blocks = ckpt_guard_blocks(&count);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t at = blocks[i].number * CKPT_BLOCK_PAGES * CKPT_PAGE_SIZE, end = at + CKPT_BLOCK_PAGES * CKPT_PAGE_SIZE;
        if (at < m->start) at = m->start;
        if (end > m->end) end = m->end;
        for (; at < end; at += CKPT_PAGE_SIZE) {
            if (!bit(blocks[i].due, at)) continue;
            int error = ckpt_add_span(c, at, at + CKPT_PAGE_SIZE);
            if (error < 0) return error;
        }
    }
    return 0;
}

static void forget_due(const struct ckpt_mapping *m) {
    uint32_t count;
    struct ckpt_guard_block *blocks = ckpt_guard_blocks(&count);
    const uint64_t block_bytes = CKPT_BLOCK_PAGES * CKPT_PAGE_SIZE;
    for (uint32_t i = 0; i < count; i++)
        for (uint64_t k = 0; blocks[i].number * block_bytes < m->end && (blocks[i].number + 1) * block_bytes > m->start && k < CKPT_BLOCK_PAGES; k++) {
            uint64_t at = blocks[i].number * block_bytes + k * CKPT_PAGE_SIZE;
            if (at >= m->start && at < m->end) blocks[i].due[k / 64] &= ~(1ull << k % 64);
        }
}

int ckpt_guard_find_dirty(struct ckpt_checkpoint *c, const struct ckpt_mapping *m, int all) {
    struct ckpt_region *found = ckpt_regions(0);
    if (!c->frozen) {
        int error = all ? ckpt_add_populated(c, m->start, m->end, 0) : find_due(c, m);
        forget_due(m);
        return error;
    }
    uint64_t known = m->start;
    all |= c->distrusted;
    for (uint64_t start = m->start, next; start < m->end; start = next) {
        long count = ckpt_scan(c, 0, start, m->end, 0, CKPT_REGION_POPULATED, ALL, found, CKPT_REGION_ROOM, &next);
        if (count < 0) return (int)count;
        for (long i = 0; i < count; i++) {
            ckpt_ledger_forget(c, known, found[i].start);
            known = found[i].end;
            const struct ckpt_guard_block *block = NULL;
            const struct ckpt_page *page = NULL;
            for (uint64_t at = found[i].start; at < found[i].end; at += CKPT_PAGE_SIZE, page += page != NULL) {
                if (at == found[i].start || at % BLOCK_BYTES == 0) block = ckpt_guard_block(at, 0), page = ckpt_ledger_find(c, at);
                int clean = block && page && !all && !(found[i].categories & CKPT_REGION_ZERO) && bit(block->guarded, at);
                int error = clean && page->place != CKPT_PLACE_NONE ? 0 : ckpt_add_span(c, at, at + CKPT_PAGE_SIZE);
                if (error < 0) return error;
            }
        }
    }
    ckpt_ledger_forget(c, known, m->end);
    return 0;
}

// Pages of this mapping that are clean are the parent's.
int ckpt_guard_mark_clean(struct ckpt_checkpoint *c, const struct ckpt_mapping *m) {
    struct ckpt_region *found = ckpt_regions(0);
    for (uint64_t start = m->start, next; start < m->end; start = next) {
        long count = ckpt_scan(c, 0, start, m->end, 0, CKPT_REGION_POPULATED, ALL, found, CKPT_REGION_ROOM, &next);
        if (count < 0) return (int)count;
        for (long i = 0; i < count; i++) {
            if (found[i].categories & CKPT_REGION_ZERO) continue;
            const struct ckpt_guard_block *block = NULL;
            for (uint64_t at = found[i].start; at < found[i].end; at += CKPT_PAGE_SIZE) {
                if (at == found[i].start || at % BLOCK_BYTES == 0) block = ckpt_guard_block(at, 0);
                if (!block || !bit(block->guarded, at) || bit(block->due, at)) continue;
                struct ckpt_page *page = ckpt_ledger_page(c, at);
                if (!page) return -CKPT_ENOMEM;
                if (page->place == CKPT_PLACE_NONE) page->place = CKPT_PLACE_PARENT;
            }
        }
    }
    return 0;
}

uint64_t ckpt_guard_written_pages(struct ckpt_checkpoint *c, const struct ckpt_mapping *m) {
    struct ckpt_region *found = ckpt_regions(0);
    uint64_t written = 0;
    for (uint64_t start = m->start, next; start < m->end; start = next) {
        long count = ckpt_scan(c, 0, start, m->end, 0, CKPT_REGION_POPULATED, 0, found, CKPT_REGION_ROOM, &next);
        for (long i = 0; i < count; i++)
            for (uint64_t at = found[i].start; at < found[i].end; at += CKPT_PAGE_SIZE) written += !ckpt_is_guarded(at);
    }
    return written;
}

int ckpt_guard_took(struct ckpt_checkpoint *c, const struct ckpt_mapping *m, uint64_t at, uint64_t end, uint64_t *next) {
    struct ckpt_guard *guard = ckpt_guard();
    int possible = (m->kind == CKPT_MAPPING_ANONYMOUS || m->kind == CKPT_MAPPING_HEAP) && m->protection == 1 && !(m->flags & CKPT_MAPPING_SHARED);
    *next = end;
    if (!possible) {
        // The program has made something else of it, or the handler has given it back.
        if (c->frozen) ckpt_guard_set(at, end, CKPT_GUARD_FORGOTTEN);
        return 0;
    }
    int guarded = ckpt_is_guarded(at);
    *next = ckpt_guard_run(at, end);
    if (guarded || ckpt_guard_is_own(at)) return guarded;
    if (ckpt_guard_has_grown(at, m->start, m->end)) return 1;
    // Memory that cannot be written and is not known: moved here by the program, or protected by it. Before the first page was
    // protected it is certain.
    int counts_on_faults = guard->before.handler > 1 || c->guarded_count == 0;
    if (!c->has_moved) c->has_moved = ckpt_guard_has_moved((char *)ckpt_regions(0), c->guarded_count) ? 2 : 1;
    if (c->has_moved == 2 || !counts_on_faults) return 1;
    if (guard->own_count < sizeof guard->own / sizeof *guard->own) guard->own[guard->own_count++] = (struct ckpt_unforked){at, *next};
    return 0;
}

// A border at which an advice of the program begins or ends is the program's.
int ckpt_guard_joins(uint64_t boundary) {
    for (uint32_t i = 0; i < ckpt_state.advised_count; i++)
        if (ckpt_state.advised[i].start == boundary || ckpt_state.advised[i].end == boundary) return 0;
    return 1;
}
