/* The census at a failure that PyTorch's observers are not called for: of programs with arrays of
 * CuPy, numba or JAX (oom/census_arrays.h), and where a PyTorch without observers gives up. */
#ifndef VRAMGUARD_GUARD_ARRAY_CENSUS_H
#define VRAMGUARD_GUARD_ARRAY_CENSUS_H

#include "guard/process_state.h"
#include "oom/census.h"

/* Writes where a census for the report of `failure` has its facts from. Returns false when none is
 * to be taken: where it would say nothing (no such library, no GPU, a failure that the user has
 * injected, memory of the host), where the user wants none, while a stream is captured, and at a
 * call of PyTorch's allocator where its observers will be called, or there may be a second call.
 * Costs a program without Python nothing, and others one look at the list of loaded objects in each
 * failing call. What `out` points to is static. Any thread; no lock of ours may be held. */
bool vg_array_census_prepare(const struct vg_process_state *state, const struct vg_failure *failure,
                             struct vg_census_source *out);

#endif
