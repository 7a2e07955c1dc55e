// SPDX-License-Identifier: Apache-2.0
// A file that is deleted while it is open: nobody else can bring its content.
#include "fixture.h"

int main(void) {
    fixture_begin();
    int file = open("temporary", O_CREAT | O_RDWR | O_EXCL, 0600), unnamed = open(".", O_TMPFILE | O_RDWR, 0600);
    need(file >= 0 && unnamed >= 0);
    static char block[100000];
    fill(block, sizeof block, 3);
    need(write(file, block, sizeof block) == sizeof block && write(unnamed, "without a name", 14) == 14);
    need(lseek(file, 5000, SEEK_SET) == 5000 && unlink("temporary") == 0);
    fixture_checkpoint_here();
    char found[64] = "";
    static char again[100000];
    fact_that(lseek(file, 0, SEEK_CUR) == 5000);
    fact_that(pread(file, again, sizeof again, 0) == sizeof again && is_filled(again, sizeof again, 3));
    fact_that(pread(unnamed, found, sizeof found, 0) == 14 && strcmp(found, "without a name") == 0);
    fact_that(write(file, "more", 4) == 4 && access("temporary", F_OK) != 0);
    struct stat status;
    fact_that(fstat(file, &status) == 0 && status.st_nlink == 0 && status.st_size == sizeof block);
    return 0;
}
