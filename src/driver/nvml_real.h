/* The real functions of an NVML that the program has loaded, for the wrappers that stand for them.
 * Our own questions to NVML go another way: nvml.h. */
#ifndef VRAMGUARD_DRIVER_NVML_REAL_H
#define VRAMGUARD_DRIVER_NVML_REAL_H

#include <stdbool.h>
#include <stddef.h>

#include "driver/nvml_abi.h"

enum vg_nvml_id {
#define VG_NVML(symbol, ...) VG_NVML_FN_##symbol,
#include "driver/nvml_table.h"
#undef VG_NVML
    VG_NVML_FN_COUNT
};

struct vg_nvml_real {
#define VG_NVML(symbol, parameters) nvmlReturn_t(*symbol) parameters;
#include "driver/nvml_table.h"
#undef VG_NVML
    nvmlReturn_t (*nvmlDeviceGetUUID)(nvmlDevice_t, char *, unsigned int);
};

/* Written by vg_nvml_bind before it first returns true; constant afterwards. */
extern struct vg_nvml_real vg_nvml_real;

/* Names of the wrapped functions, by id. */
extern const char *const vg_nvml_symbols[VG_NVML_FN_COUNT];

/* The real address of function `id`, NULL when it is not bound or NVML has none. */
static inline void *vg_nvml_address(enum vg_nvml_id id)
{
    return __atomic_load_n((void **)&vg_nvml_real + id, __ATOMIC_RELAXED);
}

/* Looks for a loaded libnvidia-ml.so.1 (by DT_SONAME) and resolves the above from its symbol table,
 * under the rules of vg_driver_bind. Returns whether it is bound. Any thread. */
bool vg_nvml_bind(void);

#endif
