/* The exported functions: prototypes of all wrappers, derived from the function table, and looking
 * them up. A row marked HOOK without a wrapper fails to link. */
#ifndef VRAMGUARD_HOOK_WRAPPERS_H
#define VRAMGUARD_HOOK_WRAPPERS_H

#include <stdbool.h>
#include <stddef.h>

#include "driver/driver.h"

#define VG_EXPORT __attribute__((visibility("default")))

#define VG_DECLARE_HOOK(symbol, parameters)  VG_EXPORT CUresult symbol parameters;
#define VG_DECLARE_WATCH(symbol, parameters) VG_EXPORT CUresult symbol parameters;
#define VG_DECLARE_CALL(symbol, parameters)
#define VG_CUDA(symbol, name, version, flags, use, parameters, arguments)                          \
    VG_DECLARE_##use(symbol, parameters)
#include "driver/cuda_table.h"
#undef VG_CUDA

/* The real call of a wrapper whose call is not guarded now. A driver without the function cannot be
 * asked. `arguments` are in parentheses. */
#define VG_PASS(symbol, arguments)                                                                 \
    (vg_driver_has(VG_FN_##symbol) ? vg_driver.symbol arguments : CUDA_ERROR_NOT_FOUND)

/* The wrapper for the driver's exported `symbol`: its id, or -1. No driver needed. */
int vg_wrapper_find(const char *symbol);

/* Our function that stands for `id`; NULL when it is not wrapped. */
void *vg_wrapper_address(enum vg_function_id id);

/* What a program is to get instead of `found`, which the driver's lookup of the exported `symbol`
 * returned: our wrapper if `found` is exactly the real function, else `found`. */
void *vg_wrapper_for_symbol(const char *symbol, void *found);

/* The same for what cuGetProcAddress returned for the base name `name`: any version of it. */
void *vg_wrapper_for_name(const char *name, void *found);

#endif
