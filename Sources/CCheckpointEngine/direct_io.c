// SPDX-License-Identifier: Apache-2.0
// Direct I/O and what is like it: the kernel or a device writes into memory without the page tables, so the tracker does not see
// when.
// Signal time: safe. Reads /proc/PID/fd and fdinfo of the running program, before the freeze.
//
// Kernel: a page is pinned, and made writable (so seen as written), when the request begins; its data arrives later. A scan
// between the two calls it clean too soon. A request of read(2) with O_DIRECT has ended when its thread is parked, so for such
// a program nothing is copied or protected while it runs. io_uring and AIO have requests in flight that no thread waits for:
// there nothing is tracked at all.
//
// A debugger, and whoever writes into /proc/PID/mem, passes by protections (FOLL_FORCE, mm/gup.c: a private page is written where
// its mapping cannot be), and leaves no trace. userfaultfd sees it (userfaultfd_pte_wp), mprotect does not: so with mprotect
// nothing is tracked while there is one. One that came and went between two checkpoints is not seen: a limit that the README names.
#include "engine.h"

static int begins(const char *text, const char *start) { return ckpt_same(text, start, ckpt_length(start)); }

int ckpt_has_requests_in_flight(struct ckpt_checkpoint *c) {
    uint8_t *entries = (uint8_t *)(ckpt_arena + CKPT_SCRATCH_OFFSET);
    char *text = (char *)entries + (1 << 20), path[64], *end = path + sizeof path;
    int in_flight = 0;
    ckpt_state.direct_io = 0;
    long directory = ckpt_openat(c->proc, "fd", 0200000 | 02000000);
    if (directory < 0) return 1; // not known
    long got;
    while ((got = ckpt_call(__NR_getdents64, directory, entries, 1 << 16)) > 0)
        for (long at = 0; at < got; at += *(uint16_t *)(entries + at + 16)) {
            const char *name = (const char *)(entries + at + 19);
            uint64_t number, flags = 0;
            if (ckpt_number(name, 10, &number) == name) continue;
            int is_memory = 0;
            if (ckpt_read_link((int)directory, name, text, CKPT_PATH_BYTES) > 0) {
                if (begins(text, "anon_inode:[io_uring]") || begins(text, "/dev/infiniband")) in_flight = 1;
                // What a userfaultfd of the program fills in, mprotect does not see.
                if (ckpt_guard_is_open() && begins(text, "anon_inode:[userfaultfd]")) in_flight = 1;
                is_memory = ckpt_guard_is_open() && begins(text, "/proc/") && ckpt_same(text + ckpt_length(text) - 4, "/mem", 4);
            }
            ckpt_append(ckpt_append(path, end, "fdinfo/"), end, name);
            if (ckpt_read_text(c->proc, path, text, 65536) <= 0 || !ckpt_find_field(text, "flags:", 8, &flags)) continue;
            if (flags & 040000 /* O_DIRECT */) ckpt_state.direct_io = 1;
            if (is_memory && flags & 3 /* O_ACCMODE */) in_flight = 1;
        }
    ckpt_close((int)directory);
    uint64_t tracer = 0;
    if (ckpt_guard_is_open() && (ckpt_read_text(c->proc, "status", text, 65536) <= 0 || !ckpt_find_field(text, "TracerPid:", 10, &tracer) || tracer)) in_flight = 1;
    // The ring of an AIO context is a mapping "/[aio]" (fs/aio.c).
    text = (char *)entries;
    long length = ckpt_read_text(-100, "/proc/self/maps", text, CKPT_SCRATCH_BYTES);
    for (long i = 0; i + 6 < length; i++) if (text[i] == '/' && ckpt_same(text + i, "/[aio]", 6)) in_flight = 1;
    return in_flight;
}
