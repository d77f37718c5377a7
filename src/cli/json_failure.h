/* A failed allocation as JSON: the call, the cause and the advice as reports tell them, what was
 * tried, and what the device and PyTorch held then. */
#ifndef VRAMGUARD_CLI_JSON_FAILURE_H
#define VRAMGUARD_CLI_JSON_FAILURE_H

#include "analyze/outcome.h"
#include "analyze/run.h"
#include "cli/json.h"

json_t *vg_json_failure(const struct vg_run_failure *failure); /* the caller's */

/* What was tried, with each outcome by its name (analyze/outcome_table.h) and as a sentence. The
 * caller's. */
json_t *vg_json_actions(const struct vg_oom_action *actions, uint32_t count);

#endif
