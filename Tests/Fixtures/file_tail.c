// SPDX-License-Identifier: Apache-2.0
// A program that appends line after line: however often it is stopped and restarted, each line is there once.
#include "fixture.h"

int main(void) {
    fixture_begin();
    int log = open("log", O_CREAT | O_WRONLY | O_APPEND, 0600);
    int out = open("result", O_CREAT | O_WRONLY | O_TRUNC, 0600);
    need(log >= 0 && out >= 0);
    dprintf(log, "before\n");
    dprintf(out, "before\n");
    fixture_checkpoint_here();
    for (int i = 0; i < 100; i++) { dprintf(log, "line %d\n", i); dprintf(out, "line %d\n", i); }
    struct stat status;
    fstat(log, &status);
    fact("the log has %ld bytes", (long)status.st_size);
    fstat(out, &status);
    fact("the result has %ld bytes", (long)status.st_size);
    return 0;
}
