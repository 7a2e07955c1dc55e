// SPDX-License-Identifier: Apache-2.0
// Files that are deleted while they are mapped shared: on disk, and in /dev/shm (shm_open).
#include "fixture.h"

#define BYTES (256 * 1024)

int main(void) {
    fixture_begin();
    int file = open("temporary", O_CREAT | O_RDWR | O_EXCL, 0640);
    need(file >= 0 && ftruncate(file, BYTES + 100) == 0);
    char *mapped = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    char *view = mmap(NULL, BYTES / 2, PROT_READ, MAP_SHARED, file, BYTES / 2);
    need(mapped != MAP_FAILED && view != MAP_FAILED);
    fill(mapped, BYTES, 1);
    need(pwrite(file, "behind the mapping", 18, BYTES) == 18 && lseek(file, 77, SEEK_SET) == 77 && unlink("temporary") == 0);

    char name[64];
    snprintf(name, sizeof name, "/ckpt-fixture-%d", getpid());
    int object = shm_open(name, O_CREAT | O_RDWR | O_EXCL, 0600);
    need(object >= 0 && ftruncate(object, BYTES) == 0);
    char *shared = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, object, 0);
    need(shared != MAP_FAILED && shm_unlink(name) == 0 && close(object) == 0);
    fill(shared, BYTES, 2);

    fixture_checkpoint_here();

    fact_that(is_filled(mapped, BYTES, 1) && is_filled(view, BYTES / 2, 1 + BYTES / 16));
    mapped[BYTES / 2] = 'x';
    char found[32] = "";
    fact_that(view[0] == 'x' && pread(file, found, 1, BYTES / 2) == 1 && found[0] == 'x');
    fact_that(pwrite(file, "y", 1, 3) == 1 && mapped[3] == 'y');
    fact_that(pread(file, found, 30, BYTES) == 30 && memcmp(found, "behind the mapping", 18) == 0);
    struct stat status;
    fact_that(fstat(file, &status) == 0 && status.st_nlink == 0 && status.st_size == BYTES + 100 && (status.st_mode & 0777) == 0640);
    fact_that(lseek(file, 0, SEEK_CUR) == 77 && access("temporary", F_OK) != 0);
    fact_that(is_filled(shared, BYTES, 2));
    shared[0] = 1;
    return 0;
}
