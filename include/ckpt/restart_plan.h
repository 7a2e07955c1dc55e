// SPDX-License-Identifier: Apache-2.0
// The restart plan: what plan time tells restorer time. A list of operations with their arguments.
#ifndef CKPT_RESTART_PLAN_H
#define CKPT_RESTART_PLAN_H
#include "image.h"
#define CKPT_RESTART_PLAN_VERSION 1u
#endif
