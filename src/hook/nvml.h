/* The exported NVML functions, and looking them up. */
#ifndef VRAMGUARD_HOOK_NVML_H
#define VRAMGUARD_HOOK_NVML_H

#include "driver/nvml_real.h"
#include "hook/wrappers.h"

#define VG_NVML(symbol, parameters) VG_EXPORT nvmlReturn_t symbol parameters;
#include "driver/nvml_table.h"
#undef VG_NVML

/* Our function that stands for NVML's exported `symbol`; NULL when it is not wrapped. */
void *vg_nvml_wrapper(const char *symbol);

/* What a program is to get instead of `found`, which NVML's lookup of `symbol` returned: our
 * wrapper if `found` is exactly the real function, else `found`. */
void *vg_nvml_wrapper_for_symbol(const char *symbol, void *found);

#endif
