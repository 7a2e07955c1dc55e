// SPDX-License-Identifier: Apache-2.0
// What could tell that memory is still being loaded: threads that compute and write all the while, threads that bring signals
// upon themselves (a breakpoint, a division, a write barrier), a write of the kernel into memory, and then the calls that see
// what kind of memory it is: madvise, mremap, fork, mincore, mlock. The thread that counts makes no system call.
// Argument: how many MiB of memory, 48 unless it is given.
#include "fixture.h"
#include <setjmp.h>
#include <sys/wait.h>

#define MIB (1024ul * 1024)

static size_t mebibytes = 48;
static unsigned char *memory;
static volatile int stop, asked;
static void on_request(int number) { (void)number, asked++; }
static volatile uint64_t counts[3];

static void *counting(void *unused) {
    (void)unused;
    // Every page again and again, so that some are written while the rest is loaded.
    uint64_t *words = (uint64_t *)(memory + 16 * MIB), turn = 0;
    do {
        turn++;
        for (size_t i = 0; i < 8 * MIB / 8; i += 512) words[i] = turn;
    } while (!stop);
    int same = 1;
    for (size_t i = 0; i < 8 * MIB / 8; i += 512) same &= words[i] == turn;
    return same ? "all pages have the last count" : "some pages have lost a count";
}

static void on_trap(int number) { (void)number, counts[0]++; }
static void *trapping(void *unused) {
    (void)unused;
    uint64_t turns = 0;
    for (; !stop; turns++) __asm__ volatile("int3");
    return counts[0] == turns ? "every breakpoint came once" : "breakpoints were lost, or came twice";
}

static unsigned char *barrier;
static void on_fault(int number, siginfo_t *information, void *context) {
    (void)number, (void)context;
    if ((unsigned char *)information->si_addr != barrier) _exit(77);
    counts[1]++;
    mprotect(barrier, 4096, PROT_READ | PROT_WRITE);
}
static void *writing(void *unused) {
    (void)unused;
    uint64_t turns = 0;
    for (; !stop; turns++) {
        if (mprotect(barrier, 4096, PROT_READ) != 0) return "mprotect failed";
        *(volatile unsigned char *)barrier += 1;
    }
    return counts[1] == turns && *barrier == (unsigned char)turns ? "every write was caught once" : "writes were lost, or caught twice";
}

static __thread sigjmp_buf again;
static void on_division(int number) { (void)number, counts[2]++; siglongjmp(again, 1); }
static void *dividing(void *unused) {
    (void)unused;
    volatile uint64_t turns = 0;
    while (!stop) {
        turns++;
        if (sigsetjmp(again, 1) == 0) __asm__ volatile("divl %0" : : "r"(0) : "rax", "rdx");
    }
    return counts[2] == turns ? "every division failed once" : "divisions were lost, or failed twice";
}

int main(int count, char **arguments) {
    if (count > 1) mebibytes = strtoul(arguments[1], NULL, 10);
    need(mebibytes >= 48);
    memory = mmap(NULL, mebibytes * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    barrier = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    need(memory != MAP_FAILED && barrier != MAP_FAILED);
    for (size_t i = 0; i < mebibytes; i++) if (i != 5) fill(memory + i * MIB, MIB, i);
    fixture_begin();
    struct sigaction action = {.sa_handler = on_trap};
    need(sigaction(SIGTRAP, &action, NULL) == 0);
    action.sa_handler = on_division;
    need(sigaction(SIGFPE, &action, NULL) == 0);
    action.sa_handler = on_request;
    need(sigaction(SIGUSR2, &action, NULL) == 0);
    struct sigaction fault = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    need(sigaction(SIGSEGV, &fault, NULL) == 0);
    void *(*const bodies[])(void *) = {counting, trapping, writing, dividing};
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) need(pthread_create(&threads[i], NULL, bodies[i], NULL) == 0);

    fixture_checkpoint_here();

    stop = 1;
    for (int i = 0; i < 4; i++) {
        void *said;
        need(pthread_join(threads[i], &said) == 0);
        fact("%s", (const char *)said);
    }
    fact("USR2 has come %d times", asked);
    int good = 1;
    for (size_t i = 0; i < mebibytes; i++) if (i != 5 && (i < 16 || i >= 24)) good &= is_filled(memory + i * MIB, MIB, i);
    fact("the other memory: %s", good && is_zero(memory + 5 * MIB, MIB) ? "as it was" : "not as it was");
    fact_that(madvise(memory, MIB, MADV_DONTNEED) == 0 && is_zero(memory, MIB));
    fact_that(madvise(memory + MIB, MIB, MADV_FREE) == 0);
    int zero = open("/dev/zero", O_RDONLY);
    fact_that(read(zero, memory + 2 * MIB, MIB) == (ssize_t)MIB && is_zero(memory + 2 * MIB, MIB));
    close(zero);
    unsigned char *grown = mremap(memory + 40 * MIB, 8 * MIB, 16 * MIB, MREMAP_MAYMOVE);
    fact_that(grown != MAP_FAILED && is_filled(grown, MIB, 40) && is_zero(grown + 8 * MIB, 8 * MIB));
    fact_that(mlock(memory + 30 * MIB, 65536) == 0 && munlock(memory + 30 * MIB, 65536) == 0);
    pid_t child = fork();
    if (child == 0) _exit(madvise(memory + 32 * MIB, MIB, MADV_DONTNEED) == 0 && is_zero(memory + 32 * MIB, MIB) ? 7 : 8);
    int status = 0;
    fact_that(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 7);
    fact_that(waitpid(-1, &status, __WALL | WNOHANG) == -1 && errno == ECHILD);
    fact("in the parent: %s", is_filled(memory + 32 * MIB, MIB, 32) ? "as it was" : "not as it was");
    return 0;
}
