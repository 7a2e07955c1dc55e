// SPDX-License-Identifier: Apache-2.0
// Standard streams come from who restarts the program, unless it has opened something of its own there. Argument:
// inherited (facts on standard output, a duplicate of it too), own (a file as standard output), closed (all three).
// Facts of the last two go to the file `facts`.
#include "fixture.h"

int main(int count, char **arguments) {
    const char *kind = count > 1 ? arguments[1] : "inherited";
    if (strcmp(kind, "inherited") != 0) {
        fixture_output = fcntl(open("facts", O_CREAT | O_WRONLY | O_APPEND, 0600), F_DUPFD_CLOEXEC, 10);
        need(fixture_output >= 10 && fcntl(10, F_GETFD) >= 0);
    }
    if (strcmp(kind, "closed") == 0) { for (int i = 0; i < fixture_output; i++) close(i); }
    fixture_begin();
    int same = -1;
    if (strcmp(kind, "own") == 0) {
        int own = open("mine", O_CREAT | O_WRONLY | O_APPEND, 0600);
        need(dup2(own, 1) == 1);
        close(own);
        printf("before; ");
        fflush(stdout);
    } else if (strcmp(kind, "inherited") == 0) {
        same = fcntl(1, F_DUPFD_CLOEXEC, 50);
        need(same >= 50);
    }
    fixture_checkpoint_here();
    if (strcmp(kind, "inherited") == 0) {
        printf("through stdio\n");
        fflush(stdout);
        dprintf(same, "through the duplicate\n");
        dprintf(2, "on standard error\n");
        char text[64] = "";
        ssize_t length = read(0, text, sizeof text - 1);
        fact("standard input: %zd: %s", length, text);
    } else if (strcmp(kind, "own") == 0) {
        printf("after");
        fflush(stdout);
        char text[64] = "";
        int file = open("mine", O_RDONLY);
        need(read(file, text, sizeof text - 1) > 0);
        close(file);
        fact("%s", text);
    } else {
        for (int i = 0; i < 3; i++) fact_that(fcntl(i, F_GETFD) < 0 && errno == EBADF);
        int opened = open("facts", O_RDONLY);
        fact("the next file gets number %d", opened);
    }
    return 0;
}
