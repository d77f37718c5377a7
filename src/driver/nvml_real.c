#include "driver/nvml_real.h"

#include <dlfcn.h>
#include <stdatomic.h>

#include "os/elf_symbol.h"
#include "os/loader.h"

struct vg_nvml_real vg_nvml_real;

const char *const vg_nvml_symbols[VG_NVML_FN_COUNT] = {
#define VG_NVML(symbol, ...) #symbol,
#include "driver/nvml_table.h"
#undef VG_NVML
};

_Static_assert(sizeof vg_nvml_real == (VG_NVML_FN_COUNT + 1) * sizeof(void *),
               "one pointer a row, and one for the UUID");

static void store_function(int place, const struct vg_elf_object *object, const char *symbol)
{
    __atomic_store_n((void **)&vg_nvml_real + place, vg_elf_symbol(object, symbol),
                     __ATOMIC_RELAXED);
}

bool vg_nvml_bind(void)
{
    static atomic_bool bound;
    if (atomic_load_explicit(&bound, memory_order_acquire))
        return true;
    struct vg_elf_object object;
    if (vg_elf_find_soname("libnvidia-ml.so.1", &object) != 0)
        return false;
    /* Known to be loaded, so this cannot fail and leave an error text behind. */
    if (!vg_loader_open(object.path, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE))
        return false;
    /* Several threads may come here at once; all of them store the same values. */
    for (int id = 0; id < VG_NVML_FN_COUNT; id++)
        store_function(id, &object, vg_nvml_symbols[id]);
    store_function(VG_NVML_FN_COUNT, &object, "nvmlDeviceGetUUID");
    atomic_store_explicit(&bound, true, memory_order_release);
    return true;
}
