// SPDX-License-Identifier: Apache-2.0
// Files that are mapped shared and writable: one with a descriptor, a part of one without, one in /dev/shm. The program goes on
// writing behind the checkpoint; a restarted one finds what was there at it.
#include "fixture.h"

#define BYTES (256 * 1024)
static char whole[BYTES];

int main(void) {
    fixture_begin();
    int file = open("mapped", O_CREAT | O_RDWR | O_TRUNC, 0640);
    need(file >= 0 && ftruncate(file, BYTES) == 0);
    char *mapped = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0), *again = mmap(NULL, 8192, PROT_READ, MAP_SHARED, file, 4096);
    need(mapped != MAP_FAILED && again != MAP_FAILED && lseek(file, 99, SEEK_SET) == 99);
    fill(mapped, BYTES - 8192, 1);

    int written = open("written", O_CREAT | O_RDWR | O_TRUNC, 0600); // through the descriptor alone
    need(written >= 0 && ftruncate(written, BYTES) == 0);
    char *seen = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, written, 0);
    need(seen != MAP_FAILED && pwrite(written, "here", 4, 5000) == 4);

    int part = open("part", O_CREAT | O_RDWR | O_TRUNC, 0600);
    fill(whole, BYTES, 2);
    need(part >= 0 && write(part, whole, BYTES) == BYTES);
    char *middle = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, part, 65536);
    need(middle != MAP_FAILED && close(part) == 0);
    middle[5] = 'm';

    char name[64];
    snprintf(name, sizeof name, "/ckpt-fixture-file-%d", getpid());
    int object = shm_open(name, O_CREAT | O_RDWR | O_EXCL, 0600);
    need(object >= 0 && ftruncate(object, BYTES) == 0);
    char *shared = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, object, 0);
    need(shared != MAP_FAILED);
    fill(shared, BYTES, 3);

    int is_right = 1;
    fact("READY");
    for (unsigned turn = 1; access(fixture_release, F_OK) != 0; turn++) {
        mknod(fixture_alive, S_IFREG | 0600, 0);
        // What was written since the checkpoint, in a run that is killed, is not there in the one that is restarted.
        volatile unsigned *words[3] = {(unsigned *)(shared + 4096), (unsigned *)(middle + 4096), (unsigned *)(mapped + BYTES - 4096)};
        for (int i = 0; i < 3; i++) {
            if (turn > 1 && *words[i] != turn - 1) is_right = 0;
            *words[i] = turn;
        }
        fixture_sleep(1);
    }

    fact_that(is_filled(mapped, BYTES - 8192, 1) && is_filled(again, 8192, 1 + 512) && is_zero(mapped + BYTES - 8192, 4096));
    fact_that(is_right);
    mapped[4096] = 'x';
    char found[8] = "";
    fact_that(again[0] == 'x' && pread(file, found, 1, 4096) == 1 && found[0] == 'x' && lseek(file, 0, SEEK_CUR) == 99);
    fact_that(memcmp(seen + 5000, "here", 4) == 0 && pwrite(written, "there", 5, 6000) == 5 && memcmp(seen + 6000, "there", 5) == 0);
    struct stat status;
    fact_that(fstat(file, &status) == 0 && status.st_nlink == 1 && status.st_size == BYTES);
    part = open("part", O_RDONLY);
    static char now[BYTES];
    fact_that(read(part, now, BYTES) == BYTES && memcmp(now, whole, 65536) == 0 && now[65536 + 5] == 'm');
    fact_that(memcmp(now + 65536 + 8192, whole + 65536 + 8192, BYTES - 65536 - 8192) == 0);
    shared[0] = 'y';
    fact_that(is_filled(shared + 8192, BYTES - 8192, 3 + 1024) && pread(object, found, 1, 0) == 1 && found[0] == 'y');
    fact_that(shm_unlink(name) == 0);
    return 0;
}
