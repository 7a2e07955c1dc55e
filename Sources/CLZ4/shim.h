// SPDX-License-Identifier: Apache-2.0
// liblz4 of the system. No `link` line: the programs link the archive, so that their hosts need no library.
#include <lz4.h>
