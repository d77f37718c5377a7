/* A run (analyze/run.h) as JSON, for programs: `vramguard report --json`, `vramguard list --json`.
 * Amounts are bytes, times nanoseconds (since 1970 where the key says realtime); null is unknown.
 * Keys are only ever added. */
#ifndef VRAMGUARD_CLI_JSON_RUN_H
#define VRAMGUARD_CLI_JSON_RUN_H

#include "analyze/run.h"
#include "cli/json.h"

/* The process: pid, command, state, exit status, ... The caller's, who may add to it. */
json_t *vg_json_process(const struct vg_run_process *process);

/* The whole run; of its failures only the one with this number, from 1, or all for 0. The caller's.
 */
json_t *vg_json_run(const struct vg_run *run, uint64_t failure_number);

#endif
