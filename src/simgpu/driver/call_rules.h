/* Scripted failures (SIMGPU_FAIL) and delays (SIMGPU_LATENCY). README.md has their grammar. */
#ifndef SIMGPU_CALL_RULES_H
#define SIMGPU_CALL_RULES_H

#include "../abi.h"

/* Reads both variables. A bad value is reported in one line on stderr. `*any` becomes true when
 * there is at least one rule. Returns 0 or -EINVAL. Runs once, before call_rules_apply. */
int call_rules_read(_Bool *any);

/* Waits as long as SIMGPU_LATENCY asks for this function, counts the call, and returns the error
 * that SIMGPU_FAIL asks for, or CUDA_SUCCESS. `id` is an enum function_id. Any thread. */
CUresult call_rules_apply(int id);

#endif
