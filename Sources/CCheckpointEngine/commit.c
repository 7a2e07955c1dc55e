// SPDX-License-Identifier: Apache-2.0
// Commit: an image that is complete on disk becomes visible under its name, in one step.
// Signal time: safe. System calls of the scribe after the thaw; killed at any of them, the image that was good stays.
//
// Order: fsync of the image; the image before it linked into NAME.d; the new one linked under a temporary name and renamed
// over NAME; fsync of the directory. No moment is without a complete image under NAME.
#include "engine.h"
#include "ckpt/crc32c.h"

#define AT_SYMLINK_FOLLOW_ 0x400
#define O_DIRECTORY_CLOEXEC (0200000 | 02000000)

// All of these bytes: 0, -EINVAL when the file is shorter, or what reading it failed with.
static int read_all(int file, void *to, uint64_t byte_count, uint64_t offset) {
    for (uint64_t done = 0; done < byte_count;) {
        long got = ckpt_pread(file, (uint8_t *)to + done, byte_count - done, offset + done);
        if (got == -CKPT_EINTR) continue;
        if (got <= 0) return got < 0 ? (int)got : -CKPT_EINVAL_ERRNO;
        done += (uint64_t)got;
    }
    return 0;
}

// -EINVAL: no image of ours.
static int identity_of(int directory, const char *path, struct ckpt_ident *ident) {
    struct { uint8_t elf[64], program_header[56], note[20 + sizeof(struct ckpt_ident)]; } head;
    long file = ckpt_openat(directory, path, 02004000 /* O_CLOEXEC | O_NONBLOCK */);
    if (file < 0) return (int)file;
    int error = read_all((int)file, head.elf, sizeof head.elf, 0), found = 0;
    if (error == 0 && !ckpt_same((char *)head.elf, "\177ELF", 4)) error = -CKPT_EINVAL_ERRNO;
    if (error == 0) error = read_all((int)file, head.program_header, sizeof head.program_header, *(uint64_t *)(head.elf + 32));
    if (error == 0 && *(uint32_t *)head.program_header != 4 /* PT_NOTE */) error = -CKPT_EINVAL_ERRNO;
    if (error == 0) error = read_all((int)file, head.note, sizeof head.note, *(uint64_t *)(head.program_header + 8));
    if (error == 0 && *(uint32_t *)(head.note + 8) == CKPT_NOTE_IDENT && ckpt_same((char *)head.note + 12, CKPT_NOTE_OWNER, 5)) {
        ckpt_memcpy(ident, head.note + 20, sizeof *ident);
        ckpt_memset(head.note + 20 + offsetof(struct ckpt_ident, ident_crc), 0, 4);
        found = ckpt_crc32c(0, head.note, sizeof head.note) == ident->ident_crc && ident->identifier != 0;
    }
    ckpt_close((int)file);
    return error < 0 ? error : found ? 0 : -CKPT_EINVAL_ERRNO;
}

uint64_t ckpt_read_identifier(const char *path) {
    struct ckpt_ident ident;
    return identity_of(-100, path, &ident) == 0 ? ident.identifier : 0;
}

struct names {
    char name[256];             // of the image in its directory
    char folder[260];           // name + ".d"
    char temporary[300];
    char older[16];             // 12 hex digits
};

static void make_names(struct ckpt_checkpoint *c, struct names *names) {
    const char *last = c->image_path;
    for (const char *at = c->image_path; *at; at++) if (*at == '/') last = at + 1;
    ckpt_append(names->name, names->name + sizeof names->name, last);
    char *end = names->folder + sizeof names->folder;
    ckpt_append(ckpt_append(names->folder, end, names->name), end, ".d");
    end = names->temporary + sizeof names->temporary;
    char *to = ckpt_append(ckpt_append(ckpt_append(names->temporary, end, "."), end, names->name), end, ".");
    ckpt_append(ckpt_append_number(to, end, c->ident.identifier, 16, 12), end, ".new");
}

// The image at this path belongs to another run: this one gets a name of its own, NAME.RUN.img, and keeps it.
int ckpt_divert(struct ckpt_checkpoint *c) {
    size_t length = ckpt_length(c->image_path);
    char *end = c->image_path + CKPT_PATH_BYTES, *to = c->image_path + length;
    if (length + 20 > CKPT_PATH_BYTES) return -36; // ENAMETOOLONG
    if (length > 4 && ckpt_same(to - 4, ".img", 4)) to -= 4;
    to = ckpt_append_number(ckpt_append(to, end, "."), end, ckpt_state.run & 0xffffffffffffull, 16, 12);
    ckpt_append(to, end, ".img");
    return 0;
}

// Whose is the image that is there now? 1: ours to replace, or none; its identifier in *head. 0: somebody else's. Negative: it
// could not be read, so nobody knows.
static int may_replace(struct ckpt_checkpoint *c, struct names *names, uint64_t *head) {
    struct ckpt_ident ident;
    int error = identity_of(c->directory, names->name, &ident);
    *head = error == 0 ? ident.identifier : 0;
    if (error == -CKPT_ENOENT) return 1;
    if (error == -CKPT_EINVAL_ERRNO) return 0; // a file that is no image of ours is not overwritten
    if (error < 0) return error;
    if (c->named) return 1;
    return ident.run == ckpt_state.run || ident.identifier == ckpt_state.head || ident.identifier == ckpt_state.own_head;
}

struct kept { char name[16]; struct ckpt_ident ident; uint64_t byte_count; uint32_t needed, counted; };
#define KEPT_MAX 8192u
static struct kept *kept(void) { return (struct kept *)(ckpt_arena + CKPT_SCRATCH_OFFSET + (1 << 20)); }

// The images in the folder.
static uint32_t list_kept(int folder) {
    uint8_t *entries = (uint8_t *)(ckpt_arena + CKPT_SCRATCH_OFFSET);
    uint32_t count = 0;
    long got;
    while ((got = ckpt_call(__NR_getdents64, folder, entries, 1 << 16)) > 0)
        for (long at = 0; at < got; at += *(uint16_t *)(entries + at + 16)) {
            const char *name = (const char *)(entries + at + 19);
            struct kept *k = &kept()[count];
            struct ckpt_stat stat;
            uint64_t number;
            if (ckpt_length(name) != 12 || ckpt_number(name, 16, &number) != name + 12 || count == KEPT_MAX) continue;
            ckpt_memset(k, 0, sizeof *k);
            if (identity_of(folder, name, &k->ident) < 0) continue;
            if (ckpt_call(__NR_newfstatat, folder, name, &stat, 0) == 0) k->byte_count = (uint64_t)stat.blocks * 512;
            ckpt_memcpy(k->name, name, 13);
            count++;
        }
    return count;
}

// This image and all that it builds on.
static void need(uint32_t count, uint64_t identifier) {
    for (uint32_t i = 0; identifier && i < count; i++) {
        if (kept()[i].ident.identifier != identifier) continue;
        if (kept()[i].needed) return;
        kept()[i].needed = 1;
        identifier = kept()[i].ident.parent;
        i = ~0u;
    }
}

// Clocks jump: images of one run are told apart by their sequence.
static int is_newer(const struct ckpt_ident *a, const struct ckpt_ident *b) {
    if (a->run == b->run) return a->sequence > b->sequence;
    if ((a->run == ckpt_state.run) != (b->run == ckpt_state.run)) return a->run == ckpt_state.run;
    return a->created_realtime_ns > b->created_realtime_ns;
}

// Marks the chain of this image and the newest `generations` before it, with theirs. Returns the bytes of what is needed.
static uint64_t mark_needed(struct ckpt_checkpoint *c, uint32_t count, uint32_t generations) {
    uint64_t byte_count = 0;
    need(count, c->ident.parent);
    while (generations-- > 0) {
        struct kept *newest = NULL;
        for (uint32_t i = 0; i < count; i++)
            if (!kept()[i].counted && (!newest || is_newer(&kept()[i].ident, &newest->ident))) newest = &kept()[i];
        if (!newest) break;
        newest->counted = 1;
        need(count, newest->ident.identifier);
    }
    for (uint32_t i = 0; i < count; i++) if (kept()[i].needed) byte_count += kept()[i].byte_count;
    return byte_count;
}

// Removes what neither this image nor an older complete one that is kept builds on.
static void prune(struct ckpt_checkpoint *c, int folder, uint32_t generations) {
    uint32_t count = list_kept(folder);
    uint64_t limit = ckpt_state.plan.disk_limit_byte_count, byte_count = mark_needed(c, count, generations);
    while (limit && generations > 0 && byte_count + c->report.file_byte_count > limit) {
        for (uint32_t i = 0; i < count; i++) kept()[i].needed = kept()[i].counted = 0;
        byte_count = mark_needed(c, count, --generations);
    }
    for (uint32_t i = 0; i < count; i++) if (!kept()[i].needed) ckpt_unlinkat(folder, kept()[i].name);
}

// Whether this image and its chain alone are within the limit of disk space.
static int keeps_to_limit(struct ckpt_checkpoint *c, struct names *names, uint64_t head) {
    uint64_t limit = ckpt_state.plan.disk_limit_byte_count, byte_count = c->report.file_byte_count;
    if (!limit || c->named) return 1;
    long folder = ckpt_openat(c->directory, names->folder, O_DIRECTORY_CLOEXEC);
    if (folder >= 0) {
        byte_count += mark_needed(c, list_kept((int)folder), 0);
        ckpt_close((int)folder);
    }
    struct ckpt_stat stat;
    if (head && head == c->ident.parent && ckpt_call(__NR_newfstatat, c->directory, names->name, &stat, 0) == 0) byte_count += (uint64_t)stat.blocks * 512;
    return byte_count <= limit;
}

// The parent is where the new image's readers will look for it, or will be when the head is linked there.
static int has_parent(struct ckpt_checkpoint *c, struct names *names, uint64_t head) {
    char path[300], *end = path + sizeof path;
    struct ckpt_ident ident;
    if (!c->ident.parent || head == c->ident.parent) return 1;
    char *to = ckpt_append(ckpt_append(path, end, names->folder), end, "/");
    ckpt_append_number(to, end, c->ident.parent, 16, 12);
    return identity_of(c->directory, path, &ident) == 0 && ident.identifier == c->ident.parent;
}

int ckpt_has_base(struct ckpt_checkpoint *c) {
    struct names *names = (struct names *)(ckpt_arena + CKPT_BOUNCE_OFFSET);
    struct ckpt_ident ident;
    ckpt_memset(names, 0, sizeof *names);
    make_names(c, names);
    uint64_t head = identity_of(c->directory, names->name, &ident) == 0 ? ident.identifier : 0, before = c->ident.parent;
    c->ident.parent = ckpt_state.base;
    int found = has_parent(c, names, head);
    c->ident.parent = before;
    return found;
}

static int keep_older(struct ckpt_checkpoint *c, struct names *names, uint64_t head) {
    ckpt_append_number(names->older, names->older + sizeof names->older, head, 16, 12);
    long result = ckpt_call(__NR_mkdirat, c->directory, names->folder, 0700);
    if (result < 0 && result != -CKPT_EEXIST) return (int)result;
    long folder = ckpt_openat(c->directory, names->folder, O_DIRECTORY_CLOEXEC);
    if (folder < 0) return (int)folder;
    result = ckpt_call(__NR_linkat, c->directory, names->name, folder, names->older, 0);
    if (result == -CKPT_EEXIST) result = 0;
    if (result == 0) ckpt_call(__NR_fsync, folder);
    ckpt_close((int)folder);
    return (int)result;
}

static int link_output(struct ckpt_checkpoint *c, struct names *names) {
    char link[64], *end = link + sizeof link;
    ckpt_append_number(ckpt_append(link, end, "/proc/self/fd/"), end, (uint64_t)c->output, 10, 1);
    // Whoever finds the temporary name and can lock the file knows that its scribe is gone (remove_left).
    ckpt_call(__NR_flock, c->output, 2 | 4 /* LOCK_EX | LOCK_NB */);
    // Kernel: the way that open(2) gives for O_TMPFILE; AT_EMPTY_PATH would want CAP_DAC_READ_SEARCH (before 6.10).
    long result = ckpt_call(__NR_linkat, -100, link, c->directory, names->temporary, AT_SYMLINK_FOLLOW_);
    if (result < 0) return (int)result;
    result = ckpt_call(__NR_renameat, c->directory, names->temporary, c->directory, names->name);
    if (result < 0) ckpt_unlinkat(c->directory, names->temporary);
    ckpt_call(__NR_flock, c->output, 8 /* LOCK_UN */);
    return (int)result;
}

// A scribe that was killed between link and rename has left a temporary name, and a whole image under it.
static void remove_left(struct ckpt_checkpoint *c, struct names *names) {
    uint8_t *entries = (uint8_t *)(ckpt_arena + CKPT_SCRATCH_OFFSET);
    size_t length = ckpt_length(names->temporary), common = length - 16; // ".NAME." + 12 digits + ".new"
    long directory = ckpt_openat(c->directory, ".", O_DIRECTORY_CLOEXEC), got;
    while (directory >= 0 && (got = ckpt_call(__NR_getdents64, directory, entries, 1 << 16)) > 0)
        for (long at = 0; at < got; at += *(uint16_t *)(entries + at + 16)) {
            const char *name = (const char *)(entries + at + 19);
            uint64_t number;
            if (ckpt_length(name) != length || !ckpt_same(name, names->temporary, common) || ckpt_number(name + common, 16, &number) != name + length - 4
                || !ckpt_same(name + length - 4, ".new", 4)) continue;
            long file = ckpt_openat((int)directory, name, 02404000 /* O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK */);
            if (file < 0) continue;
            if (ckpt_call(__NR_flock, file, 2 | 4) == 0) ckpt_unlinkat((int)directory, name);
            ckpt_close((int)file);
        }
    if (directory >= 0) ckpt_close((int)directory);
}

static int fail(struct ckpt_checkpoint *c, uint32_t step, int error) {
    if (error < 0) c->step = step;
    return error;
}

int ckpt_commit(struct ckpt_checkpoint *c) {
    struct names *names = (struct names *)(ckpt_arena + CKPT_BOUNCE_OFFSET);
    uint64_t head = 0;
    ckpt_memset(names, 0, sizeof *names);
    int error = fail(c, CKPT_STEP_SYNC, (int)ckpt_call(__NR_fsync, c->output));
    if (error < 0) return error;
    make_names(c, names);
    int ours = may_replace(c, names, &head);
    if (ours < 0) return fail(c, CKPT_STEP_COMMIT, ours);
    if (!ours) {
        if (c->ident.parent) {
            // The parent is not where this increment would go: once more, and a full image.
            ckpt_state.diverted = 1;
            c->step = CKPT_STEP_NONE;
            return -CKPT_EAGAIN;
        }
        if (ckpt_state.diverted || c->named) return fail(c, CKPT_STEP_COMMIT, -CKPT_EEXIST);
        if ((error = fail(c, CKPT_STEP_COMMIT, ckpt_divert(c))) < 0) return error;
        ckpt_state.diverted = 1;
        head = 0;
        make_names(c, names);
        if ((ours = may_replace(c, names, &head)) <= 0) return fail(c, CKPT_STEP_COMMIT, ours < 0 ? ours : -CKPT_EEXIST);
    }
    if (!has_parent(c, names, head)) { c->step = CKPT_STEP_NONE; return -CKPT_EAGAIN; }
    struct ckpt_stat written;
    if (ckpt_call(__NR_fstat, c->output, &written) == 0) c->report.file_byte_count = (uint64_t)written.blocks * 512;
    if (!keeps_to_limit(c, names, head)) return fail(c, CKPT_STEP_LIMIT, -122 /* EDQUOT */);
    uint32_t generations = c->named ? 0 : ckpt_state.plan.generations; // a named image is a single file
    if (head && (generations > 0 || c->ident.parent) && (error = fail(c, CKPT_STEP_COMMIT, keep_older(c, names, head))) < 0) return error;
    // Order: before the rename, so that no two images of a run have the same number, should this scribe be killed behind it.
    ckpt_state.sequence = c->ident.sequence;
    if ((error = fail(c, CKPT_STEP_COMMIT, link_output(c, names))) < 0) return error;
    error = fail(c, CKPT_STEP_COMMIT, (int)ckpt_call(__NR_fsync, c->directory));
    // From here on the image is the newest one, also when the directory could not be synced.
    if (!c->named) ckpt_state.own_head = c->ident.identifier;
    if (error < 0) return error;
    // What follows takes its time (giving 1 GiB of an older image back to ext4: 0.1 s) and can be lost.
    c->durable_at_ns = ckpt_clock(CKPT_CLOCK_MONOTONIC);
    remove_left(c, names);
    long folder = c->named ? -1 : ckpt_openat(c->directory, names->folder, O_DIRECTORY_CLOEXEC);
    if (folder >= 0) {
        prune(c, (int)folder, generations);
        ckpt_close((int)folder);
    }
    return 0;
}
