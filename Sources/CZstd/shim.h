// SPDX-License-Identifier: Apache-2.0
// libzstd of the system. No `link` line: the programs link the archive, so that their hosts need no library.
#include <zstd.h>
