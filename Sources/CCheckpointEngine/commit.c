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

static int identity_of(int directory, const char *path, struct ckpt_ident *ident) {
    struct { uint8_t elf[64], program_header[56], note[20 + sizeof(struct ckpt_ident)]; } head;
    long file = ckpt_openat(directory, path, 02004000 /* O_CLOEXEC | O_NONBLOCK */);
    if (file < 0) return (int)file;
    int found = 0;
    if (ckpt_pread((int)file, head.elf, sizeof head.elf, 0) == sizeof head.elf && ckpt_same((char *)head.elf, "\177ELF", 4)
        && ckpt_pread((int)file, head.program_header, sizeof head.program_header, *(uint64_t *)(head.elf + 32)) == sizeof head.program_header
        && *(uint32_t *)head.program_header == 4 /* PT_NOTE */
        && ckpt_pread((int)file, head.note, sizeof head.note, *(uint64_t *)(head.program_header + 8)) == sizeof head.note
        && *(uint32_t *)(head.note + 8) == CKPT_NOTE_IDENT && ckpt_same((char *)head.note + 12, CKPT_NOTE_OWNER, 5)) {
        ckpt_memcpy(ident, head.note + 20, sizeof *ident);
        ckpt_memset(head.note + 20 + offsetof(struct ckpt_ident, ident_crc), 0, 4);
        found = ckpt_crc32c(0, head.note, sizeof head.note) == ident->ident_crc && ident->identifier != 0;
    }
    ckpt_close((int)file);
    return found ? 0 : -CKPT_EINVAL_ERRNO;
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
static int divert(struct ckpt_checkpoint *c) {
    size_t length = ckpt_length(c->image_path);
    char *end = c->image_path + CKPT_PATH_BYTES, *to = c->image_path + length;
    if (length + 20 > CKPT_PATH_BYTES) return -36; // ENAMETOOLONG
    if (length > 4 && ckpt_same(to - 4, ".img", 4)) to -= 4;
    to = ckpt_append_number(ckpt_append(to, end, "."), end, ckpt_state.run & 0xffffffffffffull, 16, 12);
    ckpt_append(to, end, ".img");
    return 0;
}

// Whose is the image that is there now? 0: ours to replace, or none; its identifier in *head.
static int may_replace(struct ckpt_checkpoint *c, struct names *names, uint64_t *head) {
    struct ckpt_ident ident;
    int error = identity_of(c->directory, names->name, &ident);
    *head = error == 0 ? ident.identifier : 0;
    if (error == -CKPT_ENOENT) return 1;
    if (error < 0) return 0; // a file that is no image of ours is not overwritten
    if (c->named) return 1;
    return ident.run == ckpt_state.run || ident.identifier == ckpt_state.head || ident.identifier == ckpt_state.own_head;
}

// Keeps the newest `generations` of the folder, removes the rest and what an interrupted commit left.
static void prune(int folder, uint32_t generations) {
    uint8_t *entries = (uint8_t *)(ckpt_arena + CKPT_SCRATCH_OFFSET);
    struct { char name[16]; uint64_t created; } *found = (void *)(ckpt_arena + CKPT_SCRATCH_OFFSET + (1 << 20));
    uint32_t count = 0;
    long got;
    while ((got = ckpt_call(__NR_getdents64, folder, entries, 1 << 16)) > 0)
        for (long at = 0; at < got; at += *(uint16_t *)(entries + at + 16)) {
            const char *name = (const char *)(entries + at + 19);
            uint64_t number;
            struct ckpt_ident ident;
            if (ckpt_length(name) != 12 || ckpt_number(name, 16, &number) != name + 12 || count == 4096) continue;
            if (identity_of(folder, name, &ident) < 0) continue;
            ckpt_memcpy(found[count].name, name, 13);
            found[count++].created = ident.created_realtime_ns;
        }
    while (count > generations) {
        uint32_t oldest = 0;
        for (uint32_t i = 1; i < count; i++) if (found[i].created < found[oldest].created) oldest = i;
        ckpt_unlinkat(folder, found[oldest].name);
        found[oldest] = found[--count];
    }
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
    // Kernel: the way that open(2) gives for O_TMPFILE; AT_EMPTY_PATH would want CAP_DAC_READ_SEARCH (before 6.10).
    long result = ckpt_call(__NR_linkat, -100, link, c->directory, names->temporary, AT_SYMLINK_FOLLOW_);
    if (result < 0) return (int)result;
    result = ckpt_call(__NR_renameat, c->directory, names->temporary, c->directory, names->name);
    if (result < 0) ckpt_unlinkat(c->directory, names->temporary);
    return (int)result;
}

static int fail(struct ckpt_checkpoint *c, uint32_t step, int error) {
    if (error < 0) c->step = step;
    return error;
}

int ckpt_commit(struct ckpt_checkpoint *c) {
    struct names *names = (struct names *)(ckpt_arena + CKPT_BOUNCE_OFFSET);
    uint64_t head = 0, stat[18];
    ckpt_memset(names, 0, sizeof *names);
    int error = fail(c, CKPT_STEP_SYNC, (int)ckpt_call(__NR_fsync, c->output));
    if (error < 0) return error;
    if (ckpt_state.diverted && !c->named && (error = fail(c, CKPT_STEP_COMMIT, divert(c))) < 0) return error;
    make_names(c, names);
    if (!may_replace(c, names, &head)) {
        if (ckpt_state.diverted || c->named) return fail(c, CKPT_STEP_COMMIT, -CKPT_EEXIST);
        if ((error = fail(c, CKPT_STEP_COMMIT, divert(c))) < 0) return error;
        ckpt_state.diverted = 1;
        head = 0;
        make_names(c, names);
        if (!may_replace(c, names, &head)) return fail(c, CKPT_STEP_COMMIT, -CKPT_EEXIST);
    }
    uint32_t generations = c->named ? 0 : ckpt_state.plan.generations; // a named image is a single file
    if (head && generations > 0 && (error = fail(c, CKPT_STEP_COMMIT, keep_older(c, names, head))) < 0) return error;
    if ((error = fail(c, CKPT_STEP_COMMIT, link_output(c, names))) < 0) return error;
    error = fail(c, CKPT_STEP_COMMIT, (int)ckpt_call(__NR_fsync, c->directory));
    // From here on the image is the newest one, also when the directory could not be synced.
    if (!c->named) ckpt_state.own_head = c->ident.identifier;
    ckpt_state.sequence = c->ident.sequence;
    if (error < 0) return error;
    if (ckpt_call(__NR_fstat, c->output, stat) == 0) c->report.file_byte_count = stat[8] * 512;
    long folder = c->named ? -1 : ckpt_openat(c->directory, names->folder, O_DIRECTORY_CLOEXEC);
    if (folder >= 0) {
        prune((int)folder, generations);
        ckpt_close((int)folder);
    }
    return 0;
}
