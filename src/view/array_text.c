#include "view/array_text.h"

/* Sources: CuPy's "Memory Management" and cupy.asnumpy; numba's "Memory management" (CUDA Array
 * Interface, DeviceNDArray.copy_to_host); jax.device_get. */
static const struct vg_array_text texts[VG_CENSUS_ARRAY_LIBRARIES] = {
    [VG_CENSUS_CUPY] = { "CuPy", "CuPy arrays", "cupy.asnumpy(x)",
                         "; CuPy's pool keeps what is deleted until "
                         "cupy.get_default_memory_pool().free_all_blocks()" },
    [VG_CENSUS_NUMBA] = { "numba", "numba device arrays", "x.copy_to_host()", "" },
    [VG_CENSUS_JAX] = { "JAX", "JAX arrays", "jax.device_get(x)", "" },
};

const struct vg_array_text *vg_array_text_of(enum vg_census_array_library library)
{
    return &texts[library];
}

void vg_array_text_add_shape(struct vg_text *out, const struct vg_census_shape *shape)
{
    vg_text_addf(out, "%s (", shape->dtype[0] ? shape->dtype : "?");
    for (uint32_t i = 0; i < shape->rank && i < VG_CENSUS_RANK; i++)
        vg_text_addf(out, "%s%lld", i > 0 ? ", " : "", (long long)shape->sizes[i]);
    if (shape->rank > VG_CENSUS_RANK)
        vg_text_add(out, ", ...");
    vg_text_add(out, shape->rank == 1 ? ",)" : ")");
}
