// SPDX-License-Identifier: Apache-2.0
// System calls of `ckpt save` that Swift has no word for. Each returns 0, a descriptor or a byte count, or a negative errno.
#ifndef CKPT_REQUESTER_H
#define CKPT_REQUESTER_H

#include <stddef.h>
#include <stdint.h>

// Readable when the process has ended.
int ckpt_requester_watch(int32_t pid);
// SIGINT, SIGTERM, SIGHUP and SIGQUIT are blocked; the descriptor gives the number of the one that came.
int ckpt_requester_take_signals(void);
int ckpt_requester_read_signal(int signals);

// A socket that only its owner can reach: mode 0600, owned by `uid` and `gid` when we are root.
int ckpt_requester_listen(const char *path, uint32_t uid, uint32_t gid);
// One who came, and whose effective user id.
int ckpt_requester_accept(int socket, uint32_t *uid);
// Sends `signal` with `nonce` as its value.
int ckpt_requester_send(int32_t pid, int32_t signal, uint64_t nonce);

// Waits until one of the descriptors (at most 8; -1 is passed over) is readable or has hung up: a bit for each; 0: the time is over.
int ckpt_requester_wait(const int *descriptors, size_t count, int milliseconds);

#endif
