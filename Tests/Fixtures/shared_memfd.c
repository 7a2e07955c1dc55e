// SPDX-License-Identifier: Apache-2.0
// Files in memory (memfd_create): with descriptors, mappings, both, or neither of one kind; sealed, sparse, empty.
#include "fixture.h"

#define MIB (1024 * 1024)

static int make(const char *name, off_t byte_count) {
    int file = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    need(file >= 0 && ftruncate(file, byte_count) == 0);
    return file;
}

static char *map(int file, size_t byte_count, int protection, off_t offset) {
    char *start = mmap(NULL, byte_count, protection, MAP_SHARED, file, offset);
    need(start != MAP_FAILED);
    return start;
}

static void print_link(const char *what, int file) {
    char path[64], name[256];
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    ssize_t length = readlink(path, name, sizeof name - 1);
    name[length > 0 ? length : 0] = 0;
    struct stat status = {0};
    fstat(file, &status);
    fact("%s: %s, %ld bytes, mode %o, seals %d, descriptor flags %d", what, name, (long)status.st_size, status.st_mode, fcntl(file, F_GET_SEALS), fcntl(file, F_GETFD));
}

static int is_refused(int file) { return ftruncate(file, 123) == -1 && errno == EPERM; }

int main(void) {
    fixture_begin();
    int both = make("both", MIB);
    char *first = map(both, MIB, PROT_READ | PROT_WRITE, 0), *second = map(both, MIB / 2, PROT_READ, MIB / 2);
    fill(first, MIB, 1);
    int same = dup(both), other = open("/proc/self/fd/3", O_RDONLY); // 3 is the lowest free number, as in each run
    need(same >= 0 && both == 3 && other >= 0);
    need(lseek(both, 1000, SEEK_SET) == 1000 && lseek(other, 2000, SEEK_SET) == 2000);

    int alone = make("alone", 100001);
    static char block[100001];
    fill(block, sizeof block, 2);
    need(pwrite(alone, block, sizeof block, 0) == sizeof block && fchmod(alone, 0600) == 0);

    int closed = make("closed", MIB);
    char *mapped = map(closed, MIB, PROT_READ | PROT_WRITE, 0);
    fill(mapped, MIB, 3);
    need(close(closed) == 0);

    int sealed = make("sealed", 8192);
    need(pwrite(sealed, "for ever", 8, 4096) == 8);
    need(fcntl(sealed, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0);
    int reader = open("/proc/self/fd/7", O_RDONLY);
    need(sealed == 7 && reader >= 0);
    char *sealed_view = map(reader, 8192, PROT_READ, 0);

    int future = make("future", 8192);
    char *still = map(future, 8192, PROT_READ | PROT_WRITE, 0);
    need(fcntl(future, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) == 0);

    int sparse = make("sparse", 64l << 30), empty = make("empty", 0), plain = memfd_create("plain", 0);
    need(pwrite(sparse, "far away", 8, 63l << 30) == 8);
    need(plain >= 0);

    fixture_checkpoint_here();

    fact_that(is_filled(first, MIB, 1) && is_filled(second, MIB / 2, 1 + MIB / 16));
    first[MIB / 2] = 'x';
    char found[64] = "";
    fact_that(second[0] == 'x' && pread(other, found, 1, MIB / 2) == 1 && found[0] == 'x');
    fact_that(pwrite(same, "y", 1, 0) == 1 && first[0] == 'y');
    fact_that(lseek(both, 0, SEEK_CUR) == 1000 && lseek(other, 0, SEEK_CUR) == 2000);
    fact_that(lseek(same, 10, SEEK_CUR) == 1010 && lseek(both, 0, SEEK_CUR) == 1010);
    fact_that(write(other, "no", 2) == -1 && errno == EBADF);
    print_link("both", both);
    static char copy[100001];
    fact_that(pread(alone, copy, sizeof copy, 0) == sizeof copy && memcmp(copy, block, sizeof copy) == 0);
    print_link("alone", alone);
    fact_that(is_filled(mapped, MIB, 3));
    fact_that(memcmp(sealed_view + 4096, "for ever", 8) == 0 && is_zero(sealed_view, 4096));
    fact_that(pwrite(sealed, "no", 2, 0) == -1 && errno == EPERM && is_refused(sealed));
    fact_that(mprotect(sealed_view, 8192, PROT_READ | PROT_WRITE) == -1 && errno == EACCES);
    print_link("sealed", sealed);
    still[1] = 'w';
    fact_that(pread(future, found, 2, 0) == 2 && found[1] == 'w');
    fact_that(pwrite(future, "no", 2, 0) == -1 && errno == EPERM);
    print_link("future", future);
    memset(found, 0, sizeof found);
    fact_that(pread(sparse, found, 8, 63l << 30) == 8 && strcmp(found, "far away") == 0);
    struct stat status;
    fact_that(fstat(sparse, &status) == 0 && status.st_blocks == 8);
    print_link("sparse", sparse);
    print_link("empty", empty);
    print_link("plain", plain);
    fact_that(ftruncate(both, 2 * MIB) == 0);
    fact_that(pwrite(empty, "not any more", 12, 0) == 12 && fcntl(empty, F_ADD_SEALS, F_SEAL_SHRINK) == 0 && is_refused(empty) == 0);
    return 0;
}
