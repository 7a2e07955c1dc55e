// SPDX-License-Identifier: Apache-2.0
// Captures the mappings as /proc/self/maps shows them, without the engine's own.
// Signal time: safe. Reads text into the arena and parses it there; the scribe shares the memory, so its own maps are the
// program's.
#include "engine.h"

struct line { struct ckpt_mapping mapping; const char *name; size_t name_length; };

static const char *parse(const char *at, struct line *line) {
    struct ckpt_mapping *m = &line->mapping;
    uint64_t major, minor;
    ckpt_memset(line, 0, sizeof *line);
    at = ckpt_number(at, 16, &m->start) + 1;
    at = ckpt_number(at, 16, &m->end) + 1;
    if (at[0] == 'r') m->protection |= 1;
    if (at[1] == 'w') m->protection |= 2;
    if (at[2] == 'x') m->protection |= 4;
    if (at[3] == 's') m->flags |= CKPT_MAPPING_SHARED;
    at = ckpt_number(at + 5, 16, &m->file_offset) + 1;
    at = ckpt_number(at, 16, &major) + 1;
    at = ckpt_number(at, 16, &minor) + 1;
    at = ckpt_number(at, 10, &m->inode);
    // As stat gives it: gnu_dev_makedev.
    m->device = (minor & 0xff) | ((major & 0xfff) << 8) | ((minor & ~0xffull) << 12) | ((major & ~0xfffull) << 32);
    while (*at == ' ') at++;
    line->name = at;
    while (*at && *at != '\n') at++;
    line->name_length = (size_t)(at - line->name);
    return *at ? at + 1 : at;
}

static int named(const struct line *line, const char *name) {
    size_t length = ckpt_length(name);
    return line->name_length == length && ckpt_same(line->name, name, length);
}

static int begins(const struct line *line, const char *start) {
    size_t length = ckpt_length(start);
    return line->name_length >= length && ckpt_same(line->name, start, length);
}

static void classify(struct line *line) {
    struct ckpt_mapping *m = &line->mapping;
    static const char deleted[] = " (deleted)";
    const size_t deleted_length = sizeof deleted - 1;
    if (line->name_length > deleted_length && m->inode
        && ckpt_same(line->name + line->name_length - deleted_length, deleted, deleted_length)) {
        m->flags |= CKPT_MAPPING_DELETED;
        line->name_length -= deleted_length;
    }
    int shared = (m->flags & CKPT_MAPPING_SHARED) != 0;
    if (named(line, "[vdso]")) m->kind = CKPT_MAPPING_VDSO;
    else if (begins(line, "[vvar")) m->kind = CKPT_MAPPING_VVAR;
    else if (named(line, "[stack]")) { m->kind = CKPT_MAPPING_STACK; m->flags |= CKPT_MAPPING_GROWS_DOWN; }
    else if (named(line, "[heap]")) m->kind = CKPT_MAPPING_HEAP;
    else if (named(line, "[uprobes]") || begins(line, "/anon_hugepage") || begins(line, "anon_inode:")
             || begins(line, "/[aio]") || begins(line, "/secretmem") || begins(line, "/drm mm object") || begins(line, "/i915")) m->kind = CKPT_MAPPING_OTHER;
    else if (shared && (begins(line, "/dev/zero") || begins(line, "[anon_shmem") || begins(line, "/memfd:")
                        || (begins(line, "/SYSV") && m->flags & CKPT_MAPPING_DELETED))) m->kind = CKPT_MAPPING_SHARED_ANONYMOUS;
    else if (m->inode == 0) m->kind = shared ? CKPT_MAPPING_SHARED_ANONYMOUS : CKPT_MAPPING_ANONYMOUS;
    else if (begins(line, "/dev/") && !begins(line, "/dev/shm/")) m->kind = CKPT_MAPPING_OTHER;
    else if (shared && (m->protection & 2 || m->flags & CKPT_MAPPING_DELETED)) m->kind = CKPT_MAPPING_SHARED_FILE;
    else m->kind = CKPT_MAPPING_FILE;
}

// Ranges that are the engine's or the last restart's own. Anonymous neighbours may have been merged with them.
struct own_range { uint64_t start, end; uint32_t kind; };

static int add(struct ckpt_checkpoint *c, const struct line *line, uint64_t start, uint64_t end, uint32_t kind, uint32_t taken) {
    struct ckpt_mapping *last = c->mapping_count ? &c->mappings[c->mapping_count - 1] : NULL, *m;
    uint32_t protection = line->mapping.protection | (taken ? 2 : 0);
    // A border that is there only because the tracker took the write access from one of its sides.
    int joins = last && last->end == start && last->kind == kind && last->protection == protection && last->flags == line->mapping.flags
        && taken != c->last_taken && ckpt_guard_joins(start) && (kind == CKPT_MAPPING_HEAP || (last->name == 0 && line->name_length == 0));
    c->last_taken = taken;
    if (joins) {
        last->end = end;
        return 0;
    }
    if (!(m = ckpt_extend(&c->tables, sizeof *m))) { c->step = CKPT_STEP_ARENA; return -CKPT_ENOMEM; }
    *m = line->mapping;
    if (m->inode) m->file_offset += start - m->start;
    m->start = start;
    m->end = end;
    m->kind = kind;
    m->protection = protection;
    m->name = ckpt_string(c, line->name, line->name_length);
    c->mapping_count++;
    if (kind == CKPT_MAPPING_OTHER) c->unsupported_count++;
    return 0;
}

// Adds a range of a mapping as the program has made it: with its write access where the tracker took that away.
static int add_own(struct ckpt_checkpoint *c, const struct line *line, uint64_t start, uint64_t end) {
    if (!ckpt_guard_is_open()) return add(c, line, start, end, line->mapping.kind, 0);
    for (uint64_t at = start, next = end; at < end; at = next) {
        uint32_t taken = (uint32_t)ckpt_guard_took(c, &line->mapping, at, end, &next);
        int error = add(c, line, at, next, line->mapping.kind, taken);
        if (error < 0) return error;
    }
    return 0;
}

// Adds a mapping without the parts that are the engine's own.
static int add_split(struct ckpt_checkpoint *c, const struct line *line, const struct own_range *own, int own_count) {
    uint64_t at = line->mapping.start;
    while (at < line->mapping.end) {
        const struct own_range *next = NULL; // the first own range at or behind `at`
        for (int i = 0; i < own_count; i++)
            if (own[i].end > at && own[i].start < line->mapping.end && (!next || own[i].start < next->start)) next = &own[i];
        uint64_t free_end = next ? (next->start > at ? next->start : at) : line->mapping.end;
        int error;
        if (free_end > at && (error = add_own(c, line, at, free_end)) < 0) return error;
        if (!next) return 0;
        at = next->end < line->mapping.end ? next->end : line->mapping.end;
        if (next->kind && (error = add(c, line, free_end, at, next->kind, 0)) < 0) return error;
    }
    return 0;
}

int ckpt_capture_mappings(struct ckpt_checkpoint *c) {
    const struct ckpt_restart_context *restart = &ckpt_state.live.restart;
    const struct own_range own[3] = {
        {ckpt_arena, ckpt_arena + CKPT_ARENA_BYTES, CKPT_MAPPING_ARENA},
        {ckpt_state.beacon, ckpt_state.beacon + (ckpt_state.beacon ? CKPT_PAGE_SIZE : 0), CKPT_MAPPING_BEACON},
        {restart->restorer_start, restart->restorer_end, 0}, // what the restarter left behind is in no image
    };
    char *text = (char *)(ckpt_arena + CKPT_SCRATCH_OFFSET);
    long length = ckpt_read_text(-100, "/proc/self/maps", text, CKPT_SCRATCH_BYTES);
    if (length < 0) return (int)length;
    if ((uint64_t)length + 1 >= CKPT_SCRATCH_BYTES) { c->step = CKPT_STEP_ARENA; return -CKPT_ENOMEM; }
    c->mappings = ckpt_take(&c->tables, 0);
    c->mapping_count = 0;
    c->has_moved = 0;
    c->guarded_count = ckpt_guard_is_open() ? ckpt_guard_count(0, ~0ull) : 0;
    uint64_t before = 0;
    uint32_t line_count = 0;
    for (const char *at = text; *at; line_count++) {
        struct line line;
        at = parse(at, &line);
        // Kernel: while the program changes its mappings a listing may show one twice, before and after it grew.
        if (line.mapping.end <= before) continue;
        if (line.mapping.start < before) {
            if (line.mapping.inode) line.mapping.file_offset += before - line.mapping.start;
            line.mapping.start = before;
        }
        if (ckpt_guard_is_open() && c->frozen && before < line.mapping.start) ckpt_guard_set(before, line.mapping.start, CKPT_GUARD_FORGOTTEN);
        before = line.mapping.end;
        if (line.mapping.end <= line.mapping.start || named(&line, "[vsyscall]")) continue;
        classify(&line);
        if (line.mapping.kind == CKPT_MAPPING_VDSO) c->process.vdso_start = line.mapping.start, c->process.vdso_end = line.mapping.end;
        int error = add_split(c, &line, own, 3);
        if (error < 0) return error;
    }
    // For the content of shared objects (capture_shared.c).
    if (!ckpt_extend(&c->tables, CKPT_OBJECTS_MAX * sizeof(struct ckpt_mapping))) { c->step = CKPT_STEP_ARENA; return -CKPT_ENOMEM; }
    if (ckpt_guard_is_open()) {
        ckpt_guard()->map_count = line_count;
        c->distrusted = c->frozen && ckpt_guard_count(0, ~0ull) < c->guarded_count;
    }
    return 0;
}
