#include "oom/census_arrays.h"

#include <string.h>

#include "os/loader.h"

enum {
    WEAK_REFERENT = 16, /* PyWeakReference.wr_object: of a proxy, what it stands for */
    DTYPE_SCALAR = 16,  /* PyArray_Descr.typeobj (numpy/ndarraytypes.h) */
};

/* ---- are they there at all? ---- */

static int is_of_library(struct dl_phdr_info *info, size_t size, void *unused)
{
    static const char *const folders[] = { "/cupy/", "/numba/", "/jaxlib/" };
    (void)size;
    (void)unused;
    for (size_t i = 0; info->dlpi_name && i < sizeof folders / sizeof folders[0]; i++)
        if (strstr(info->dlpi_name, folders[i]))
            return 1;
    return 0;
}

bool vg_census_arrays_may_exist(void)
{
    return vg_loader_each_object(is_of_library, NULL) != 0;
}

/* ---- finding them ---- */

/* All are C attributes of extension types (cupy/_core/core.pxd, cupy/cuda/memory.pxd). */
static void find_cupy(const struct vg_census_python *python, struct vg_census_arrays *out)
{
    const uintptr_t array = vg_census_module_type(python, "cupy._core.core", "ndarray");
    const uintptr_t pointer = vg_census_module_type(python, "cupy.cuda.memory", "MemoryPointer");
    const uintptr_t memory = vg_census_module_type(python, "cupy.cuda.memory", "BaseMemory");
    if (!array || !pointer || !memory)
        return;
    out->cupy.data = vg_census_torch_getter(python, array, "data");
    out->cupy.mem = vg_census_torch_getter(python, pointer, "mem");
    out->cupy.address = vg_census_torch_getter(python, memory, "ptr");
    out->cupy.size = vg_census_torch_getter(python, memory, "size");
    out->cupy.device = vg_census_torch_getter(python, memory, "device_id");
    out->cupy.shape = vg_census_torch_getter(python, array, "shape");
    out->cupy.dtype = vg_census_torch_getter(python, array, "dtype");
    out->cupy.managed = vg_census_module_type(python, "cupy.cuda.memory", "ManagedMemory");
    if (!out->cupy.data.get || !out->cupy.mem.get || !out->cupy.address.get || !out->cupy.size.get)
        return;
    out->cupy.array = array;
    out->cupy.pointer = pointer;
    out->cupy.memory = memory;
}

static void find_numba(const struct vg_census_python *python, struct vg_census_arrays *out)
{
    const uintptr_t array =
        vg_census_module_type(python, "numba.cuda.cudadrv.devicearray", "DeviceNDArrayBase");
    const uintptr_t pointer =
        vg_census_module_type(python, "numba.cuda.cudadrv.driver", "MemoryPointer");
    if (!array || !pointer)
        return;
    out->numba.array = array;
    out->numba.pointer = pointer;
    out->numba.mapped = vg_census_module_type(python, "numba.cuda.cudadrv.driver", "MappedMemory");
    out->numba.managed =
        vg_census_module_type(python, "numba.cuda.cudadrv.driver", "ManagedMemory");
}

bool vg_census_arrays_find(const struct vg_census_python *python, int32_t device,
                           const char *jax_platform, struct vg_census_arrays *out)
{
    *out = (struct vg_census_arrays){ .device = device, .jax_platform = jax_platform };
    find_cupy(python, out);
    find_numba(python, out);
    vg_census_jax_find(python, &out->jax);
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

/* Is CuPy's `memory` the device's own? */
static bool is_cupys_device(const struct vg_census_python *python,
                            const struct vg_census_arrays *arrays, uintptr_t memory)
{
    return arrays->device < 0 ||
           (vg_object_type(memory) != arrays->cupy.managed &&
            vg_census_take_count(python, vg_census_torch_get(python, &arrays->cupy.device,
                                                             memory)) == arrays->device);
}

/* 0: it is no number. Takes the reference over. */
static uint64_t take_number(const struct vg_census_python *python, uintptr_t object)
{
    const int64_t count = vg_census_take_count(python, object);
    return count > 0 ? (uint64_t)count : 0;
}

static bool read_cupy(const struct vg_census_python *python, const struct vg_census_arrays *arrays,
                      uintptr_t array, uintptr_t *key, uint64_t *bytes)
{
    const uintptr_t pointer = vg_census_torch_get(python, &arrays->cupy.data, array);
    const bool is_pointer = pointer && vg_object_type(pointer) == arrays->cupy.pointer;
    const uintptr_t memory =
        is_pointer ? vg_census_torch_get(python, &arrays->cupy.mem, pointer) : 0;
    *key = 0;
    if (memory && python->is_subtype((void *)vg_object_type(memory), (void *)arrays->cupy.memory) &&
        is_cupys_device(python, arrays, memory)) {
        *key = take_number(python, vg_census_torch_get(python, &arrays->cupy.address, memory));
        *bytes = take_number(python, vg_census_torch_get(python, &arrays->cupy.size, memory));
    }
    python->api->drop((void *)memory);
    python->api->drop((void *)pointer);
    return *key != 0;
}

/* What an instance of a class written in Python has under the name, behind weak proxies; 0:
 * nothing.
 */
static uintptr_t attribute_of(const struct vg_census_python *python, uintptr_t object,
                              const char *name)
{
    while (object && vg_object_type(object) == (uintptr_t)python->proxy)
        object = vg_python_word(object + WEAK_REFERENT);
    const bool is_instance = object && (vg_type_flags(vg_object_type(object)) & VG_TYPE_IS_HEAP);
    const uintptr_t dict = is_instance ? vg_census_instance_dict(python, object) : 0;
    return dict ? vg_census_dict_find(python, dict, name) : 0;
}

/* Is numba's `memory` the device's own, and taken by numba? Views of others' memory have an owner.
 */
static bool is_numbas_device(const struct vg_census_python *python,
                             const struct vg_census_arrays *arrays, uintptr_t memory)
{
    const uintptr_t type = vg_object_type(memory);
    if (arrays->device < 0)
        return true;
    const uintptr_t context = attribute_of(python, memory, "context");
    const uintptr_t device = attribute_of(python, context, "device");
    const uintptr_t number = attribute_of(python, device, "id");
    const uintptr_t owner = attribute_of(python, memory, "_owner");
    if (!number || owner != (uintptr_t)python->api->none || type == arrays->numba.mapped ||
        type == arrays->numba.managed)
        return false;
    python->api->take((void *)number);
    return vg_census_take_count(python, number) == arrays->device;
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
        if (!size || !python->is_subtype((void *)type, (void *)arrays->numba.pointer) ||
            !is_numbas_device(python, arrays, memory))
            return false;
        python->api->take((void *)size);
        *key = memory;
        *bytes = take_number(python, size);
        return true;
    }
    return false;
}

bool vg_census_arrays_read(const struct vg_census_python *python,
                           const struct vg_census_arrays *arrays,
                           enum vg_census_array_library library, uintptr_t array, uintptr_t *key,
                           uint64_t *bytes)
{
    switch (library) {
    case VG_CENSUS_CUPY: return read_cupy(python, arrays, array, key, bytes);
    case VG_CENSUS_NUMBA: return read_numba(python, arrays, array, key, bytes);
    case VG_CENSUS_JAX:
        *key = array; /* asking for its address waits for computations under way */
        *bytes =
            vg_census_jax_bytes(python, &arrays->jax, arrays->device, arrays->jax_platform, array);
        return *bytes != 0;
    case VG_CENSUS_ARRAY_LIBRARIES: break;
    }
    return false;
}

/* ---- what they look like ---- */

/* "float32": the name of the type of numpy's numbers that `dtype`, a numpy.dtype, stands for. */
static void write_dtype(const struct vg_census_python *python, uintptr_t dtype, char *out,
                        size_t cap)
{
    const uintptr_t base = vg_census_module_type(python, "numpy", "dtype");
    out[0] = '\0';
    if (!dtype || !base || !python->is_subtype((void *)vg_object_type(dtype), (void *)base))
        return;
    const uintptr_t scalar = vg_python_word(dtype + DTYPE_SCALAR);
    if (scalar && (vg_type_flags(vg_object_type(scalar)) & VG_TYPE_IS_TYPE))
        vg_census_type_name(scalar, out, cap);
}

/* Owned, both; 0: unknown. */
static void find_facts(const struct vg_census_python *python, const struct vg_census_arrays *arrays,
                       enum vg_census_array_library library, uintptr_t array, uintptr_t *shape,
                       uintptr_t *dtype)
{
    *shape = *dtype = 0;
    if (library == VG_CENSUS_CUPY) {
        *shape = vg_census_torch_get(python, &arrays->cupy.shape, array);
        *dtype = vg_census_torch_get(python, &arrays->cupy.dtype, array);
    } else if (library == VG_CENSUS_NUMBA) {
        *shape = attribute_of(python, array, "shape");
        *dtype = attribute_of(python, array, "dtype");
        python->api->take((void *)*shape);
        python->api->take((void *)*dtype);
    } else {
        vg_census_jax_facts(python, &arrays->jax, array, shape, dtype);
    }
}

bool vg_census_arrays_describe(const struct vg_census_python *python,
                               const struct vg_census_arrays *arrays,
                               enum vg_census_array_library library, uintptr_t array,
                               struct vg_census_shape *out)
{
    uintptr_t shape, dtype;
    *out = (struct vg_census_shape){ 0 };
    find_facts(python, arrays, library, array, &shape, &dtype);
    const bool is_known = shape && vg_census_read_sizes(python, shape, out);
    write_dtype(python, dtype, out->dtype, sizeof out->dtype);
    python->api->drop((void *)dtype);
    python->api->drop((void *)shape);
    return is_known;
}
