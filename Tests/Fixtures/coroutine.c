// SPDX-License-Identifier: Apache-2.0
// Coroutines on stacks of their own: two threads are in the middle of one while others of them wait; each goes on where it was, with
// what it had on its stack and in its vector registers, also on another thread than the one that it began on.
#include "fixture.h"
#include <ucontext.h>

#define COROUTINES 6
#define STACK (64 * 1024)
struct coroutine { ucontext_t context, caller; char *stack; int number, is_over; double result; };
static struct coroutine coroutines[COROUTINES];
static pthread_barrier_t inside, released, handed;

static void yield(struct coroutine *c) { swapcontext(&c->context, &c->caller); }

static void wait_inside(void) {
    pthread_barrier_wait(&inside);
    pthread_barrier_wait(&released);
}

static void body(unsigned low, unsigned high) {
    struct coroutine *c = (struct coroutine *)((uint64_t)high << 32 | low);
    volatile char local[4096];
    double value = c->number;
    memset((void *)local, c->number, sizeof local);
    for (int round = 0; round < 4; round++) {
        value = value * 1.5 + round;
        // The checkpoint is in the second round of the first coroutine of each thread.
        if (round == 1 && c->number % 3 == 0) wait_inside();
        yield(c);
    }
    for (size_t i = 0; i < sizeof local; i++) if (local[i] != c->number) value = -1;
    c->result = value;
    c->is_over = 1;
}

static void resume(struct coroutine *c) {
    if (!c->is_over) swapcontext(&c->caller, &c->context);
}

static void *work(void *argument) {
    int first = (int)(intptr_t)argument;
    for (int i = first; i < first + 3; i++) resume(&coroutines[i]);
    resume(&coroutines[first]); // waits inside, for the checkpoint
    pthread_barrier_wait(&handed);
    // From here on those that the other thread has begun.
    for (int round = 0; round < 4; round++)
        for (int i = 3 - first; i < 3 - first + 3; i++) resume(&coroutines[i]);
    return NULL;
}

int main(void) {
    fixture_begin();
    pthread_barrier_init(&inside, NULL, 3);
    pthread_barrier_init(&released, NULL, 3);
    pthread_barrier_init(&handed, NULL, 2);
    for (int i = 0; i < COROUTINES; i++) {
        struct coroutine *c = &coroutines[i];
        c->number = i;
        c->stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
        need(c->stack != MAP_FAILED && getcontext(&c->context) == 0);
        c->context.uc_stack.ss_sp = c->stack;
        c->context.uc_stack.ss_size = STACK;
        c->context.uc_link = &c->caller;
        makecontext(&c->context, (void (*)(void))body, 2, (unsigned)(uint64_t)c, (unsigned)((uint64_t)c >> 32));
    }
    pthread_t threads[2];
    for (intptr_t i = 0; i < 2; i++) need(pthread_create(&threads[i], NULL, work, (void *)(i * 3)) == 0);
    pthread_barrier_wait(&inside);
    fixture_checkpoint_here();
    pthread_barrier_wait(&released);
    for (int i = 0; i < 2; i++) need(pthread_join(threads[i], NULL) == 0);
    for (int i = 0; i < COROUTINES; i++) fact("coroutine %d: over %d, result %g", i, coroutines[i].is_over, coroutines[i].result);
    return 0;
}
