// SPDX-License-Identifier: Apache-2.0
// More memory than the engine copies in a freeze is excluded as read-only, then included again and not written: the increment
// that is taken then has all of it.
#include "fixture.h"

#define BYTES (136ul << 20)

int main(void) {
    unsigned char *large = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    need(large != MAP_FAILED);
    fill(large, BYTES, 7);
    fixture_begin();
    need(ckpt_exclude(large, BYTES, CKPT_READ_ONLY) == 0);
    int first = ckpt_now();
    need(ckpt_include(large, BYTES) == 0);
    int second = ckpt_now();
    need(ckpt_exclude(large, BYTES, CKPT_READ_ONLY) == 0);

    fixture_checkpoint_here();

    fact("checkpoints: %d %d", first == CKPT_SAVED, second == CKPT_SAVED);
    fact("the memory: %s", is_filled(large, BYTES, 7) ? "kept" : "not kept");
    return 0;
}
