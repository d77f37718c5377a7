/* The part of NVML's binary interface that vramguard depends on, declared by hand. Names, values
 * and layouts are those of the "NVML API Reference Guide". */
#ifndef VRAMGUARD_DRIVER_NVML_ABI_H
#define VRAMGUARD_DRIVER_NVML_ABI_H

typedef int nvmlReturn_t;
typedef struct nvmlDevice_st *nvmlDevice_t;

enum {
    NVML_SUCCESS = 0,
    NVML_ERROR_UNINITIALIZED = 1,
    NVML_ERROR_INSUFFICIENT_SIZE = 7,
    NVML_ERROR_FUNCTION_NOT_FOUND = 13,
};

typedef struct nvmlMemory_st {
    unsigned long long total, free, used;
} nvmlMemory_t;

/* What the driver keeps for itself is `reserved`: total = reserved + free + used. */
typedef struct nvmlMemory_v2_st {
    unsigned int version; /* set by the caller */
    unsigned long long total, reserved, free, used;
} nvmlMemory_v2_t;

/* Of the functions _v2 and _v3. */
typedef struct nvmlProcessInfo_st {
    unsigned int pid;
    unsigned long long usedGpuMemory; /* all ones: not available */
    unsigned int gpuInstanceId, computeInstanceId;
} nvmlProcessInfo_t;

typedef struct nvmlPciInfo_st {
    char busIdLegacy[16];
    unsigned int domain, bus, device, pciDeviceId, pciSubSystemId;
    char busId[32];
} nvmlPciInfo_t;

#endif
