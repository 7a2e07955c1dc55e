// SPDX-License-Identifier: Apache-2.0
// Captures shared memory: anonymous, memfd, System V segments, and what is mapped shared and writable of files, deleted or not. What
// several mappings and descriptors have in common is one object.
// Signal time: safe. Reads the tables of mappings and descriptors, and opens descriptors of the program through /proc/PID/fd.
//
// Kernel: each of these objects is an inode. maps shows its device and number for every mapping, /dev/zero (deleted) as the name of
// shared anonymous memory (mm/shmem.c); the number of a System V segment's is its id (ipc/shm.c), so that is told by its name.
// Whether another process has the object too cannot be seen from here, but for System V (shm_nattch).
#include "engine.h"

#define SIZE_MAX_ (1ull << 46)
#define FILE_BYTES_MAX (4ull << 30) // of a file with a name, what is mapped of it: all of that is in each image
#define HUGETLBFS 0x958458f6u
#define F_GET_SEALS_ 1034

static int begins(const char *text, const char *start) { return ckpt_same(text, start, ckpt_length(start)); }

static const char *name_of(struct ckpt_checkpoint *c, uint32_t name) { return (const char *)c->strings.base + name; }

// 0: memory that is no object.
static uint32_t kind_of(struct ckpt_checkpoint *c, const struct ckpt_mapping *m) {
    const char *name = name_of(c, m->name);
    if (!(m->flags & CKPT_MAPPING_SHARED)) return 0;
    if (m->kind == CKPT_MAPPING_SHARED_ANONYMOUS)
        return begins(name, "/SYSV") ? CKPT_SHARED_SYSTEM_V : begins(name, "/memfd:") ? CKPT_SHARED_MEMFD : CKPT_SHARED_ANONYMOUS;
    if (m->kind != CKPT_MAPPING_SHARED_FILE) return 0;
    return m->flags & CKPT_MAPPING_DELETED ? CKPT_SHARED_DELETED : CKPT_SHARED_FILE;
}

static struct ckpt_object *find(struct ckpt_checkpoint *c, uint64_t device, uint64_t inode, int is_system_v) {
    struct ckpt_objects *objects = &c->objects;
    for (uint32_t i = 0; i < objects->count; i++) {
        const struct ckpt_shared *s = &objects->all[i].shared;
        if (s->inode == inode && s->device == device && (s->kind == CKPT_SHARED_SYSTEM_V) == is_system_v) return &objects->all[i];
    }
    return NULL;
}

// Seen in this look; made when it is new. NULL: there are too many.
static struct ckpt_object *see(struct ckpt_checkpoint *c, uint32_t kind, uint64_t device, uint64_t inode, uint32_t name) {
    struct ckpt_objects *objects = &c->objects;
    struct ckpt_object *o = find(c, device, inode, kind == CKPT_SHARED_SYSTEM_V);
    if (!o) {
        if (objects->count == CKPT_OBJECTS_MAX) return NULL;
        o = &objects->all[objects->count++];
        *o = (struct ckpt_object){.shared = {.kind = kind, .device = device, .inode = inode}, .descriptor = -1};
    }
    if (o->seen != objects->look) {
        o->seen = objects->look;
        o->mapped_count = 0;
        o->shared.name = name;
        o->shared.flags &= CKPT_SHARED_SEALS;
        o->shared.byte_count = 0;
    }
    return o;
}

// Shell's sort: few pieces, nearly in order.
static void sort(struct ckpt_piece *pieces, uint32_t count) {
    for (uint32_t gap = count / 2; gap > 0; gap /= 2)
        for (uint32_t i = gap; i < count; i++) {
            struct ckpt_piece piece = pieces[i];
            uint32_t k = i;
            for (; k >= gap && (pieces[k - gap].object > piece.object || (pieces[k - gap].object == piece.object && pieces[k - gap].offset > piece.offset)); k -= gap)
                pieces[k] = pieces[k - gap];
            pieces[k] = piece;
        }
}

// Kernel: all of them are on one internal mount (shm_mnt), as our beacon is; what is on another is of hugetlbfs. 0: not known.
static uint64_t own_device(const struct ckpt_checkpoint *c) {
    for (uint32_t i = 0; i < c->mapping_count; i++) if (c->mappings[i].kind == CKPT_MAPPING_BEACON) return c->mappings[i].device;
    return 0;
}

// A shared mapping without write access, of a file that the program can write through another mapping or a descriptor.
static int is_written_elsewhere(struct ckpt_checkpoint *c, const struct ckpt_mapping *m) {
    const struct ckpt_object *o = find(c, m->device, m->inode, 0);
    if (o && o->seen == c->objects.look) return 1;
    for (uint32_t i = 0; i < c->descriptor_count; i++) {
        const struct ckpt_descriptor *d = &c->descriptors[i];
        if (d->kind == CKPT_DESCRIPTOR_FILE && d->inherited < 0 && d->status_flags & 3 && d->inode == m->inode && d->device == m->device) return 1;
    }
    return 0;
}

static int see_mapping(struct ckpt_checkpoint *c, struct ckpt_mapping *m, uint32_t kind) {
    struct ckpt_objects *objects = &c->objects;
    uint64_t end = m->file_offset + (m->end - m->start);
    if (kind == CKPT_SHARED_FILE && m->end - m->start > FILE_BYTES_MAX) return 0;
    struct ckpt_object *o = end <= SIZE_MAX_ ? see(c, kind, m->device, m->inode, m->name) : NULL;
    if (!o) return 0;
    struct ckpt_piece *piece = ckpt_extend(&c->tables, sizeof *piece);
    if (!piece) { c->step = CKPT_STEP_ARENA; return -CKPT_ENOMEM; }
    *piece = (struct ckpt_piece){m->file_offset, end, m->start, (uint32_t)(o - objects->all), (uint8_t)(m->protection & 1), 0};
    objects->piece_count++;
    o->mapped_count++;
    if (end > o->shared.byte_count) o->shared.byte_count = end;
    m->object = 1 + piece->object;
    return 0;
}

static int see_mappings(struct ckpt_checkpoint *c) {
    struct ckpt_objects *objects = &c->objects;
    uint64_t device = own_device(c);
    int error = 0;
    objects->pieces = ckpt_take(&c->tables, 0);
    objects->piece_count = 0;
    for (uint32_t i = 0; error == 0 && i < c->mapping_count; i++) {
        struct ckpt_mapping *m = &c->mappings[i];
        uint32_t kind = kind_of(c, m);
        if (kind && kind != CKPT_SHARED_DELETED && kind != CKPT_SHARED_FILE && device && m->device != device) {
            m->kind = CKPT_MAPPING_OTHER;
            c->unsupported_count++;
            continue;
        }
#ifdef CKPT_TEST_HOOKS
        if (m->start < ckpt_test_shared.start || m->end > ckpt_test_shared.end) continue;
#endif
        if (kind) error = see_mapping(c, m, kind);
    }
    for (uint32_t i = 0; error == 0 && i < c->mapping_count; i++) {
        struct ckpt_mapping *m = &c->mappings[i];
        if (m->kind != CKPT_MAPPING_FILE || !(m->flags & CKPT_MAPPING_SHARED) || !is_written_elsewhere(c, m)) continue;
        error = see_mapping(c, m, CKPT_SHARED_FILE);
        if (m->object) m->kind = CKPT_MAPPING_SHARED_FILE;
    }
    if (error < 0) return error;
    sort(objects->pieces, objects->piece_count);
    return 0;
}

// A descriptor of the program that leads to this object.
static void see_descriptor(struct ckpt_checkpoint *c, struct ckpt_object *o, int number, const struct ckpt_stat *stat) {
    char path[64];
    o->shared.byte_count = (uint64_t)stat->byte_count;
    o->shared.flags |= CKPT_SHARED_EXACT;
    o->shared.mode = stat->mode;
    o->shared.modified_ns = stat->modified.seconds * 1000000000ll + stat->modified.nanoseconds;
    if (o->descriptor < 0) {
        ckpt_descriptor_path(c, number, path, sizeof path);
        o->descriptor = (int)ckpt_openat(c->proc, path, 02004000 /* O_CLOEXEC | O_NONBLOCK */);
    }
    long seals = o->descriptor >= 0 ? ckpt_call(__NR_fcntl, o->descriptor, F_GET_SEALS_) : -1;
    if (o->shared.kind == CKPT_SHARED_MEMFD && seals >= 0) {
        o->shared.seals = (uint32_t)seals;
        o->shared.flags |= CKPT_SHARED_SEALS;
    }
}

static int is_huge(struct ckpt_checkpoint *c, int number) {
    char path[64];
    uint64_t stat[15] = {0};
    ckpt_descriptor_path(c, number, path, sizeof path);
    long file = ckpt_openat(c->proc, path, 012000000 /* O_PATH | O_CLOEXEC */);
    if (file < 0) return 0;
    ckpt_call(__NR_fstatfs, file, stat);
    ckpt_close((int)file);
    return stat[0] == HUGETLBFS;
}

// Kernel: struct shmid64_ds of x86-64 (asm-generic/shmbuf.h); IPC_STAT needs read access to the segment.
static void see_segment(struct ckpt_object *o) {
    uint64_t words[14] = {0};
    if (ckpt_call(__NR_shmctl, o->shared.inode, 2 /* IPC_STAT */, words) < 0) return;
    o->shared.key = (uint32_t)words[0];
    o->shared.mode = (uint32_t)(words[2] >> 32);
    o->shared.byte_count = words[6];
    o->shared.flags |= CKPT_SHARED_EXACT;
    // Each mapping counts as one, a part of one too.
    if (words[11] > o->mapped_count) o->shared.flags |= CKPT_SHARED_WITH_OTHERS;
}

// Size and times of a file with a name. Another file may have the name now: then only the mappings tell.
static void see_file(struct ckpt_checkpoint *c, struct ckpt_object *o) {
    struct ckpt_stat stat;
    const char *path = name_of(c, o->shared.name);
    long file = path[0] == '/' ? ckpt_open(path, 02004000 /* O_CLOEXEC | O_NONBLOCK */, 0) : -CKPT_ENOENT;
    if (file < 0) return;
    if (ckpt_call(__NR_fstat, file, &stat) < 0 || stat.inode != o->shared.inode || (stat.mode & 0170000) != 0100000) {
        ckpt_close((int)file);
        return;
    }
    o->shared.byte_count = (uint64_t)stat.byte_count;
    o->shared.flags |= CKPT_SHARED_EXACT;
    o->shared.mode = stat.mode;
    o->shared.modified_ns = stat.modified.seconds * 1000000000ll + stat.modified.nanoseconds;
    if (o->descriptor < 0 && c->proc >= 0) o->descriptor = (int)file;
    else ckpt_close((int)file);
}

// Gives each object that was seen an address for its content, its old one when that is large enough.
static int place(struct ckpt_checkpoint *c) {
    struct ckpt_objects *objects = &c->objects;
    for (uint32_t i = 0; i < objects->count; i++) {
        struct ckpt_object *o = &objects->all[i];
        if (o->seen != objects->look) continue;
        if (o->shared.kind == CKPT_SHARED_SYSTEM_V) see_segment(o);
        if (o->shared.kind == CKPT_SHARED_FILE) see_file(c, o);
        uint64_t room = (o->shared.byte_count + (2u << 20)) & ~((2ull << 20) - 1);
        if (o->shared.address && room <= o->room) continue;
        if (room > CKPT_OBJECTS_END - objects->next_address) return -CKPT_ENOMEM;
        o->shared.address = objects->next_address;
        o->room = room;
        objects->next_address += room;
    }
    return 0;
}

static int begin_look(struct ckpt_checkpoint *c) {
    struct ckpt_objects *objects = &c->objects;
    if (!objects->all) {
        objects->all = ckpt_take(&c->ledger.memory, CKPT_OBJECTS_MAX * sizeof *objects->all);
        objects->next_address = CKPT_OBJECTS_START;
        if (!objects->all) { c->step = CKPT_STEP_ARENA; return -CKPT_ENOMEM; }
    }
    objects->look++;
    return see_mappings(c);
}

int ckpt_find_objects(struct ckpt_checkpoint *c) {
    int error = begin_look(c);
    if (error < 0) return error;
    int32_t *numbers = (int32_t *)(ckpt_arena + CKPT_SCRATCH_OFFSET + (4 << 20));
    char *link = (char *)(ckpt_arena + CKPT_SCRATCH_OFFSET + (1 << 20)), path[64];
    // Of a leader that has ended they cannot be listed, and the others are not known yet: the freeze finds them.
    long count = ckpt_list_descriptors(c, numbers);
    for (long i = 0; i < count; i++) {
        struct ckpt_stat stat;
        ckpt_descriptor_path(c, numbers[i], path, sizeof path);
        if (ckpt_read_link(c->proc, path, link, CKPT_PATH_BYTES) < 0 || ckpt_call(__NR_newfstatat, c->proc, path, &stat, 0) < 0) continue;
        if ((stat.mode & 0170000) != 0100000 || stat.links != 0) continue;
        int is_memfd = begins(link, "/memfd:");
        struct ckpt_object *o = find(c, stat.device, stat.inode, 0);
        if (o && o->seen != c->objects.look) o = NULL;
        if (is_memfd && is_huge(c, numbers[i])) continue;
        if (!o && is_memfd && stat.byte_count <= (int64_t)SIZE_MAX_) o = see(c, CKPT_SHARED_MEMFD, stat.device, stat.inode, 0);
        if (o) see_descriptor(c, o, numbers[i], &stat);
    }
    return place(c);
}

// The mapping of a file that a descriptor has too: by the name where maps shows another device than stat (btrfs, overlayfs).
static const struct ckpt_mapping *mapping_of(struct ckpt_checkpoint *c, const struct ckpt_descriptor *d) {
    for (uint32_t i = 0; i < c->mapping_count; i++) {
        const struct ckpt_mapping *m = &c->mappings[i];
        uint32_t kind = kind_of(c, m);
        if (m->inode != d->inode || (kind != CKPT_SHARED_DELETED && kind != CKPT_SHARED_FILE)) continue;
        const char *name = name_of(c, m->name), *path = name_of(c, d->path);
        if (m->device == d->device || (ckpt_length(name) == ckpt_length(path) && ckpt_same(name, path, ckpt_length(name)))) return m;
    }
    return NULL;
}

int ckpt_is_mapped_shared(struct ckpt_checkpoint *c, const struct ckpt_descriptor *d) { return mapping_of(c, d) != NULL; }

static int see_descriptors(struct ckpt_checkpoint *c) {
    for (uint32_t i = 0; i < c->descriptor_count; i++) {
        struct ckpt_descriptor *d = &c->descriptors[i];
        if (d->inherited >= 0 || (d->kind != CKPT_DESCRIPTOR_MEMFD && d->kind != CKPT_DESCRIPTOR_FILE)) continue;
        const struct ckpt_mapping *m = d->kind == CKPT_DESCRIPTOR_FILE ? mapping_of(c, d) : NULL;
        struct ckpt_object *o = m ? find(c, m->device, m->inode, 0) : d->kind == CKPT_DESCRIPTOR_MEMFD ? find(c, d->device, d->inode, 0) : NULL;
        if (o && o->seen != c->objects.look) o = NULL;
        if (d->kind == CKPT_DESCRIPTOR_MEMFD && is_huge(c, d->number)) o = NULL;
        else if (!o && d->kind == CKPT_DESCRIPTOR_MEMFD && d->byte_count <= SIZE_MAX_)
            o = see(c, CKPT_SHARED_MEMFD, d->device, d->inode, d->path);
        if (!o) { c->unsupported_count += d->kind == CKPT_DESCRIPTOR_MEMFD; continue; }
        struct ckpt_stat stat = {.mode = d->mode, .byte_count = (int64_t)d->byte_count,
            .modified = {d->modified_ns / 1000000000, d->modified_ns % 1000000000}};
        if (o->shared.kind != CKPT_SHARED_FILE) see_descriptor(c, o, d->number, &stat);
        d->flags |= CKPT_DESCRIPTOR_OBJECT;
        d->detail = (uint32_t)(o - c->objects.all);
    }
    return 0;
}

int ckpt_capture_shared(struct ckpt_checkpoint *c) {
    struct ckpt_objects *objects = &c->objects;
    int error = begin_look(c);
    if (error == 0) error = see_descriptors(c);
    if (error == 0) error = place(c);
    if (error < 0) return error;
    // By address: an object that grew out of its place comes behind the others.
    c->shared = ckpt_take(&c->tables, 0);
    c->shared_count = 0;
    for (uint64_t last = 0;;) {
        struct ckpt_object *next = NULL;
        for (uint32_t i = 0; i < objects->count; i++) {
            struct ckpt_object *o = &objects->all[i];
            if (o->seen == objects->look && o->shared.address > last && (!next || o->shared.address < next->shared.address)) next = o;
        }
        if (!next) break;
        last = next->shared.address;
        struct ckpt_shared *record = ckpt_extend(&c->tables, sizeof *record);
        if (!record) { c->step = CKPT_STEP_ARENA; return -CKPT_ENOMEM; }
        *record = next->shared;
        next->index = c->shared_count++;
        uint64_t byte_count = (record->byte_count + CKPT_PAGE_SIZE - 1) & ~(uint64_t)(CKPT_PAGE_SIZE - 1);
        if (record->flags & CKPT_SHARED_WITH_OTHERS) c->unsupported_count++;
        // Room was left there (capture_mapping.c).
        c->mappings[c->mapping_count++] = (struct ckpt_mapping){
            .start = last, .end = last + (byte_count ? byte_count : CKPT_PAGE_SIZE), .kind = CKPT_MAPPING_OBJECT, .protection = 3,
            .flags = CKPT_MAPPING_SHARED, .name = record->name, .device = record->device, .inode = record->inode};
    }
    for (uint32_t i = 0; i < c->mapping_count; i++) {
        struct ckpt_mapping *m = &c->mappings[i];
        if (m->object) m->object = 1 + objects->all[m->object - 1].index;
        else if (m->kind == CKPT_MAPPING_SHARED_ANONYMOUS || m->kind == CKPT_MAPPING_SHARED_FILE) c->unsupported_count++;
    }
    for (uint32_t i = 0; i < c->descriptor_count; i++)
        if (c->descriptors[i].flags & CKPT_DESCRIPTOR_OBJECT) c->descriptors[i].detail = objects->all[c->descriptors[i].detail].index;
    return 0;
}

void ckpt_close_objects(struct ckpt_checkpoint *c) {
    for (uint32_t i = 0; i < c->objects.count; i++) if (c->objects.all[i].descriptor >= 0) ckpt_close(c->objects.all[i].descriptor);
    c->objects.count = 0;
}
