// SPDX-License-Identifier: Apache-2.0
// Private mappings: anonymous, without access but with content, of a file, executable, sparse; and their advice.
#include "fixture.h"

#define MIB (1024 * 1024)
static const char constant[] = "read-only data of the program";
static int initialised = 7, zeroed;

// VmFlags of the mapping that holds this address.
static int has_flag(void *address, const char *flag) {
    FILE *smaps = fopen("/proc/self/smaps", "r");
    if (!smaps) return -1;
    char line[512], pattern[8];
    snprintf(pattern, sizeof pattern, " %s", flag);
    int inside = 0, found = 0;
    while (fgets(line, sizeof line, smaps)) {
        unsigned long start, end;
        if (sscanf(line, "%lx-%lx ", &start, &end) == 2) inside = start <= (unsigned long)address && (unsigned long)address < end;
        else if (inside && strncmp(line, "VmFlags:", 8) == 0) found = strstr(line, pattern) != NULL;
    }
    fclose(smaps);
    return found;
}

static size_t resident_pages(void *start, size_t byte_count) {
    static unsigned char vector[256 * MIB / 4096];
    if (mincore(start, byte_count, vector) != 0) return 0;
    size_t count = 0;
    for (size_t i = 0; i < byte_count / 4096; i++) count += vector[i] & 1;
    return count;
}

static void *map(size_t byte_count, int protection) {
    void *start = mmap(NULL, byte_count, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    need(start != MAP_FAILED);
    return start;
}

int main(void) {
    fixture_begin();
    char *plain = map(3 * MIB, PROT_READ | PROT_WRITE);
    fill(plain, 3 * MIB, 1);
    char *closed = map(MIB, PROT_READ | PROT_WRITE);
    fill(closed, MIB, 2);
    need(mprotect(closed, MIB, PROT_NONE) == 0);
    char *readable = map(MIB, PROT_READ | PROT_WRITE);
    fill(readable, MIB, 3);
    need(mprotect(readable, MIB, PROT_READ) == 0);
    char *sparse = map(256 * MIB, PROT_READ | PROT_WRITE);
    need(madvise(sparse, 256 * MIB, MADV_NOHUGEPAGE) == 0); // else a touched page may be 512 of them
    for (int i = 0; i < 16; i++) fill(sparse + (size_t)i * 16 * MIB + 4096 * i, 4096, 100 + i);
    char *touched = map(MIB, PROT_READ | PROT_WRITE);
    memset(touched, 0, MIB);
    char *untouched = map(64 * MIB, PROT_READ | PROT_WRITE);

    int data = open("data", O_RDWR | O_CREAT | O_TRUNC, 0600);
    need(data >= 0);
    fill(plain, 3 * MIB, 4);
    need(write(data, plain, 64 * 1024) == 64 * 1024);
    fill(plain, 3 * MIB, 1);
    char *file = mmap(NULL, 64 * 1024, PROT_READ | PROT_WRITE, MAP_PRIVATE, data, 0);
    need(file != MAP_FAILED);
    close(data);
    fill(file + 8192, 4096, 5);
    char before[4096];
    memcpy(before, file + 4096, sizeof before);

    unsigned char code[] = { 0xb8, 42, 0, 0, 0, 0xc3 };
    unsigned char *executable = map(4096, PROT_READ | PROT_WRITE);
    memcpy(executable, code, sizeof code);
    need(mprotect(executable, 4096, PROT_READ | PROT_EXEC) == 0);
    char *wiped = map(MIB, PROT_READ | PROT_WRITE);
    need(madvise(wiped, MIB, MADV_WIPEONFORK) == 0);
    fill(wiped, MIB, 6);
    char *unforked = map(MIB, PROT_READ | PROT_WRITE);
    need(madvise(unforked, MIB, MADV_DONTFORK) == 0);
    fill(unforked, MIB, 7);
    initialised = 8;
    zeroed = 9;

    fixture_checkpoint_here();

    fact_that(is_filled(plain, 3 * MIB, 1));
    need(mprotect(closed, MIB, PROT_READ) == 0);
    fact_that(is_filled(closed, MIB, 2));
    fact_that(is_filled(readable, MIB, 3));
    need(mprotect(readable, MIB, PROT_READ | PROT_WRITE) == 0);
    readable[0] = 1;
    fact("sparse: %zu pages are resident", resident_pages(sparse, 256 * MIB));
    int sparse_is_right = 1;
    for (int i = 0; i < 16; i++) sparse_is_right &= is_filled(sparse + (size_t)i * 16 * MIB + 4096 * i, 4096, 100 + i);
    fact_that(sparse_is_right);
    fact_that(is_zero(sparse + 4 * MIB, MIB));
    fact_that(is_zero(touched, MIB));
    fact("untouched: %zu pages are resident", resident_pages(untouched, 64 * MIB));
    fact_that(is_filled(file + 8192, 4096, 5));
    fact_that(memcmp(before, file + 4096, 4096) == 0);
    file[4096] ^= 1;
    fact_that(memcmp(before, file + 4096, 4096) != 0);
    fact("the code in memory returns %d", ((int (*)(void))executable)());
    fact_that(is_filled(wiped, MIB, 6));
    fact_that(is_filled(unforked, MIB, 7));
    fact("wipe on fork: %d", has_flag(wiped, "wf"));
    fact("do not fork: %d", has_flag(unforked, "dc"));
    fact("%s; %d, %d", constant, initialised, zeroed);
    need(munmap(plain + MIB, MIB) == 0);
    fact_that(is_filled(plain, MIB, 1));
    char *moved = mremap(plain + 2 * MIB, MIB, 5 * MIB, MREMAP_MAYMOVE);
    fact_that(moved != MAP_FAILED && moved[MIB] == 0 && moved[5 * MIB - 1] == 0);
    return 0;
}
