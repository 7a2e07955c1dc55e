// SPDX-License-Identifier: Apache-2.0
// ckpt_now, sections that defer, and hooks of the C interface: prints the order of what happens.
#include "fixture.h"

static int before(void *context) { fact("before-hook %s", (const char *)context); return 0; }
static int refuse(void *context) { (void)context; fact("this hook refuses"); return 1; }
static void after(void *context, int outcome) { fact("after-hook %s: %d", (const char *)context, outcome); }

int main(void) {
    fixture_begin();
    int64_t first = ckpt_before_checkpoint(before, "one"), second = ckpt_before_checkpoint(before, "two");
    int64_t third = ckpt_after_checkpoint(after, "one"), fourth = ckpt_after_checkpoint(after, "two");
    fact_that(first > 0 && second > 0 && third > 0 && fourth > 0);
    fact("now: %d", ckpt_now());
    int64_t refusing = ckpt_before_checkpoint(refuse, NULL);
    fact("now, refused by a hook: %s", ckpt_strerror(ckpt_now()));
    fact_that(ckpt_cancel_hook(refusing) == 0);
    need(ckpt_defer_begin() == 0 && ckpt_defer_begin() == 0);
    fact("now, inside a deferred section: %s", ckpt_strerror(ckpt_now()));
    need(ckpt_defer_end() == 0 && ckpt_defer_end() == 0);
    fact_that(ckpt_cancel_hook(first) == 0 && ckpt_cancel_hook(second) == 0 && ckpt_cancel_hook(third) == 0 && ckpt_cancel_hook(fourth) == 0);
    fact_that(ckpt_cancel_hook(first) != 0);
    fact("now, without hooks: %d", ckpt_now());
    fact_that(ckpt_enable(NULL) == 0);
    fact("now, enabled again: %d", ckpt_now());
    fact_that(ckpt_disable() == 0);
    fact("now, disabled: %s", ckpt_strerror(ckpt_now()));
    return 0;
}
