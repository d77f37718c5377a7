/* What a census reads of array libraries beside PyTorch: CuPy, numba and JAX, where they are
 * loaded. With the GIL. Nothing of the program's runs: types are told by their identity, and read
 * through their own C attributes, or from the attribute dictionaries of the libraries' own objects.
 */
#ifndef VRAMGUARD_OOM_CENSUS_ARRAYS_H
#define VRAMGUARD_OOM_CENSUS_ARRAYS_H

#include <stdbool.h>
#include <stdint.h>

#include "analyze/census.h"
#include "oom/census_jax.h"
#include "oom/census_python.h"
#include "oom/census_torch.h"

struct vg_census_arrays {
    int32_t device;           /* CUDA's ordinal: arrays elsewhere are not told of; -1: all are */
    const char *jax_platform; /* with a device: what JAX calls it, "gpu" */

    /* Types, borrowed; 0: that library is not loaded, or is an unknown one. */
    struct {
        uintptr_t array, pointer, memory;
        uintptr_t managed; /* memory that the driver moves; may be 0 */
        struct vg_census_getter data, mem, address, size, device, shape, dtype;
    } cupy;
    struct {
        uintptr_t array, pointer;  /* DeviceNDArrayBase, MemoryPointer */
        uintptr_t mapped, managed; /* memory of the host, and that the driver moves; may be 0 */
    } numba;
    struct vg_census_jax jax;
};

/* Is a file of one of the libraries mapped, so that one may be loaded? Takes the dynamic loader's
 * lock of its list. Any thread, without the GIL. */
bool vg_census_arrays_may_exist(void);

/* Finds the libraries among the loaded modules. `device` as in struct vg_census_arrays. Returns
 * false when there is none. */
bool vg_census_arrays_find(const struct vg_census_python *python, int32_t device,
                           const char *jax_platform, struct vg_census_arrays *out);

/* The library of the arrays of `type`; VG_CENSUS_ARRAY_LIBRARIES: it is no type of arrays. */
enum vg_census_array_library vg_census_arrays_library(const struct vg_census_python *python,
                                                      const struct vg_census_arrays *arrays,
                                                      uintptr_t type);

/* The memory of an array: what tells it from other memory (its address, or that of the object that
 * stands for it), and its bytes, as the library took them: from its own pool, where it has one.
 * Returns false when the array has none, has none on the device in question, or it cannot be read.
 */
bool vg_census_arrays_read(const struct vg_census_python *python,
                           const struct vg_census_arrays *arrays,
                           enum vg_census_array_library library, uintptr_t array, uintptr_t *key,
                           uint64_t *bytes);

/* Writes the array's sizes and data type, without its amount. Returns false when they cannot be
 * read. */
bool vg_census_arrays_describe(const struct vg_census_python *python,
                               const struct vg_census_arrays *arrays,
                               enum vg_census_array_library library, uintptr_t array,
                               struct vg_census_shape *out);

#endif
