// SPDX-License-Identifier: Apache-2.0
// The devices that every program may use: null, zero, urandom.
#include "fixture.h"

int main(void) {
    fixture_begin();
    int null = open("/dev/null", O_RDWR), zero = open("/dev/zero", O_RDONLY | O_CLOEXEC), random = open("/dev/urandom", O_RDONLY);
    need(null >= 0 && zero >= 0 && random >= 0);
    fixture_checkpoint_here();
    char bytes[64];
    memset(bytes, 1, sizeof bytes);
    fact_that(write(null, "x", 1) == 1 && read(null, bytes, 1) == 0);
    fact_that(read(zero, bytes, sizeof bytes) == sizeof bytes && is_zero(bytes, sizeof bytes));
    fact_that(read(random, bytes, sizeof bytes) == sizeof bytes && !is_zero(bytes, sizeof bytes));
    fact("close-on-exec %d %d", fcntl(null, F_GETFD), fcntl(zero, F_GETFD));
    return 0;
}
