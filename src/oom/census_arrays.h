/* What a census reads of array libraries beside PyTorch: CuPy, numba and JAX, where they are
 * loaded. With the GIL. Nothing of the program's runs: types are told by their identity, and read
 * through their own C attributes, or from the attribute dictionaries of the libraries' own objects.
 */
#ifndef VRAMGUARD_OOM_CENSUS_ARRAYS_H
#define VRAMGUARD_OOM_CENSUS_ARRAYS_H

#include <stdbool.h>
#include <stdint.h>

#include "analyze/census.h"
#include "oom/census_python.h"
#include "oom/census_torch.h"

struct vg_census_arrays {
    /* Types, borrowed; 0: that library is not loaded, or is an unknown one. */
    struct {
        uintptr_t array, pointer, memory;
        struct vg_census_getter data, mem, address, size;
    } cupy;
    struct {
        uintptr_t array, pointer; /* DeviceNDArrayBase, MemoryPointer */
    } numba;
    struct {
        uintptr_t array;
        uintptr_t is_deleted, bytes; /* functions of the array, borrowed */
    } jax;
};

/* Finds the libraries among the loaded modules. Returns false when there is none. */
bool vg_census_arrays_find(const struct vg_census_python *python, struct vg_census_arrays *out);

/* The library of the arrays of `type`; VG_CENSUS_ARRAY_LIBRARIES: it is no type of arrays. */
enum vg_census_array_library vg_census_arrays_library(const struct vg_census_python *python,
                                                      const struct vg_census_arrays *arrays,
                                                      uintptr_t type);

/* The memory of an array: what tells it from other memory (its address, or that of the object that
 * stands for it), and its bytes, as the library took them: from its own pool, where it has one.
 * Returns false when the array has none, or it cannot be read. */
bool vg_census_arrays_read(const struct vg_census_python *python,
                           const struct vg_census_arrays *arrays,
                           enum vg_census_array_library library, uintptr_t array, uintptr_t *key,
                           uint64_t *bytes);

#endif
