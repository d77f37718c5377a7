/* The NVML functions that vramguard wraps, so that they tell a limit:
 *
 *   VG_NVML(symbol, parameters)
 *
 * Derived from it: ids, pointers to the real ones, prototypes and name lookup of the wrappers, the
 * linker's export list. src/hook/nvml.c holds a wrapper of each name. */
/* clang-format off */
VG_NVML(nvmlDeviceGetMemoryInfo, (nvmlDevice_t device, nvmlMemory_t *memory))
VG_NVML(nvmlDeviceGetMemoryInfo_v2, (nvmlDevice_t device, nvmlMemory_v2_t *memory))
