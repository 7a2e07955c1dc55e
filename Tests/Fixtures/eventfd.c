// SPDX-License-Identifier: Apache-2.0
// Event counters: value, semaphore mode, flags, one under two numbers.
#include "fixture.h"
#include <sys/eventfd.h>

int main(void) {
    fixture_begin();
    int counter = eventfd(41, EFD_CLOEXEC), semaphore = eventfd(3, EFD_SEMAPHORE | EFD_NONBLOCK), empty = eventfd(0, EFD_NONBLOCK);
    int same = dup(counter);
    need(counter >= 0 && semaphore >= 0 && empty >= 0 && same >= 0);
    eventfd_write(counter, 1);
    fixture_checkpoint_here();
    eventfd_t value = 0;
    eventfd_write(same, 100);
    eventfd_read(counter, &value);
    fact("the counter is %lu", (unsigned long)value);
    int taken = 0;
    while (eventfd_read(semaphore, &value) == 0 && value == 1) taken++;
    fact("the semaphore gave %d, then %s", taken, strerror(errno));
    fact_that(eventfd_read(empty, &value) < 0 && errno == EAGAIN);
    fact("close-on-exec %d %d, flags %x %x", fcntl(counter, F_GETFD), fcntl(same, F_GETFD), fcntl(counter, F_GETFL), fcntl(semaphore, F_GETFL));
    return 0;
}
