// SPDX-License-Identifier: Apache-2.0
// Facts of this process for plan time: rseq, build id, a thread's own counters, the ring of reports, texts.
#define _GNU_SOURCE
#include "ckpt_process.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <link.h>
#include <malloc.h>
#include <string.h>
#include <sys/prctl.h>

extern const ptrdiff_t __rseq_offset __attribute__((weak));
extern const unsigned int __rseq_size __attribute__((weak));

uint32_t ckpt_rseq(uint64_t *offset) {
    if (&__rseq_size == NULL || &__rseq_offset == NULL || __rseq_size == 0) return 0;
    *offset = (uint64_t)__rseq_offset;
    // Kernel: glibc registers 32 bytes (the original size of struct rseq) and more only when the kernel asks for more
    // by AT_RSEQ_FEATURE_SIZE; __rseq_size is the active size, which may be 20 (glibc 2.40 and newer).
    return __rseq_size > 32 ? (uint32_t)__rseq_size : 32;
}

// valgrind takes these rotations, which together change nothing, for a question (its manual, "The Client Request mechanism"): rax
// points to the request and its arguments, rdx gets the answer. 0x1001 asks how deep valgrind runs under itself.
_Bool ckpt_is_under_valgrind(void) {
    volatile uint64_t request[6] = {0x1001};
    uint64_t answer = 0;
    __asm__ volatile("rolq $3, %%rdi\n\trolq $13, %%rdi\n\trolq $61, %%rdi\n\trolq $51, %%rdi\n\txchgq %%rbx, %%rbx"
                     : "+d"(answer) : "a"(request) : "cc", "memory", "rdi");
    return answer != 0;
}

static _Bool is_build_id(const ElfW(Nhdr) *note) {
    return note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 && note->n_descsz <= 20
        && memcmp(note + 1, "GNU", 4) == 0;
}

static int find_build_id(struct dl_phdr_info *object, size_t size, void *context) {
    (void)size;
    struct { uint8_t *bytes; uint32_t byte_count; } *found = context;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &object->dlpi_phdr[i];
        if (header->p_type != PT_NOTE) continue;
        uintptr_t at = object->dlpi_addr + header->p_vaddr, end = at + header->p_memsz;
        uintptr_t alignment = header->p_align == 8 ? 8 : 4;
        while (at + sizeof(ElfW(Nhdr)) <= end) {
            const ElfW(Nhdr) *note = (const ElfW(Nhdr) *)at;
            uintptr_t content = (at + sizeof *note + note->n_namesz + alignment - 1) & ~(alignment - 1);
            if (content + note->n_descsz > end) break;
            if (is_build_id(note)) {
                memcpy(found->bytes, (const void *)content, note->n_descsz);
                found->byte_count = note->n_descsz;
                return 1;
            }
            at = (content + note->n_descsz + alignment - 1) & ~(alignment - 1);
        }
    }
    return 1; // The first object is the executable: do not go on to the libraries.
}

uint32_t ckpt_executable_build_id(uint8_t build_id[20]) {
    struct { uint8_t *bytes; uint32_t byte_count; } found = { build_id, 0 };
    dl_iterate_phdr(find_build_id, &found);
    return found.byte_count;
}

_Bool ckpt_live_report(const struct ckpt_live *live, uint64_t index, struct ckpt_report *copy) {
    if (ckpt_live_report_count(live) <= index) return 0;
    *copy = live->reports[index % CKPT_REPORT_RING];
    copy->path[CKPT_PATH_BYTES - 1] = 0;
    // Order: copy before this look at the count, because the scribe writes an entry before it counts it. Entry `index`
    // is written again once `report_count` has reached index + CKPT_REPORT_RING.
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return ckpt_live_report_count(live) < index + CKPT_REPORT_RING;
}

const char *ckpt_live_restart_environment(const struct ckpt_live *live, uint32_t index) {
    const char *at = live->restart.environment, *end = at + live->restart.environment_byte_count;
    if (live->restart.environment_byte_count > CKPT_ENVIRONMENT_BYTES) return NULL;
    while (at < end) {
        size_t byte_count = strnlen(at, (size_t)(end - at));
        if (at + byte_count == end) return NULL;
        if (index-- == 0) return at;
        at += byte_count + 1;
    }
    return NULL;
}

const char *ckpt_live_restart_value(const struct ckpt_live *live, const char *name) {
    size_t byte_count = strlen(name);
    const char *entry;
    for (uint32_t i = 0; (entry = ckpt_live_restart_environment(live, i)) != NULL; i++)
        if (strncmp(entry, name, byte_count) == 0 && entry[byte_count] == '=') return entry + byte_count + 1;
    return NULL;
}

static _Thread_local uint32_t deferral_depth;
static _Thread_local _Bool in_hook;
uint32_t ckpt_thread_deferral_depth(void) { return deferral_depth; }
void ckpt_thread_change_deferral_depth(int32_t change) { deferral_depth += (uint32_t)change; }
_Bool ckpt_thread_is_in_hook(void) { return in_hook; }
void ckpt_thread_set_in_hook(_Bool is_in_hook) { in_hook = is_in_hook; }

void ckpt_thread_set_name(const char *name) { prctl(PR_SET_NAME, name); }
const char *ckpt_invocation_name(void) { return program_invocation_short_name; }

const char *ckpt_library_path(void) {
    Dl_info object;
    return dladdr((void *)ckpt_library_path, &object) != 0 ? object.dli_fname : NULL;
}

void ckpt_trim_heap(void) { malloc_trim(0); }

const char *ckpt_error_text(int error) {
    switch (error) {
    case 0: return "success";
#define X(name, value, text) case value: return text;
    CKPT_ERROR_LIST(X)
#undef X
    default: return NULL;
    }
}

const char *ckpt_step_text(uint32_t step) {
    switch (step) {
#define X(name, text) case CKPT_STEP_##name: return text;
    CKPT_STEP_LIST(X)
#undef X
    default: return NULL;
    }
}

void ckpt_errno_text(int error, char *text, size_t byte_count) {
    char buffer[128];
    const char *known = strerror_r(error, buffer, sizeof buffer); // the GNU one: may or may not use the buffer
    strncpy(text, known, byte_count - 1);
    text[byte_count - 1] = 0;
}
