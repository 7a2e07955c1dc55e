// SPDX-License-Identifier: Apache-2.0
// Working directory, umask, and an open directory with its position.
#include "fixture.h"
#include <dirent.h>

int main(void) {
    fixture_begin();
    need(mkdir("below", 0700) == 0 && mkdir("below/deeper", 0700) == 0);
    need(chdir("below/deeper") == 0);
    for (int i = 0; i < 5; i++) {
        char name[32];
        snprintf(name, sizeof name, "entry-%d", i);
        close(open(name, O_CREAT | O_WRONLY, 0600));
    }
    umask(027);
    int directory = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int path = open("..", O_PATH);
    need(directory >= 0 && path >= 0);
    close(path);

    fixture_checkpoint_here();

    char found[PATH_MAX];
    char *name = getcwd(found, sizeof found) ? strstr(found, "below/deeper") : NULL;
    fact("the directory is %s", name ? name : "another");
    close(open("created", O_CREAT | O_WRONLY, 0666));
    struct stat status;
    fact_that(stat("created", &status) == 0);
    fact("its mode is %o", status.st_mode & 0777);
    fact_that(fstatat(directory, "entry-3", &status, 0) == 0);
    fact("close-on-exec: %d", fcntl(directory, F_GETFD));
    DIR *stream = fdopendir(directory);
    int count = 0;
    for (struct dirent *entry; stream && (entry = readdir(stream)); ) count += strncmp(entry->d_name, "entry-", 6) == 0;
    fact("%d entries", count);
    fact_that(access("../../release", F_OK) == 0);
    return 0;
}
