// SPDX-License-Identifier: Apache-2.0
// Alternate signal stacks: one in use across the checkpoint, one registered and unused.
#include "fixture.h"

static char stacks[2][64 * 1024];
static volatile int in_handler, released;
static __thread volatile int depth;

static int is_inside(void *address, char *stack) { return (char *)address >= stack && (char *)address < stack + sizeof stacks[0]; }

static void handle(int number) {
    volatile char here[8192];
    for (size_t i = 0; i < sizeof here; i++) here[i] = (char)(i * number);
    if (depth++ == 0) {
        in_handler = 1;
        while (!released) fixture_sleep(1);
    }
    int right = 1;
    for (size_t i = 0; i < sizeof here; i++) right &= here[i] == (char)(i * number);
    stack_t stack;
    sigaltstack(NULL, &stack);
    fact("in the handler: content %d, flags %d, on its stack %d", right, stack.ss_flags, is_inside((void *)here, stacks[0]) || is_inside((void *)here, stacks[1]));
}

static void *work(void *unused) {
    (void)unused;
    stack_t stack = { .ss_sp = stacks[0], .ss_size = sizeof stacks[0] };
    need(sigaltstack(&stack, NULL) == 0);
    raise(SIGUSR2);
    stack_t after;
    sigaltstack(NULL, &after);
    fact("the thread: the same stack %d, flags %d", after.ss_sp == stacks[0] && after.ss_size == sizeof stacks[0], after.ss_flags);
    raise(SIGUSR2);
    return NULL;
}

int main(void) {
    fixture_begin();
    struct sigaction action = { .sa_handler = handle, .sa_flags = SA_ONSTACK };
    need(sigaction(SIGUSR2, &action, NULL) == 0);
    stack_t stack = { .ss_sp = stacks[1], .ss_size = sizeof stacks[1] };
    need(sigaltstack(&stack, NULL) == 0);
    pthread_t thread;
    need(pthread_create(&thread, NULL, work, NULL) == 0);
    while (!in_handler) fixture_sleep(1);
    fixture_checkpoint_here();
    released = 1;
    pthread_join(thread, NULL);
    stack_t after;
    sigaltstack(NULL, &after);
    fact("the first thread: the same stack %d, flags %d", after.ss_sp == stacks[1] && after.ss_size == sizeof stacks[1], after.ss_flags);
    depth = 1;
    raise(SIGUSR2);
    return 0;
}
