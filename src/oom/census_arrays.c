#include "oom/census_arrays.h"

#include <string.h>

enum { WEAK_REFERENT = 16 /* PyWeakReference.wr_object: of a proxy, what it stands for */ };

static uintptr_t type_in(const struct vg_census_python *python, const char *module,
                         const char *name)
{
    const uintptr_t dict = vg_census_module_dict(python, module);
    const uintptr_t found = dict ? vg_census_dict_find(python, dict, name) : 0;
    return found && (vg_type_flags(vg_object_type(found)) & VG_TYPE_IS_TYPE) ? found : 0;
}

/* ---- finding them ---- */

/* All are C attributes of extension types (cupy/_core/core.pxd, cupy/cuda/memory.pxd). */
static void find_cupy(const struct vg_census_python *python, struct vg_census_arrays *out)
{
    const uintptr_t array = type_in(python, "cupy._core.core", "ndarray");
    const uintptr_t pointer = type_in(python, "cupy.cuda.memory", "MemoryPointer");
    const uintptr_t memory = type_in(python, "cupy.cuda.memory", "BaseMemory");
    if (!array || !pointer || !memory)
        return;
    out->cupy.data = vg_census_torch_getter(python, array, "data");
    out->cupy.mem = vg_census_torch_getter(python, pointer, "mem");
    out->cupy.address = vg_census_torch_getter(python, memory, "ptr");
    out->cupy.size = vg_census_torch_getter(python, memory, "size");
    if (!out->cupy.data.get || !out->cupy.mem.get || !out->cupy.address.get || !out->cupy.size.get)
        return;
    out->cupy.array = array;
    out->cupy.pointer = pointer;
    out->cupy.memory = memory;
}

static void find_numba(const struct vg_census_python *python, struct vg_census_arrays *out)
{
    const uintptr_t array = type_in(python, "numba.cuda.cudadrv.devicearray", "DeviceNDArrayBase");
    const uintptr_t pointer = type_in(python, "numba.cuda.cudadrv.driver", "MemoryPointer");
    if (!array || !pointer)
        return;
    out->numba.array = array;
    out->numba.pointer = pointer;
}

/* A function that the type itself has, as written in C or C++; 0: none. */
static uintptr_t own_function(const struct vg_census_python *python, uintptr_t type,
                              const char *name)
{
    const uintptr_t dict = vg_python_word(type + VG_TYPE_DICT);
    const uintptr_t found = dict ? vg_census_dict_find(python, dict, name) : 0;
    return found && vg_object_type(found) != (uintptr_t)python->function ? found : 0;
}

static void find_jax(const struct vg_census_python *python, struct vg_census_arrays *out)
{
    const uintptr_t array = type_in(python, "jax._src.array", "ArrayImpl");
    if (!array)
        return;
    out->jax.is_deleted = own_function(python, array, "is_deleted");
    out->jax.bytes = own_function(python, array, "on_device_size_in_bytes");
    if (out->jax.is_deleted && out->jax.bytes)
        out->jax.array = array;
}

bool vg_census_arrays_find(const struct vg_census_python *python, struct vg_census_arrays *out)
{
    memset(out, 0, sizeof *out);
    find_cupy(python, out);
    find_numba(python, out);
    find_jax(python, out);
    return out->cupy.array || out->numba.array || out->jax.array;
}

enum vg_census_array_library vg_census_arrays_library(const struct vg_census_python *python,
                                                      const struct vg_census_arrays *arrays,
                                                      uintptr_t type)
{
    if (arrays->cupy.array && type == arrays->cupy.array)
        return VG_CENSUS_CUPY;
    if (arrays->jax.array && type == arrays->jax.array)
        return VG_CENSUS_JAX;
    if (arrays->numba.array && python->is_subtype((void *)type, (void *)arrays->numba.array))
        return VG_CENSUS_NUMBA;
    return VG_CENSUS_ARRAY_LIBRARIES;
}

/* ---- reading them ---- */

/* Takes the reference over. 0: it is no number. */
static uint64_t number_of(const struct vg_census_python *python, uintptr_t object)
{
    const bool is_number = object && vg_object_type(object) == (uintptr_t)python->number;
    const long long number = is_number ? python->integer((void *)object) : 0;
    if (is_number && number < 0)
        python->api->clear_error();
    python->api->drop((void *)object);
    return number > 0 ? (uint64_t)number : 0;
}

static bool read_cupy(const struct vg_census_python *python, const struct vg_census_arrays *arrays,
                      uintptr_t array, uintptr_t *key, uint64_t *bytes)
{
    const uintptr_t pointer = vg_census_torch_get(python, &arrays->cupy.data, array);
    const bool is_pointer = pointer && vg_object_type(pointer) == arrays->cupy.pointer;
    const uintptr_t memory =
        is_pointer ? vg_census_torch_get(python, &arrays->cupy.mem, pointer) : 0;
    *key = 0;
    if (memory && python->is_subtype((void *)vg_object_type(memory), (void *)arrays->cupy.memory)) {
        *key = number_of(python, vg_census_torch_get(python, &arrays->cupy.address, memory));
        *bytes = number_of(python, vg_census_torch_get(python, &arrays->cupy.size, memory));
    }
    python->api->drop((void *)memory);
    python->api->drop((void *)pointer);
    return *key != 0;
}

/* An array has its memory's pointer, or an object that owns a share of that: then `_mem` is a weak
 * proxy for it. The object that stands for the memory is what tells it, since its address is an
 * object of yet another library. */
static bool read_numba(const struct vg_census_python *python, const struct vg_census_arrays *arrays,
                       uintptr_t array, uintptr_t *key, uint64_t *bytes)
{
    const uintptr_t own = vg_census_instance_dict(python, array);
    uintptr_t memory = own ? vg_census_dict_find(python, own, "gpu_data") : 0;
    for (int step = 0; memory && step < 4; step++) {
        const uintptr_t type = vg_object_type(memory);
        const bool is_heap = vg_type_flags(type) & VG_TYPE_IS_HEAP;
        if (type == (uintptr_t)python->proxy) {
            memory = vg_python_word(memory + WEAK_REFERENT);
            continue;
        }
        const uintptr_t dict = is_heap ? vg_census_instance_dict(python, memory) : 0;
        const uintptr_t inner = dict ? vg_census_dict_find(python, dict, "_mem") : 0;
        if (inner) {
            memory = inner;
            continue;
        }
        const uintptr_t size = dict ? vg_census_dict_find(python, dict, "size") : 0;
        if (!size || !python->is_subtype((void *)type, (void *)arrays->numba.pointer))
            return false;
        python->api->take((void *)size);
        *key = memory;
        *bytes = number_of(python, size);
        return true;
    }
    return false;
}

static uintptr_t call_function(const struct vg_census_python *python, uintptr_t function,
                               uintptr_t array)
{
    void *const answer = python->api->call((void *)function, (void *)array, NULL);
    if (!answer)
        python->api->clear_error();
    return (uintptr_t)answer;
}

/* By the array itself: asking for its address waits for computations under way. */
static bool read_jax(const struct vg_census_python *python, const struct vg_census_arrays *arrays,
                     uintptr_t array, uintptr_t *key, uint64_t *bytes)
{
    const uintptr_t deleted = call_function(python, arrays->jax.is_deleted, array);
    const bool is_live = deleted && python->api->is_true((void *)deleted) == 0;
    python->api->drop((void *)deleted);
    *key = array;
    *bytes = is_live ? number_of(python, call_function(python, arrays->jax.bytes, array)) : 0;
    return *bytes != 0;
}

bool vg_census_arrays_read(const struct vg_census_python *python,
                           const struct vg_census_arrays *arrays,
                           enum vg_census_array_library library, uintptr_t array, uintptr_t *key,
                           uint64_t *bytes)
{
    switch (library) {
    case VG_CENSUS_CUPY: return read_cupy(python, arrays, array, key, bytes);
    case VG_CENSUS_NUMBA: return read_numba(python, arrays, array, key, bytes);
    case VG_CENSUS_JAX: return read_jax(python, arrays, array, key, bytes);
    case VG_CENSUS_ARRAY_LIBRARIES: break;
    }
    return false;
}
