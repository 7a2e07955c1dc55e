// SPDX-License-Identifier: Apache-2.0
// Resource limits: lowered ones are in force again; all are as they were.
#include "fixture.h"
#include <sys/resource.h>

#define RESOURCES 16
static struct rlimit before[RESOURCES];

// The soft limit, and the hard one when it is not 0; never more than there is.
static void lower(int resource, rlim_t soft, rlim_t hard) {
    struct rlimit limit;
    need(getrlimit(resource, &limit) == 0);
    if (hard && hard < limit.rlim_max) limit.rlim_max = hard;
    limit.rlim_cur = soft < limit.rlim_max ? soft : limit.rlim_max;
    need(setrlimit(resource, &limit) == 0);
}

static void *touch(void *unused) { return unused; }

int main(void) {
    fixture_begin();
    signal(SIGXFSZ, SIG_IGN);
    lower(RLIMIT_CPU, 10000, 20000);
    lower(RLIMIT_FSIZE, 1 << 20, 0);
    lower(RLIMIT_DATA, 3ull << 30, 0);
    lower(RLIMIT_STACK, 4 << 20, 64 << 20);
    lower(RLIMIT_CORE, 0, 4096);
    lower(RLIMIT_NOFILE, 100, 1000);
    lower(RLIMIT_MEMLOCK, 4096, 0);
    lower(RLIMIT_AS, 6ull << 30, 0);
    lower(RLIMIT_SIGPENDING, 500, 5000);
    lower(RLIMIT_MSGQUEUE, 10000, 0);
    lower(RLIMIT_RTTIME, 5000000, 0);
    for (int i = 0; i < RESOURCES; i++) need(getrlimit(i, &before[i]) == 0);

    fixture_checkpoint_here();

    for (int i = 0; i < RESOURCES; i++) {
        struct rlimit now;
        need(getrlimit(i, &now) == 0);
        fact("limit %d: soft %s, hard %s", i, now.rlim_cur == before[i].rlim_cur ? "the same" : "another", now.rlim_max == before[i].rlim_max ? "the same" : "another");
    }
    int number = fcntl(0, F_DUPFD, 100), error = errno;
    fact("a descriptor of 100: %s", number < 0 ? strerror(error) : "there is one");
    int file = open("limited", O_RDWR | O_CREAT, 0600);
    need(file >= 0);
    ssize_t written = pwrite(file, "x", 1, 1 << 20);
    error = errno;
    fact("a byte behind the limit of a file: %s", written < 0 ? strerror(error) : "written");
    fact_that(pwrite(file, "x", 1, (1 << 20) - 1) == 1);
    unlink("limited");
    void *block = mmap(NULL, 7ull << 30, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    error = errno;
    fact("more address space than the limit: %s", block == MAP_FAILED ? strerror(error) : "mapped");
    block = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    fact("less: %s", block == MAP_FAILED ? strerror(errno) : "mapped");
    pthread_t thread;
    fact_that(pthread_create(&thread, NULL, touch, NULL) == 0 && pthread_join(thread, NULL) == 0);
    return 0;
}
