// SPDX-License-Identifier: Apache-2.0
// link: alone -ldl
// idle [LIBRARY]: prints the nanoseconds of one operation of each kind. With LIBRARY, that is loaded and enabled first: so
// both sides of a pair are the same code at the same places, and only the library makes the difference.
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static volatile double sink;
static FILE *null_stream;

static void compute(long times) {
    double x = 1.0, sum = 0;
    uint64_t state = 1;
    for (long i = 0; i < times; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        x = x * 1.0000001 + (double)(state >> 40) * 1e-12;
        sum += x;
    }
    sink = sum;
}
static void allocate(long times) {
    void *blocks[16] = {0};
    for (long i = 0; i < times; i++) {
        free(blocks[i & 15]);
        blocks[i & 15] = malloc((size_t)(16 + (i * 37 & 1023)));
    }
    for (int i = 0; i < 16; i++) free(blocks[i]);
}
static void put(long times) {
    for (long i = 0; i < times; i++) putc('x', null_stream);
}
static void open_file(long times) {
    for (long i = 0; i < times; i++) close(open("/dev/null", O_RDONLY));
}
static void *nothing(void *argument) { return argument; }
static void create_thread(long times) {
    for (long i = 0; i < times; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, nothing, NULL) == 0) pthread_join(thread, NULL);
    }
}

static void measure(const char *name, void (*operation)(long), long times) {
    struct timespec start, end;
    operation(times / 20);
    clock_gettime(CLOCK_MONOTONIC, &start);
    operation(times);
    clock_gettime(CLOCK_MONOTONIC, &end);
    double nanoseconds = (double)(end.tv_sec - start.tv_sec) * 1e9 + (double)(end.tv_nsec - start.tv_nsec);
    printf("%s %.4f\n", name, nanoseconds / (double)times);
}

int main(int count, char **arguments) {
    if (count > 1) {
        void *library = dlopen(arguments[1], RTLD_NOW | RTLD_GLOBAL);
        int (*enable)(const void *) = library ? (int (*)(const void *))dlsym(library, "ckpt_enable") : NULL;
        if (enable == NULL || enable(NULL) != 0) return fprintf(stderr, "idle: the library cannot be enabled\n"), 1;
    }
    null_stream = fopen("/dev/null", "w");
    if (null_stream == NULL) return 1;
    // Threads last: the first one ends the single-thread shortcuts of malloc and stdio for good.
    measure("cpu", compute, 60000000);
    measure("malloc", allocate, 10000000);
    measure("putc", put, 60000000);
    measure("open", open_file, 150000);
    measure("pthread_create", create_thread, 8000);
    return 0;
}
