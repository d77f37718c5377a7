/* The one list of CUDA driver functions that vramguard wraps or calls.
 *
 *   VG_CUDA(symbol, name, version, flags, use, parameters, arguments)
 *
 * symbol   as libcuda.so.1 exports it, version and stream suffixes included
 * name     base name, as cuGetProcAddress is asked for it
 * version  the CUDA version that introduced this symbol, as in cudaTypedefs.h
 * (PFN_<name>_v<version>) flags    of cuGetProcAddress: 0, or 2 for the per-thread default stream
 * form (_ptsz, _ptds) use      HOOK: exported by the library; src/hook holds the wrapper of that
 * name. CALL: only called. Any function may be missing from a driver; nothing here is called before
 * it is known to exist.
 *
 * Derived from it: ids, typed pointers and their resolution (driver.h, driver.c), prototypes and
 * name lookup of the wrappers (src/hook), the linker's export list, and the checks in test/abi,
 * test/unit and test/e2e. The order within a name is the order of its versions. */
/* clang-format off */
VG_CUDA(cuInit, cuInit, 2000, 0, CALL, (unsigned int flags), (flags))
VG_CUDA(cuDriverGetVersion, cuDriverGetVersion, 2020, 0, CALL, (int *version), (version))
VG_CUDA(cuGetErrorName, cuGetErrorName, 6000, 0, CALL, (CUresult error, const char **text), (error, text))

VG_CUDA(cuDeviceGetCount, cuDeviceGetCount, 2000, 0, CALL, (int *count), (count))
VG_CUDA(cuDeviceGetName, cuDeviceGetName, 2000, 0, CALL, (char *name, int cap, CUdevice device), (name, cap, device))
VG_CUDA(cuDeviceGetUuid, cuDeviceGetUuid, 9020, 0, CALL, (CUuuid *uuid, CUdevice device), (uuid, device))
VG_CUDA(cuDeviceGetUuid_v2, cuDeviceGetUuid, 11040, 0, CALL, (CUuuid *uuid, CUdevice device), (uuid, device))
VG_CUDA(cuDeviceTotalMem_v2, cuDeviceTotalMem, 3020, 0, CALL, (size_t *bytes, CUdevice device), (bytes, device))
VG_CUDA(cuDeviceGetPCIBusId, cuDeviceGetPCIBusId, 4010, 0, CALL, (char *id, int cap, CUdevice device), (id, cap, device))

VG_CUDA(cuCtxGetDevice, cuCtxGetDevice, 2000, 0, CALL, (CUdevice *device), (device))

VG_CUDA(cuMemGetInfo_v2, cuMemGetInfo, 3020, 0, CALL, (size_t *free_bytes, size_t *total_bytes), (free_bytes, total_bytes))
VG_CUDA(cuMemAlloc, cuMemAlloc, 2000, 0, HOOK, (CUdeviceptr_v1 *address, unsigned int bytes), (address, bytes))
VG_CUDA(cuMemAlloc_v2, cuMemAlloc, 3020, 0, HOOK, (CUdeviceptr *address, size_t bytes), (address, bytes))
VG_CUDA(cuMemAllocPitch, cuMemAllocPitch, 2000, 0, HOOK, (CUdeviceptr_v1 *address, unsigned int *pitch_bytes, unsigned int width_bytes, unsigned int height, unsigned int element_bytes), (address, pitch_bytes, width_bytes, height, element_bytes))
VG_CUDA(cuMemAllocPitch_v2, cuMemAllocPitch, 3020, 0, HOOK, (CUdeviceptr *address, size_t *pitch_bytes, size_t width_bytes, size_t height, unsigned int element_bytes), (address, pitch_bytes, width_bytes, height, element_bytes))
VG_CUDA(cuMemAllocManaged, cuMemAllocManaged, 6000, 0, HOOK, (CUdeviceptr *address, size_t bytes, unsigned int flags), (address, bytes, flags))
VG_CUDA(cuMemFree, cuMemFree, 2000, 0, HOOK, (CUdeviceptr_v1 address), (address))
VG_CUDA(cuMemFree_v2, cuMemFree, 3020, 0, HOOK, (CUdeviceptr address), (address))

VG_CUDA(cuDeviceGetDefaultMemPool, cuDeviceGetDefaultMemPool, 11020, 0, CALL, (CUmemoryPool *pool, CUdevice device), (pool, device))
VG_CUDA(cuMemPoolTrimTo, cuMemPoolTrimTo, 11020, 0, CALL, (CUmemoryPool pool, size_t keep_bytes), (pool, keep_bytes))
VG_CUDA(cuDeviceGraphMemTrim, cuDeviceGraphMemTrim, 11040, 0, CALL, (CUdevice device), (device))
VG_CUDA(cuThreadExchangeStreamCaptureMode, cuThreadExchangeStreamCaptureMode, 10010, 0, CALL, (int *mode), (mode))

VG_CUDA(cuGetProcAddress, cuGetProcAddress, 11030, 0, HOOK, (const char *name, void **function, int version, cuuint64_t flags), (name, function, version, flags))
VG_CUDA(cuGetProcAddress_v2, cuGetProcAddress, 12000, 0, HOOK, (const char *name, void **function, int version, cuuint64_t flags, CUdriverProcAddressQueryResult *status), (name, function, version, flags, status))
