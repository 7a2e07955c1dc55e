// SPDX-License-Identifier: Apache-2.0
// Mappings that the kernel extends downwards when the page below them is touched: what they hold, how far they reach, and that
// they go on growing; one of them all the while.
#include "fixture.h"

#define PAGE 4096ul

static volatile int stop;
static unsigned char *top, *moving_top;

// A mapping of one page that ends here: where nobody else maps anything.
static unsigned char *make(uint64_t end) {
    unsigned char *page = (unsigned char *)end - PAGE;
    need(mmap(page, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_GROWSDOWN, -1, 0) == page);
    return page + PAGE;
}
static void grow(unsigned char *end, unsigned from, unsigned to) { for (unsigned i = from; i <= to; i++) fill(end - i * PAGE, PAGE, i); }
static int holds(unsigned char *end, unsigned from, unsigned to) {
    int good = 1;
    for (unsigned i = from; i <= to; i++) good &= is_filled(end - i * PAGE, PAGE, i);
    return good;
}

static void *growing(void *unused) {
    (void)unused;
    unsigned depth = 1;
    int good = 1;
    for (; !stop; depth = depth < 400 ? depth + 1 : 100) {
        fill(moving_top - depth * PAGE, PAGE, depth);
        good &= is_filled(moving_top - (1 + depth / 2) * PAGE, PAGE, 1 + depth / 2);
    }
    return good ? "every page was as it was filled" : "a page was not as it was filled";
}

int main(void) {
    top = make(0x200000000000);
    moving_top = make(0x210000000000);
    grow(top, 1, 40);
    fixture_begin();
    pthread_t thread;
    need(pthread_create(&thread, NULL, growing, NULL) == 0);

    fixture_checkpoint_here();

    stop = 1;
    void *said;
    need(pthread_join(thread, &said) == 0);
    fact("%s", (const char *)said);
    fact_that(holds(top, 1, 40));
    grow(top, 41, 300);
    fact_that(holds(top, 1, 300));
    // A page that was jumped over is a zero page of the same mapping.
    fill(top - 320 * PAGE, PAGE, 320);
    fact_that(is_filled(top - 320 * PAGE, PAGE, 320) && is_zero(top - 310 * PAGE, PAGE) && holds(top, 1, 300));
    return 0;
}
