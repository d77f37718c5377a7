/* What a census reads of JAX's arrays, through functions that jaxlib has in C++. With the GIL. */
#ifndef VRAMGUARD_OOM_CENSUS_JAX_H
#define VRAMGUARD_OOM_CENSUS_JAX_H

#include <stdint.h>

#include "oom/census_python.h"

struct vg_census_jax {
    uintptr_t array; /* the type, borrowed; 0: JAX is not loaded, or is an unknown one */
    /* Functions of the array, borrowed; the last two may be 0. */
    uintptr_t is_deleted, bytes, sharding, facts;
};

/* Fills `out`, which is zeroed. */
void vg_census_jax_find(const struct vg_census_python *python, struct vg_census_jax *out);

/* Bytes of the array on `device`, a number of the `platform` ("gpu"); -1: on all devices. Of one
 * that is spread over several devices, its share. 0: none, or it has been deleted. */
uint64_t vg_census_jax_bytes(const struct vg_census_python *python, const struct vg_census_jax *jax,
                             int32_t device, const char *platform, uintptr_t array);

/* Its shape, a tuple, and its data type, numpy's; owned, 0: unknown. */
void vg_census_jax_facts(const struct vg_census_python *python, const struct vg_census_jax *jax,
                         uintptr_t array, uintptr_t *shape, uintptr_t *dtype);

#endif
