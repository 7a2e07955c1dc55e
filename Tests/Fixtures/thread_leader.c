// SPDX-License-Identifier: Apache-2.0
// The first thread has ended by pthread_exit; the others go on.
#include "fixture.h"

static pthread_t first;

static int first_has_ended(void) {
    char line[256] = "";
    FILE *file = fopen("/proc/self/stat", "r");
    if (!file) return 0;
    int got = fgets(line, sizeof line, file) != NULL;
    fclose(file);
    char *end = got ? strrchr(line, ')') : NULL;
    return end && end[2] == 'Z';
}

static void *work(void *unused) {
    (void)unused;
    while (!first_has_ended()) fixture_sleep(1);
    fixture_checkpoint_here();
    // In a restarted program it ends while the others go on already.
    while (!first_has_ended()) fixture_sleep(1);
    fact_that(first_has_ended());
    void *result = NULL;
    int error = pthread_join(first, &result);
    fact("joining the first thread: %d, %s", error, result ? (char *)result : "nothing");
    pthread_t another;
    need(pthread_create(&another, NULL, fixture_waiter, NULL) == 0 && pthread_join(another, NULL) == 0);
    exit(3);
}

int main(void) {
    fixture_begin();
    first = pthread_self();
    pthread_t thread;
    need(pthread_create(&thread, NULL, work, NULL) == 0);
    pthread_exit("its result");
}
