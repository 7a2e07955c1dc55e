// SPDX-License-Identifier: Apache-2.0
// The tracker by userfaultfd in asynchronous mode: the kernel itself notes which pages are written.
// Signal time: safe. The descriptor lives in the program's table, because the registrations end with it; the scribe, which
// shares the memory, registers and protects while the program runs.
#include "engine.h"

#define UFFDIO_API_CALL 0xc018aa3fu
#define UFFDIO_REGISTER_CALL 0xc020aa00u
#define UFFDIO_WRITEPROTECT_CALL 0xc018aa06u
#define FEATURE_WP_UNPOPULATED (1ull << 13)
#define FEATURE_WP_ASYNC (1ull << 15)
struct uffd_api { uint64_t api, features, calls; };
struct uffd_register { uint64_t start, byte_count, mode, calls; };
struct uffd_protect { uint64_t start, byte_count, mode; };
#define CATEGORY_ALLOWED 1u             // PAGE_IS_WPALLOWED

static int identify(int descriptor, uint64_t *device, uint64_t *inode) {
    uint64_t stat[18];
    if (descriptor < 0 || ckpt_call(__NR_fstat, descriptor, stat) < 0) return 0;
    *device = stat[0];
    *inode = stat[1];
    return 1;
}

int ckpt_uffd_is_open(void) {
    uint64_t device, inode;
    // Kernel: every userfaultfd has an inode of its own (since 5.12); a number that the program used again is not ours.
    return identify(ckpt_state.tracker_descriptor, &device, &inode)
        && device == ckpt_state.tracker_device && inode == ckpt_state.tracker_inode;
}

void ckpt_uffd_open(void) {
    struct ckpt_state *state = &ckpt_state;
    uint32_t wanted = state->plan.tracker;
    if ((wanted != CKPT_TRACKER_AUTO && wanted != CKPT_TRACKER_UFFD) || ckpt_uffd_is_open()) return;
    state->tracker_descriptor = -1;
    state->base = 0;
    state->tracks_exclusions = 0;
    // O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY: the last needs no privilege (since 5.11), and loses nothing here: in
    // asynchronous mode (since 6.7) the kernel itself resolves every fault, its own accesses included.
    long descriptor = ckpt_call(__NR_userfaultfd, 02004000 | 1);
    if (descriptor < 0) return;
    struct uffd_api api = {0xaa, FEATURE_WP_UNPOPULATED | FEATURE_WP_ASYNC, 0};
    // A high number: programs that count on the low ones, and select, are not disturbed.
    uint64_t limit[2] = {0, 0};
    ckpt_call(__NR_prlimit64, 0, 7 /* RLIMIT_NOFILE */, NULL, limit);
    uint64_t above = limit[0] > 1024 ? 1000 : limit[0] > 48 ? limit[0] - 24 : 0;
    long moved = ckpt_call(__NR_ioctl, descriptor, UFFDIO_API_CALL, &api);
    if (moved >= 0) moved = ckpt_call(__NR_fcntl, descriptor, 1030 /* F_DUPFD_CLOEXEC */, above);
    ckpt_close((int)descriptor);
    if (moved >= 0 && identify((int)moved, &state->tracker_device, &state->tracker_inode)) state->tracker_descriptor = (int32_t)moved;
}

void ckpt_uffd_close(void) {
    if (ckpt_uffd_is_open()) ckpt_close(ckpt_state.tracker_descriptor);
    ckpt_state.tracker_descriptor = -1;
    ckpt_state.base = 0;
}

// Asks for pages that may be protected and may not: looks at no page, but says EPERM where a mapping of the range is not registered for
// asynchronous write-protection.
static int is_registered(int map, uint64_t start, uint64_t end) {
    struct ckpt_scan_argument check = {sizeof check, CKPT_SCAN_CHECK, start, end, 0, 0, 0, 0, CATEGORY_ALLOWED, CATEGORY_ALLOWED, 0, 0};
    return ckpt_call(__NR_ioctl, map, CKPT_PAGEMAP_SCAN, &check) >= 0;
}

int ckpt_uffd_has(struct ckpt_checkpoint *c, const struct ckpt_mapping *m) { return is_registered(c->map, m->start, m->end); }

static int write_protect(uint64_t start, uint64_t end, uint64_t mode) {
    struct uffd_protect argument = {start, end - start, mode};
    for (int i = 0; i < 1000; i++) {
        long result = ckpt_call(__NR_ioctl, ckpt_state.tracker_descriptor, UFFDIO_WRITEPROTECT_CALL, &argument);
        if (result != -CKPT_EAGAIN) return (int)result; // Kernel: EAGAIN while the mappings change
        ckpt_yield();
    }
    return -CKPT_EAGAIN;
}

// Kernel (seen with 6.18): a part of a mapping that is moved away, and back beside the rest, is one with it again, and mremap takes
// the registration from both (mremap_userfaultfd_prep), but the protection only from the pages that it moved. The others can be
// written then without a trace, and protecting them once more does nothing, because they are marked. So marks are taken away
// where a registration begins.
static int begin(uint64_t start, uint64_t end) {
    struct uffd_register argument = {start, end - start, 2 /* UFFDIO_REGISTER_MODE_WP */, 0};
    // EBUSY: a userfaultfd of the program itself is there.
    int error = (int)ckpt_call(__NR_ioctl, ckpt_state.tracker_descriptor, UFFDIO_REGISTER_CALL, &argument);
    return error < 0 ? error : write_protect(start, end, 0);
}

void ckpt_uffd_register(uint64_t start, uint64_t end) {
    int map = (int)ckpt_open("/proc/self/pagemap", 02000000, 0);
    if (map < 0 || !is_registered(map, start, end)) begin(start, end);
    if (map >= 0) ckpt_close(map);
}

int ckpt_uffd_track(struct ckpt_checkpoint *c, const struct ckpt_mapping *m) {
    int before = ckpt_uffd_has(c, m), first_round = c->report.round_count == 0 && !c->frozen;
    if (before && !c->increment && ckpt_treatment(m) == CKPT_TREAT_FILE && first_round) before = 0; // for a full image it begins anew
    // Should the program put another mapping there after the look, the next scan says so (EPERM).
    return before ? 1 : begin(m->start, m->end);
}

int ckpt_uffd_protect(struct ckpt_checkpoint *c, const struct ckpt_mapping *m, uint64_t start, uint64_t end) {
    if (ckpt_treatment(m) != CKPT_TREAT_MEMORY) return write_protect(start, end, 1 /* UFFDIO_WRITEPROTECT_MODE_WP */);
    uint64_t next;
    return (int)ckpt_scan(c, CKPT_SCAN_PROTECT | CKPT_SCAN_CHECK, start, end, 0, CKPT_REGION_POPULATED, 0, NULL, 0, &next);
}
