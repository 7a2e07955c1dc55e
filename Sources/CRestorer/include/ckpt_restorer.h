#include "ckpt/restart_plan.h"
