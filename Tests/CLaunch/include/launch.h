// SPDX-License-Identifier: Apache-2.0
// Starting a process the way the tests want it. posix_spawn's newer actions are not visible from Swift.
#ifndef LAUNCH_H
#define LAUNCH_H
#include <sys/types.h>
// Words and variables are zero-terminated strings one after the other, with an empty one at the end. A stream is a path,
// or empty: closed. The child has a group of its own, no blocked or ignored signal, and no descriptor but 0, 1, 2.
// Returns 0 or an errno.
int ckpt_test_launch(const char *directory, const char *words, const char *variables, const char *input, const char *output,
                     const char *error, pid_t *id);
// The signal to this process when it still has a name that begins so; 0, or an errno (ESRCH: it has ended, and the number may be
// another's by now).
int ckpt_test_signal_named(pid_t id, const char *name, int signal);
#endif
