/* The census at a failing call that is not PyTorch's, for programs with arrays of CuPy, numba or
 * JAX (oom/census_arrays.h). */
#ifndef VRAMGUARD_GUARD_ARRAY_CENSUS_H
#define VRAMGUARD_GUARD_ARRAY_CENSUS_H

#include "guard/process_state.h"
#include "oom/census.h"

/* Writes where a census for the report of `failure` has its facts from. Returns false when none is
 * to be taken: where it would say nothing (no such library, no GPU, a failure that the user has
 * injected, memory of the host), where the user wants none, while a stream is captured, and where
 * PyTorch's allocator may hold its mutex around the call: whoever holds the GIL may wait for that.
 * Costs a program without Python nothing, and others one look at the list of loaded objects in each
 * failing call. What `out` points to is static. Any thread; no lock of ours may be held. */
bool vg_array_census_prepare(const struct vg_process_state *state, const struct vg_failure *failure,
                             struct vg_census_source *out);

#endif
