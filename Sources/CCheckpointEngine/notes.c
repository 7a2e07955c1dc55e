// SPDX-License-Identifier: Apache-2.0
// Writes what makes the file an ELF core file: notes, program headers, and last the ELF header.
// Signal time: safe. Runs in the copy-on-write child (and, for a survey, in memory only); builds in the arena.
#include "engine.h"
#include "ckpt/crc32c.h"

#define NT_PRSTATUS 1
#define NT_FPREGSET 2
#define NT_PRPSINFO 3
#define NT_AUXV 6
#define NT_FILE 0x46494c45
#define NT_X86_XSTATE 0x202
#define PT_LOAD 1
#define PT_NOTE 4
#define PN_XNUM 0xffff

struct elf_header {
    uint8_t ident[16];
    uint16_t type, machine; uint32_t version;
    uint64_t entry, program_headers, section_headers;
    uint32_t flags;
    uint16_t byte_count, program_header_byte_count, program_header_count, section_header_byte_count, section_header_count, names;
};
struct elf_program_header { uint32_t type, flags; uint64_t offset, address, physical, file_byte_count, memory_byte_count, align; };
struct elf_section_header { uint32_t name, type; uint64_t flags, address, offset, byte_count; uint32_t link, info; uint64_t align, entry_byte_count; };
_Static_assert(sizeof(struct elf_header) == 64 && sizeof(struct elf_program_header) == 56 && sizeof(struct elf_section_header) == 64, "ELF");

// Kernel: struct elf_prstatus and elf_prpsinfo of x86-64 (include/linux/elfcore.h).
struct prstatus {
    int32_t signal[3]; int16_t current; uint64_t pending, held;
    int32_t pid, parent, group, session;
    uint64_t times[8];
    uint64_t registers[27];
    int32_t has_fp, pad;
};
struct prpsinfo {
    char state, state_name, zombie, nice; uint64_t flags; uint32_t uid, gid; int32_t pid, parent, group, session;
    char name[16], arguments[80];
};
_Static_assert(sizeof(struct prstatus) == 336 && sizeof(struct prpsinfo) == 136, "elfcore.h");

// Order of struct user_regs_struct, as indices into the registers of the signal frame (r8 … r15 rdi rsi rbp rbx rdx rax rcx
// rsp rip eflags cs/gs/fs/ss); -1: not there.
static const int8_t order_of_frame[27] = {7, 6, 5, 4, 10, 11, 3, 2, 1, 0, 13, 14, 12, 9, 8, -2, 16, -3, 17, 15, -4, -5, -6, -1, -1, -1, -1};

static uint8_t *note(struct ckpt_checkpoint *c, const char *owner, uint32_t type, uint64_t byte_count) {
    uint32_t owner_byte_count = (uint32_t)ckpt_length(owner) + 1;
    uint64_t padded = (byte_count + 3) & ~3ull;
    uint8_t *at = ckpt_extend(&c->tables, 12 + 8 + padded);
    if (!at) { c->step = CKPT_STEP_ARENA; return NULL; }
    uint32_t *header = (uint32_t *)at;
    header[0] = owner_byte_count;
    header[1] = (uint32_t)byte_count;
    header[2] = type;
    ckpt_memset(at + 12, 0, 8);
    ckpt_memcpy(at + 12, owner, owner_byte_count);
    ckpt_memset(at + 20 + byte_count, 0, padded - byte_count);
    return at + 20;
}

static int table(struct ckpt_checkpoint *c, uint32_t type, const void *records, uint32_t record_size, uint32_t count) {
    uint8_t *at = note(c, CKPT_NOTE_OWNER, type, sizeof(struct ckpt_table) + (uint64_t)record_size * count);
    if (!at) return -CKPT_ENOMEM;
    *(struct ckpt_table *)at = (struct ckpt_table){1, record_size, count, 0};
    ckpt_memcpy(at + sizeof(struct ckpt_table), records, (uint64_t)record_size * count);
    return 0;
}

// The registers behind the signal frame.
static void fill_registers(struct prstatus *status, const struct ckpt_thread *thread, const uint64_t *frame) {
    // user_regs_struct: r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss fs_base gs_base ds es fs gs
    for (int i = 0; i < 27; i++) if (order_of_frame[i] >= 0) status->registers[i] = frame[order_of_frame[i]];
    status->registers[15] = ~0ull;
    status->registers[17] = frame[18] & 0xffff;
    status->registers[20] = (frame[18] >> 48) & 0xffff;
    status->registers[21] = thread->fs_base;
    status->registers[22] = thread->gs_base;
    status->held = thread->signal_mask;
    status->pending = thread->pending_signals;
}

// The arguments with blanks between them, as ps shows them.
static void read_arguments(struct ckpt_checkpoint *c, char *to, size_t byte_count) {
    uint64_t length = c->process.arg_end - c->process.arg_start;
    if (length >= byte_count) length = byte_count - 1;
    long memory = ckpt_open("/proc/self/mem", 02000000, 0);
    if (memory < 0) return;
    long got = ckpt_pread((int)memory, to, length, c->process.arg_start);
    for (long i = 0; i + 1 < got; i++) if (to[i] == 0) to[i] = ' ';
    ckpt_close((int)memory);
}

static int thread_notes(struct ckpt_checkpoint *c, uint32_t index, int first) {
    const struct ckpt_thread *thread = &c->threads[index];
    const struct ckpt_frame *frame = c->frozen ? &c->frames[index] : NULL;
    struct prstatus *status = (struct prstatus *)note(c, "CORE", NT_PRSTATUS, sizeof *status);
    if (!status) return -CKPT_ENOMEM;
    ckpt_memset(status, 0, sizeof *status);
    status->pid = thread->tid;
    status->parent = c->process.parent_pid;
    status->group = c->process.group;
    status->session = c->process.session;
    status->has_fp = 1;
    if (frame) fill_registers(status, thread, frame->registers);
    if (first) {
        struct prpsinfo *info = (struct prpsinfo *)note(c, "CORE", NT_PRPSINFO, sizeof *info);
        if (!info) return -CKPT_ENOMEM;
        ckpt_memset(info, 0, sizeof *info);
        info->state_name = 'R';
        info->uid = c->process.uid;
        info->gid = c->process.gid;
        info->pid = c->process.pid;
        info->parent = c->process.parent_pid;
        info->group = c->process.group;
        info->session = c->process.session;
        ckpt_memcpy(info->name, thread->name, sizeof info->name);
        read_arguments(c, info->arguments, sizeof info->arguments);
    }
    if (!frame || !frame->vector) return 0;
    uint8_t *legacy = note(c, "CORE", NT_FPREGSET, 512);
    if (!legacy) return -CKPT_ENOMEM;
    ckpt_memcpy(legacy, frame->vector, 512);
    uint32_t byte_count = frame->vector_byte_count;
    if (byte_count == 512) return 0;
    // Kernel: the frame may leave out trailing components that the thread has not used; a debugger wants the whole area.
    uint32_t whole = c->process.xsave_byte_count > byte_count ? c->process.xsave_byte_count : byte_count;
    // gdb 13 expects the size that the layout with protection keys has as soon as AVX-512 is there.
    if ((c->process.xfeatures & 0xe0) && whole < 2688) whole = 2688;
    uint8_t *state = note(c, "LINUX", NT_X86_XSTATE, whole);
    if (!state) return -CKPT_ENOMEM;
    ckpt_memset(state, 0, whole);
    ckpt_memcpy(state, frame->vector, byte_count);
    *(uint64_t *)(state + 464) = c->process.xfeatures; // where a core file says which features the host has
    return 0;
}

// NT_FILE: count, page size, then start, end, offset in pages for each; then the names.
static int file_note(struct ckpt_checkpoint *c) {
    uint64_t count = 0, names = 0;
    const char *strings = (const char *)c->strings.base;
    for (uint32_t i = 0; i < c->mapping_count; i++) {
        const struct ckpt_mapping *m = &c->mappings[i];
        if (!m->inode || m->kind == CKPT_MAPPING_BEACON || m->kind == CKPT_MAPPING_OBJECT) continue;
        count++;
        names += ckpt_length(strings + m->name) + 1;
    }
    uint8_t *at = note(c, "CORE", NT_FILE, 16 + count * 24 + names);
    if (!at) return -CKPT_ENOMEM;
    uint64_t *words = (uint64_t *)at;
    char *name = (char *)at + 16 + count * 24;
    *words++ = count;
    *words++ = CKPT_PAGE_SIZE;
    for (uint32_t i = 0; i < c->mapping_count; i++) {
        const struct ckpt_mapping *m = &c->mappings[i];
        if (!m->inode || m->kind == CKPT_MAPPING_BEACON || m->kind == CKPT_MAPPING_OBJECT) continue;
        *words++ = m->start;
        *words++ = m->end;
        *words++ = m->file_offset / CKPT_PAGE_SIZE;
        size_t length = ckpt_length(strings + m->name) + 1;
        ckpt_memcpy(name, strings + m->name, length);
        name += length;
    }
    return 0;
}

// The notes of an image, from the ident note on, in the tables' part. Returns where they begin.
uint8_t *ckpt_build_notes(struct ckpt_checkpoint *c, uint64_t *byte_count) {
    uint8_t *base = ckpt_take(&c->tables, 0);
    uint8_t *ident = base ? note(c, CKPT_NOTE_OWNER, CKPT_NOTE_IDENT, sizeof(struct ckpt_ident)) : NULL;
    if (!ident) return NULL;
    ckpt_memset(ident, 0, sizeof(struct ckpt_ident));
    int error = 0;
    for (uint32_t i = 0, first = 1; i < c->thread_count && error == 0; i++) {
        if (c->threads[i].flags & CKPT_THREAD_ENDED) continue;
        error = thread_notes(c, i, (int)first);
        if (first && error == 0) {
            first = 0;
            uint8_t *auxv = note(c, "CORE", NT_AUXV, c->auxv_byte_count);
            if (!auxv) return NULL;
            ckpt_memcpy(auxv, c->auxv, c->auxv_byte_count);
            error = file_note(c);
        }
    }
    if (error == 0) {
        uint8_t *process = note(c, CKPT_NOTE_OWNER, CKPT_NOTE_PROCESS, sizeof c->process);
        if (!process) return NULL;
        ckpt_memcpy(process, &c->process, sizeof c->process);
        uint8_t *processor = note(c, CKPT_NOTE_OWNER, CKPT_NOTE_PROCESSOR, sizeof c->processor);
        if (!processor) return NULL;
        ckpt_memcpy(processor, &c->processor, sizeof c->processor);
    }
#define TABLE(type, records, count) if (error == 0) error = table(c, type, records, sizeof *(records), count)
    TABLE(CKPT_NOTE_MAPPINGS, c->mappings, c->mapping_count);
    TABLE(CKPT_NOTE_RUNS, c->runs, c->run_count);
    TABLE(CKPT_NOTE_THREADS, c->threads, c->thread_count);
    TABLE(CKPT_NOTE_SCHEDULINGS, c->schedulings, c->scheduling_count);
    TABLE(CKPT_NOTE_LIMITS, c->limits, c->limit_count);
    TABLE(CKPT_NOTE_ATTRIBUTES, c->attributes, c->attribute_count);
    TABLE(CKPT_NOTE_SIGNALS, c->actions, c->action_count);
    TABLE(CKPT_NOTE_DESCRIPTORS, c->descriptors, c->descriptor_count);
    TABLE(CKPT_NOTE_PIPES, c->pipes, c->pipe_count);
    TABLE(CKPT_NOTE_EVENTFDS, c->eventfds, c->eventfd_count);
    TABLE(CKPT_NOTE_EPOLLS, c->epolls, c->epoll_count);
    TABLE(CKPT_NOTE_TIMERFDS, c->timerfds, c->timerfd_count);
    TABLE(CKPT_NOTE_BLOBS, c->blobs, c->blob_count);
    TABLE(CKPT_NOTE_SHARED, c->shared, c->shared_count);
    TABLE(CKPT_NOTE_GUARDS, c->guards, c->guard_count);
    TABLE(CKPT_NOTE_TIMERS, c->timers, c->timer_count);
    TABLE(CKPT_NOTE_ITIMERS, c->itimers, c->itimer_count);
    TABLE(CKPT_NOTE_SIGNALFDS, c->signalfds, c->signalfd_count);
    TABLE(CKPT_NOTE_QUEUED, c->queued, c->queued_count);
#undef TABLE
    uint8_t *strings = error == 0 ? note(c, CKPT_NOTE_OWNER, CKPT_NOTE_STRINGS, c->string_byte_count) : NULL;
    if (!strings) return NULL;
    ckpt_memcpy(strings, (const void *)c->strings.base, c->string_byte_count);
    *byte_count = c->tables.base + c->tables.used - (uint64_t)base;
    return base;
}

static void fill_program_headers(struct ckpt_checkpoint *c, struct elf_program_header *headers, uint64_t notes_offset, uint64_t notes_byte_count) {
    headers[0] = (struct elf_program_header){PT_NOTE, 4, notes_offset, 0, 0, notes_byte_count, 0, 4};
    for (uint32_t i = 0; i < c->segment_count; i++) {
        const struct ckpt_segment *s = &c->segments[i];
        uint32_t flags = (s->protection & 1 ? 4u : 0) | (s->protection & 2 ? 2u : 0) | (s->protection & 4 ? 1u : 0);
        headers[i + 1] = (struct elf_program_header){PT_LOAD, flags, s->file_offset, s->start, 0, s->file_byte_count, s->end - s->start, CKPT_PAGE_SIZE};
    }
}

int ckpt_write_notes(struct ckpt_checkpoint *c) {
    uint64_t notes_byte_count = 0;
    uint8_t *notes = ckpt_build_notes(c, &notes_byte_count);
    if (!notes) { c->step = CKPT_STEP_ARENA; return -CKPT_ENOMEM; }
    // The tail of the file: notes, program headers, section header 0 when there are too many of them; whole pages.
    uint32_t header_count = c->segment_count + 1;
    int many = header_count >= PN_XNUM;
    uint64_t padding = -notes_byte_count & 7, headers_byte_count = (uint64_t)header_count * sizeof(struct elf_program_header);
    uint64_t tail_byte_count = notes_byte_count + padding + headers_byte_count + (many ? sizeof(struct elf_section_header) : 0);
    uint64_t tail_pages = (tail_byte_count + CKPT_PAGE_SIZE - 1) & ~(uint64_t)(CKPT_PAGE_SIZE - 1);
    uint8_t *rest = ckpt_extend(&c->tables, tail_pages - notes_byte_count + 2 * CKPT_PAGE_SIZE);
    if (!rest) { c->step = CKPT_STEP_ARENA; return -CKPT_ENOMEM; }
    ckpt_memset(rest, 0, tail_pages - notes_byte_count);
    struct elf_program_header *headers = (struct elf_program_header *)(rest + padding);
    fill_program_headers(c, headers, c->file_end, notes_byte_count);
    struct elf_header elf = {
        .ident = {0x7f, 'E', 'L', 'F', 2, 1, 1}, .type = 4 /* ET_CORE */, .machine = 62, .version = 1,
        .program_headers = c->file_end + notes_byte_count + padding, .byte_count = 64, .program_header_byte_count = 56,
        .program_header_count = many ? PN_XNUM : (uint16_t)header_count,
    };
    if (many) {
        // System V ABI, "Number of program headers": e_phnum PN_XNUM, the count in sh_info of section header 0.
        struct elf_section_header *section = (struct elf_section_header *)((uint8_t *)headers + headers_byte_count);
        section->info = header_count;
        elf.section_headers = elf.program_headers + headers_byte_count;
        elf.section_header_byte_count = sizeof *section;
        elf.section_header_count = 1;
    }
    struct ckpt_ident *ident = (struct ckpt_ident *)(notes + 20);
    *ident = c->ident;
    ident->file_byte_count = c->file_end + tail_pages;
    ident->notes_offset = c->file_end;
    ident->notes_byte_count = notes_byte_count;
    ident->program_headers_offset = elf.program_headers;
    ident->program_header_count = header_count;
    ident->elf_header_crc = ckpt_crc32c(0, &elf, sizeof elf);
    ident->program_headers_crc = ckpt_crc32c(0, headers, headers_byte_count + (many ? sizeof(struct elf_section_header) : 0));
    const uint64_t ident_note = 20 + sizeof *ident;
    ident->notes_crc = ckpt_crc32c(0, notes + ident_note, notes_byte_count - ident_note);
    ident->ident_crc = 0;
    ident->ident_crc = ckpt_crc32c(0, notes, ident_note);
    // Order: the ELF header is put last; without it the file is nothing.
    uint8_t *first = (uint8_t *)(ckpt_arena + CKPT_BOUNCE_OFFSET);
    ckpt_memset(first, 0, CKPT_PAGE_SIZE);
    ckpt_memcpy(first, &elf, sizeof elf);
    if (c->sink >= 0) {
        int error = ckpt_output_flush(c);
        return error < 0 ? error : ckpt_sink_finish(c, notes, tail_pages, c->file_end, first);
    }
    int error = ckpt_output_put(c, notes, tail_pages, c->file_end);
    return error < 0 ? error : ckpt_output_put(c, first, CKPT_PAGE_SIZE, 0);
}
