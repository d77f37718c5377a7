/* The census of a failure (analyze/census.h) as JSON: what the tensors are, and which variables
 * hold them. */
#ifndef VRAMGUARD_CLI_JSON_CENSUS_H
#define VRAMGUARD_CLI_JSON_CENSUS_H

#include "analyze/census.h"
#include "analyze/run.h"
#include "cli/json.h"

/* The census, and what its lines are called (NULL: not known); JSON's null for NULL. The caller's.
 */
json_t *vg_json_census(const struct vg_census *census, const struct vg_run_line *lines);

/* What it tells of CuPy's, numba's and JAX's arrays, and of who holds them; likewise. */
json_t *vg_json_array_census(const struct vg_census *census);

#endif
