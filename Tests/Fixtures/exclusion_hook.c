// SPDX-License-Identifier: Apache-2.0
// Exclusions that change in a before-hook, when pages have been copied already: the image has what holds in the freeze.
#include "fixture.h"

static unsigned char data[4 * 4096] __attribute__((aligned(4096))) = {1};
static unsigned char *partly, *whole;

static int before(void *unused) {
    (void)unused;
    return ckpt_include(partly, 3 * 4096) != 0 || ckpt_include(whole, 4 * 4096) != 0 || ckpt_include(data, sizeof data) != 0;
}

int main(void) {
    partly = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    need(mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
    whole = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    need(partly != MAP_FAILED && whole != MAP_FAILED);
    fill(partly, 3 * 4096, 1);
    fill(whole, 4 * 4096, 2);
    fill(data, sizeof data, 3);
    fixture_begin();
    need(ckpt_exclude(partly + 1000, 6000, CKPT_DEAD) == 0);
    need(ckpt_exclude(whole, 4 * 4096, CKPT_DEAD) == 0 && ckpt_exclude(data, sizeof data, CKPT_DEAD) == 0);
    need(ckpt_now() == CKPT_SAVED); // without them; from now on a parent that does not have them
    need(ckpt_before_checkpoint(before, NULL) > 0);

    fixture_checkpoint_here();

    fact("pages that were dead in part: %s", is_filled(partly, 3 * 4096, 1) ? "kept" : "not kept");
    fact("pages that were dead: %s", is_filled(whole, 4 * 4096, 2) ? "kept" : "not kept");
    fact("data of the program that was dead: %s", is_filled(data, sizeof data, 3) ? "kept" : "not kept");
    return 0;
}
