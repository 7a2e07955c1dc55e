// SPDX-License-Identifier: Apache-2.0
// The main stack: deep recursion across the checkpoint, and growth after it.
#include "fixture.h"

static unsigned sum_below(int depth, int turn) {
    volatile unsigned char local[1024];
    for (int i = 0; i < (int)sizeof local; i++) local[i] = (unsigned char)(depth * 7 + i);
    if (depth == turn) { if (turn == 1000) fixture_checkpoint_here(); return 1; }
    unsigned sum = sum_below(depth + 1, turn);
    for (int i = 0; i < (int)sizeof local; i++) sum = sum * 31 + (local[i] == (unsigned char)(depth * 7 + i));
    return sum;
}

int main(void) {
    fixture_begin();
    fact("the sum of 1000 frames is %u", sum_below(0, 1000));
    fact("the sum of 5000 frames is %u", sum_below(0, 5000));
    return 0;
}
