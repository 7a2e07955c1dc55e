// SPDX-License-Identifier: Apache-2.0
// link: alone
// launch RESTARTER IMAGE: executes `RESTARTER --env START=… IMAGE`, where START is CLOCK_MONOTONIC just before the execution.
#include <stdio.h>
#include <time.h>
#include <unistd.h>

int main(int count, char **arguments) {
    if (count != 3) return 64;
    char start[64];
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    snprintf(start, sizeof start, "START=%llu", (unsigned long long)time.tv_sec * 1000000000u + (unsigned long long)time.tv_nsec);
    execl(arguments[1], arguments[1], "--quiet", "--env", start, arguments[2], (char *)NULL);
    return 127;
}
