// SPDX-License-Identifier: Apache-2.0
// What this kernel lets this process do: found by trying, never from a version number. Plan time.
#ifndef CKPT_PROBE_H
#define CKPT_PROBE_H

#include <stdint.h>

enum ckpt_probe {
    CKPT_PROBE_PROC, CKPT_PROBE_CLONE3, CKPT_PROBE_MM_MAP, CKPT_PROBE_PIDFD, CKPT_PROBE_TMPFILE, CKPT_PROBE_USER_NAMESPACE,
    CKPT_PROBE_OWN_PROC, CKPT_PROBE_TIME_NAMESPACE, CKPT_PROBE_SET_TID, CKPT_PROBE_UFFD_ASYNC, CKPT_PROBE_PAGEMAP_SCAN,
};

// 0: there. Otherwise a negative errno. Leaves nothing behind.
int32_t ckpt_probe(enum ckpt_probe probe);
#endif
