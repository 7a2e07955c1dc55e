// SPDX-License-Identifier: Apache-2.0
// link: alone
// launch RESTARTER OPTION… IMAGE: executes `RESTARTER --env START=… OPTION… IMAGE`, where START is CLOCK_MONOTONIC just before.
#include <stdio.h>
#include <time.h>
#include <unistd.h>

int main(int count, char **arguments) {
    if (count < 3 || count > 16) return 64;
    char start[64];
    char *words[20] = {arguments[1], "--quiet", "--env", start};
    for (int i = 2; i < count; i++) words[i + 2] = arguments[i];
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    snprintf(start, sizeof start, "START=%llu", (unsigned long long)time.tv_sec * 1000000000u + (unsigned long long)time.tv_nsec);
    execv(words[0], words);
    return 127;
}
