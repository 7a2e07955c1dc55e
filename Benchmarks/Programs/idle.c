// SPDX-License-Identifier: Apache-2.0
// link: alone -ldl
// idle LIBRARY TURN: what an enabled program pays while no checkpoint is taken. Two children of one process, so with the same code, stack and
// heap at the same places, of which one loads the library and enables it, do the same operations in turn, in short batches on one
// processor. Which of the two it is changes with TURN, and each begins its heap at a place of its own, by chance: what order and places do
// is noise then, and no bias. Prints one line for each operation: its name, nanoseconds without and with, the median of the neighbours' ratios, and
// the ratio of the instructions, or - where the machine does not count them.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile double sink;
static void *volatile place;
static FILE *null_stream;
static int null_file, zero_file;

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
static void ask(long times) {
    for (long i = 0; i < times; i++) syscall(SYS_getppid);
}
static void read_some(long times) {
    char bytes[64];
    for (long i = 0; i < times; i++) if (read(zero_file, bytes, sizeof bytes) < 0) return;
}
static void write_some(long times) {
    for (long i = 0; i < times; i++) if (write(null_file, "x", 1) < 0) return;
}
static void open_file(long times) {
    for (long i = 0; i < times; i++) close(open("/dev/null", O_RDONLY));
}
static void map(long times) {
    for (long i = 0; i < times; i++) {
        char *memory = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) return;
        for (int page = 0; page < 16; page++) memory[page * 4096] = 1;
        munmap(memory, 65536);
    }
}
static void handle(int number) { (void)number; }
static void take_signal(long times) {
    for (long i = 0; i < times; i++) raise(SIGUSR2);
}
static void *nothing(void *argument) { return argument; }
static void create_thread(long times) {
    for (long i = 0; i < times; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, nothing, NULL) == 0) pthread_join(thread, NULL);
    }
}

// Threads last: the first one ends the single-thread shortcuts of malloc and stdio for good.
static const struct { const char *name; void (*operation)(long); long times; } operations[] = {
    {"cpu", compute, 3000000}, {"malloc", allocate, 500000}, {"putc", put, 2000000}, {"getppid", ask, 40000}, {"read", read_some, 30000},
    {"write", write_some, 30000}, {"open", open_file, 5000}, {"mmap", map, 300}, {"signal", take_signal, 8000}, {"pthread_create", create_thread, 150},
};
enum { OPERATIONS = sizeof operations / sizeof *operations, BATCHES = 16 };

struct result { double nanoseconds, instructions; };

static struct result measure(int operation, int counter) {
    struct timespec start, end;
    uint64_t before = 0, after = 0;
    int is_counted = counter >= 0 && read(counter, &before, sizeof before) == sizeof before;
    clock_gettime(CLOCK_MONOTONIC, &start);
    operations[operation].operation(operations[operation].times);
    clock_gettime(CLOCK_MONOTONIC, &end);
    is_counted = is_counted && read(counter, &after, sizeof after) == sizeof after;
    double nanoseconds = (double)(end.tv_sec - start.tv_sec) * 1e9 + (double)(end.tv_nsec - start.tv_nsec);
    return (struct result){nanoseconds / (double)operations[operation].times, is_counted ? (double)(after - before) : -1};
}

static void serve(int input, int output, const char *path) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (path != NULL) {
        void *library = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
        int (*enable)(const void *) = library ? (int (*)(const void *))dlsym(library, "ckpt_enable") : NULL;
        if (enable == NULL || enable(NULL) != 0) fprintf(stderr, "idle: the library cannot be enabled\n"), _exit(1);
    }
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    place = malloc((size_t)(time.tv_nsec * 2654435761u >> 7 & 0xff0) + 16);
    struct perf_event_attr attributes = {.type = PERF_TYPE_HARDWARE, .size = sizeof attributes, .config = PERF_COUNT_HW_INSTRUCTIONS};
    int counter = (int)syscall(SYS_perf_event_open, &attributes, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
    if (counter < 0) {
        attributes.exclude_kernel = attributes.exclude_hv = 1;
        counter = (int)syscall(SYS_perf_event_open, &attributes, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
    }
    int operation;
    while (read(input, &operation, sizeof operation) == sizeof operation) {
        struct result result = measure(operation, counter);
        if (write(output, &result, sizeof result) != sizeof result) break;
    }
    _exit(0);
}

static int order(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return a < b ? -1 : a > b;
}
static double median(double *values, int count) {
    qsort(values, (size_t)count, sizeof *values, order);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

int main(int count, char **arguments) {
    if (count != 3) return 64;
    int enabled = atoi(arguments[2]) & 1;
    null_stream = fopen("/dev/null", "w");
    null_file = open("/dev/null", O_WRONLY);
    zero_file = open("/dev/zero", O_RDONLY);
    if (null_stream == NULL || null_file < 0 || zero_file < 0) return 1;
    struct sigaction action = {.sa_handler = handle};
    sigaction(SIGUSR2, &action, NULL);
    // One processor for both: what disturbs one disturbs the other.
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)sched_getcpu(), &set);
    sched_setaffinity(0, sizeof set, &set);

    int to[2], from[2];
    pid_t children[2];
    for (int i = 0; i < 2; i++) {
        int input[2], output[2];
        if (pipe(input) != 0 || pipe(output) != 0) return 1;
        children[i] = fork();
        if (children[i] < 0) return 1;
        if (children[i] == 0) {
            close(input[1]), close(output[0]);
            if (i == 1) close(to[0]), close(from[0]);
            serve(input[0], output[1], i == enabled ? arguments[1] : NULL);
        }
        close(input[0]), close(output[1]);
        to[i] = input[1], from[i] = output[0];
    }
    int status = 0;
    for (int operation = 0; operation < OPERATIONS && status == 0; operation++) {
        double ratios[BATCHES], instructions[BATCHES], values[2][BATCHES];
        int is_counted = 1;
        // The first turn warms up. Who begins changes from turn to turn.
        for (int batch = -1; batch < BATCHES && status == 0; batch++) {
            struct result results[2];
            for (int turn = 0; turn < 2; turn++) {
                int side = turn ^ (batch & 1);
                int child = side == 1 ? enabled : !enabled;
                if (write(to[child], &operation, sizeof operation) != sizeof operation
                    || read(from[child], &results[side], sizeof *results) != sizeof *results) status = 1;
            }
            if (batch < 0 || status != 0) continue;
            ratios[batch] = results[1].nanoseconds / results[0].nanoseconds;
            instructions[batch] = results[1].instructions / results[0].instructions;
            is_counted = is_counted && results[0].instructions > 0 && results[1].instructions > 0;
            for (int side = 0; side < 2; side++) values[side][batch] = results[side].nanoseconds;
        }
        if (status != 0) break;
        printf("%s %.4f %.4f %.6f ", operations[operation].name, median(values[0], BATCHES), median(values[1], BATCHES), median(ratios, BATCHES));
        if (is_counted) printf("%.6f\n", median(instructions, BATCHES)); else puts("-");
    }
    for (int i = 0; i < 2; i++) close(to[i]);
    for (int i = 0; i < 2; i++) waitpid(children[i], NULL, 0);
    return status;
}
