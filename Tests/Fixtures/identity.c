// SPDX-License-Identifier: Apache-2.0
// Process and thread ids are those of before, where they are kept; users and groups always.
#include "fixture.h"

static pid_t seen, after;
static pthread_barrier_t started, released;
static void *work(void *unused) {
    (void)unused;
    seen = gettid();
    pthread_barrier_wait(&started);
    pthread_barrier_wait(&released);
    after = gettid();
    return NULL;
}

int main(void) {
    fixture_begin();
    pid_t process = getpid();
    uid_t user = getuid(), effective = geteuid();
    gid_t group = getgid();
    pthread_barrier_init(&started, NULL, 2);
    pthread_barrier_init(&released, NULL, 2);
    pthread_t thread;
    need(pthread_create(&thread, NULL, work, NULL) == 0);
    pthread_barrier_wait(&started);
    fixture_checkpoint_here();
    pthread_barrier_wait(&released);
    pthread_join(thread, NULL);
    fact_that(getpid() == process && gettid() == process);
    fact_that(seen == after);
    fact_that(getuid() == user && geteuid() == effective && getgid() == group);
    char link[64] = "", own[64];
    need(readlink("/proc/self", link, sizeof link - 1) > 0);
    snprintf(own, sizeof own, "%d", process);
    fact_that(strcmp(link, own) == 0);
    fact_that(kill(process, 0) == 0);
    // No capability that it had not before.
    unsigned long effective_capabilities = 1;
    char line[256];
    FILE *status = fopen("/proc/self/status", "r");
    while (status && fgets(line, sizeof line, status)) sscanf(line, "CapEff: %lx", &effective_capabilities);
    if (status) fclose(status);
    if (user != 0) fact_that(effective_capabilities == 0);
    return 0;
}
