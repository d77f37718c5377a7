/* Who keeps the memory of CuPy's, numba's and JAX's arrays, as the census of a failure tells. Pure,
 * no malloc, any thread. Takes failures whose texts and counts are valid (run.h). */
#ifndef VRAMGUARD_ANALYZE_ARRAY_HOLDER_H
#define VRAMGUARD_ANALYZE_ARRAY_HOLDER_H

#include <stdbool.h>
#include <stdint.h>

#include "analyze/census.h"
#include "analyze/run.h"

/* The census of a failure in whose process an array library was looked for on the failure's device;
 * NULL: none was, or another version recorded it. It may have come to nothing (`state`). */
const struct vg_census *vg_array_holder_asked(const struct vg_run_failure *failure);

/* The same when it has found arrays there: a lower bound unless its state is VG_CENSUS_COMPLETE. */
const struct vg_census *vg_array_holder_census(const struct vg_run_failure *failure);

/* Of all libraries. */
struct vg_census_amount vg_array_holder_total(const struct vg_census *census);

/* What a variable of the census holds of them. */
struct vg_census_amount vg_array_holder_held(const struct vg_census *census,
                                             const struct vg_census_variable *variable);

/* The library that most of these bytes are of. */
enum vg_census_array_library vg_array_holder_library(const struct vg_census *census,
                                                     const struct vg_census_variable *variable);

/* A variable of the program's that keeps several arrays: a container of four entries or more, which
 * keeps `at_least_bytes` of arrays and a quarter of what this process holds of the device. The
 * largest of that kind, NULL for none. */
const struct vg_census_variable *vg_array_holder_of_several(const struct vg_run_failure *failure,
                                                            uint64_t at_least_bytes);

/* A variable that keeps as much through the frames of an exception; NULL for none. */
const struct vg_census_variable *vg_array_holder_of_traceback(const struct vg_run_failure *failure,
                                                              uint64_t at_least_bytes);

#endif
