// SPDX-License-Identifier: Apache-2.0
// A program that was compiled against the first version of the header: a shorter struct, and a function that is no macro.
#include "fixture.h"

struct first_config {
    size_t size;
    const char *image;
    int signal, exit_signal, exit_status, generations, verbose;
};

int main(void) {
    struct { struct first_config config; unsigned char behind[256]; } old;
    memset(&old, 0xaa, sizeof old);
    (ckpt_config_init)((ckpt_config *)&old.config);
    int untouched = 1;
    for (size_t i = 0; i < sizeof old.behind; i++) untouched &= old.behind[i] == 0xaa;
    fact_that(untouched);
    fact_that(old.config.size == sizeof old.config && old.config.image == NULL && old.config.generations == -1);
    old.config.image = "old.img";
    fact("enable: %d", ckpt_enable((ckpt_config *)&old.config));
    fact("now: %d", ckpt_now());
    fact_that(access("old.img", F_OK) == 0);
    // One of a later header.
    struct { ckpt_config config; uint64_t more[8]; } later;
    ckpt_config_init_sized(&later.config, sizeof later);
    fact_that(later.config.size == sizeof later && later.config.chain_length == -1 && later.more[7] == 0);
    later.config.image = "later.img";
    fact("enable: %d", ckpt_enable(&later.config));
    later.config.size = 8;
    fact("with a size that is none: %s", ckpt_strerror(ckpt_enable(&later.config)));
    later.config.size = sizeof later;
    later.config.tracker = "magic";
    fact("with a tracker that is none: %s", ckpt_strerror(ckpt_enable(&later.config)));
    return 0;
}
