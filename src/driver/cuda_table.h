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
VG_CUDA(cuInit, cuInit, 2000, 0, WATCH, (unsigned int flags), (flags))
VG_CUDA(cuDriverGetVersion, cuDriverGetVersion, 2020, 0, CALL, (int *version), (version))

VG_CUDA(cuDeviceGetCount, cuDeviceGetCount, 2000, 0, CALL, (int *count), (count))
VG_CUDA(cuDeviceGetName, cuDeviceGetName, 2000, 0, CALL, (char *name, int cap, CUdevice device), (name, cap, device))
VG_CUDA(cuDeviceGetUuid, cuDeviceGetUuid, 9020, 0, CALL, (CUuuid *uuid, CUdevice device), (uuid, device))
VG_CUDA(cuDeviceGetUuid_v2, cuDeviceGetUuid, 11040, 0, CALL, (CUuuid *uuid, CUdevice device), (uuid, device))
VG_CUDA(cuDeviceTotalMem_v2, cuDeviceTotalMem, 3020, 0, CALL, (size_t *bytes, CUdevice device), (bytes, device))
VG_CUDA(cuDeviceGetPCIBusId, cuDeviceGetPCIBusId, 4010, 0, CALL, (char *id, int cap, CUdevice device), (id, cap, device))
VG_CUDA(cuDeviceGetDefaultMemPool, cuDeviceGetDefaultMemPool, 11020, 0, CALL, (CUmemoryPool *pool, CUdevice device), (pool, device))
VG_CUDA(cuDeviceGetGraphMemAttribute, cuDeviceGetGraphMemAttribute, 11040, 0, CALL, (CUdevice device, CUgraphMem_attribute attribute, void *value), (device, attribute, value))
VG_CUDA(cuDeviceGraphMemTrim, cuDeviceGraphMemTrim, 11040, 0, CALL, (CUdevice device), (device))

VG_CUDA(cuCtxGetCurrent, cuCtxGetCurrent, 4000, 0, CALL, (CUcontext *context), (context))
VG_CUDA(cuCtxSetCurrent, cuCtxSetCurrent, 4000, 0, CALL, (CUcontext context), (context))
VG_CUDA(cuCtxGetDevice, cuCtxGetDevice, 2000, 0, CALL, (CUdevice *device), (device))
VG_CUDA(cuCtxCreate, cuCtxCreate, 2000, 0, HOOK, (CUcontext *context, unsigned int flags, CUdevice device), (context, flags, device))
VG_CUDA(cuCtxCreate_v2, cuCtxCreate, 3020, 0, HOOK, (CUcontext *context, unsigned int flags, CUdevice device), (context, flags, device))
VG_CUDA(cuCtxCreate_v3, cuCtxCreate, 11040, 0, HOOK, (CUcontext *context, struct CUexecAffinityParam_st *affinity, int affinity_count, unsigned int flags, CUdevice device), (context, affinity, affinity_count, flags, device))
VG_CUDA(cuCtxCreate_v4, cuCtxCreate, 12050, 0, HOOK, (CUcontext *context, struct CUctxCreateParams_st *how, unsigned int flags, CUdevice device), (context, how, flags, device))
VG_CUDA(cuCtxSetLimit, cuCtxSetLimit, 3010, 0, WATCH, (CUlimit limit, size_t value), (limit, value))
VG_CUDA(cuCtxDestroy, cuCtxDestroy, 2000, 0, HOOK, (CUcontext context), (context))
VG_CUDA(cuCtxDestroy_v2, cuCtxDestroy, 4000, 0, HOOK, (CUcontext context), (context))
VG_CUDA(cuDevicePrimaryCtxRetain, cuDevicePrimaryCtxRetain, 7000, 0, HOOK, (CUcontext *context, CUdevice device), (context, device))
VG_CUDA(cuDevicePrimaryCtxRelease, cuDevicePrimaryCtxRelease, 7000, 0, HOOK, (CUdevice device), (device))
VG_CUDA(cuDevicePrimaryCtxRelease_v2, cuDevicePrimaryCtxRelease, 11000, 0, HOOK, (CUdevice device), (device))
VG_CUDA(cuDevicePrimaryCtxReset, cuDevicePrimaryCtxReset, 7000, 0, HOOK, (CUdevice device), (device))
VG_CUDA(cuDevicePrimaryCtxReset_v2, cuDevicePrimaryCtxReset, 11000, 0, HOOK, (CUdevice device), (device))
VG_CUDA(cuDevicePrimaryCtxGetState, cuDevicePrimaryCtxGetState, 7000, 0, CALL, (CUdevice device, unsigned int *flags, int *active), (device, flags, active))

VG_CUDA(cuMemGetInfo_v2, cuMemGetInfo, 3020, 0, CALL, (size_t *free_bytes, size_t *total_bytes), (free_bytes, total_bytes))
VG_CUDA(cuMemAlloc, cuMemAlloc, 2000, 0, HOOK, (CUdeviceptr_v1 *address, unsigned int bytes), (address, bytes))
VG_CUDA(cuMemAlloc_v2, cuMemAlloc, 3020, 0, HOOK, (CUdeviceptr *address, size_t bytes), (address, bytes))
VG_CUDA(cuMemAllocPitch, cuMemAllocPitch, 2000, 0, HOOK, (CUdeviceptr_v1 *address, unsigned int *pitch_bytes, unsigned int width_bytes, unsigned int height, unsigned int element_bytes), (address, pitch_bytes, width_bytes, height, element_bytes))
VG_CUDA(cuMemAllocPitch_v2, cuMemAllocPitch, 3020, 0, HOOK, (CUdeviceptr *address, size_t *pitch_bytes, size_t width_bytes, size_t height, unsigned int element_bytes), (address, pitch_bytes, width_bytes, height, element_bytes))
VG_CUDA(cuMemAllocManaged, cuMemAllocManaged, 6000, 0, HOOK, (CUdeviceptr *address, size_t bytes, unsigned int flags), (address, bytes, flags))
VG_CUDA(cuMemFree, cuMemFree, 2000, 0, HOOK, (CUdeviceptr_v1 address), (address))
VG_CUDA(cuMemFree_v2, cuMemFree, 3020, 0, HOOK, (CUdeviceptr address), (address))

VG_CUDA(cuMemHostAlloc, cuMemHostAlloc, 2020, 0, HOOK, (void **address, size_t bytes, unsigned int flags), (address, bytes, flags))
VG_CUDA(cuMemAllocHost, cuMemAllocHost, 2000, 0, HOOK, (void **address, unsigned int bytes), (address, bytes))
VG_CUDA(cuMemAllocHost_v2, cuMemAllocHost, 3020, 0, HOOK, (void **address, size_t bytes), (address, bytes))
VG_CUDA(cuMemFreeHost, cuMemFreeHost, 2000, 0, HOOK, (void *address), (address))
VG_CUDA(cuMemHostRegister, cuMemHostRegister, 4000, 0, HOOK, (void *address, size_t bytes, unsigned int flags), (address, bytes, flags))
VG_CUDA(cuMemHostRegister_v2, cuMemHostRegister, 6050, 0, HOOK, (void *address, size_t bytes, unsigned int flags), (address, bytes, flags))
VG_CUDA(cuMemHostUnregister, cuMemHostUnregister, 4000, 0, HOOK, (void *address), (address))

VG_CUDA(cuMemAllocAsync, cuMemAllocAsync, 11020, 0, HOOK, (CUdeviceptr *address, size_t bytes, CUstream stream), (address, bytes, stream))
VG_CUDA(cuMemAllocAsync_ptsz, cuMemAllocAsync, 11020, 2, HOOK, (CUdeviceptr *address, size_t bytes, CUstream stream), (address, bytes, stream))
VG_CUDA(cuMemAllocFromPoolAsync, cuMemAllocFromPoolAsync, 11020, 0, HOOK, (CUdeviceptr *address, size_t bytes, CUmemoryPool pool, CUstream stream), (address, bytes, pool, stream))
VG_CUDA(cuMemAllocFromPoolAsync_ptsz, cuMemAllocFromPoolAsync, 11020, 2, HOOK, (CUdeviceptr *address, size_t bytes, CUmemoryPool pool, CUstream stream), (address, bytes, pool, stream))
VG_CUDA(cuMemFreeAsync, cuMemFreeAsync, 11020, 0, HOOK, (CUdeviceptr address, CUstream stream), (address, stream))
VG_CUDA(cuMemFreeAsync_ptsz, cuMemFreeAsync, 11020, 2, HOOK, (CUdeviceptr address, CUstream stream), (address, stream))
VG_CUDA(cuMemPoolCreate, cuMemPoolCreate, 11020, 0, HOOK, (CUmemoryPool *pool, const CUmemPoolProps *properties), (pool, properties))
VG_CUDA(cuMemPoolDestroy, cuMemPoolDestroy, 11020, 0, HOOK, (CUmemoryPool pool), (pool))
VG_CUDA(cuMemPoolGetAttribute, cuMemPoolGetAttribute, 11020, 0, CALL, (CUmemoryPool pool, CUmemPool_attribute attribute, void *value), (pool, attribute, value))
VG_CUDA(cuMemPoolTrimTo, cuMemPoolTrimTo, 11020, 0, CALL, (CUmemoryPool pool, size_t keep_bytes), (pool, keep_bytes))
VG_CUDA(cuStreamIsCapturing, cuStreamIsCapturing, 10000, 0, CALL, (CUstream stream, CUstreamCaptureStatus *status), (stream, status))
VG_CUDA(cuStreamIsCapturing_ptsz, cuStreamIsCapturing, 10000, 2, CALL, (CUstream stream, CUstreamCaptureStatus *status), (stream, status))
VG_CUDA(cuThreadExchangeStreamCaptureMode, cuThreadExchangeStreamCaptureMode, 10010, 0, CALL, (CUstreamCaptureMode *mode), (mode))

VG_CUDA(cuMemCreate, cuMemCreate, 10020, 0, HOOK, (CUmemGenericAllocationHandle *handle, size_t bytes, const CUmemAllocationProp *properties, unsigned long long flags), (handle, bytes, properties, flags))
VG_CUDA(cuMemRelease, cuMemRelease, 10020, 0, HOOK, (CUmemGenericAllocationHandle handle), (handle))
VG_CUDA(cuMemRetainAllocationHandle, cuMemRetainAllocationHandle, 11000, 0, HOOK, (CUmemGenericAllocationHandle *handle, void *address), (handle, address))
VG_CUDA(cuMemMap, cuMemMap, 10020, 0, HOOK, (CUdeviceptr address, size_t bytes, size_t offset, CUmemGenericAllocationHandle handle, unsigned long long flags), (address, bytes, offset, handle, flags))
VG_CUDA(cuMemUnmap, cuMemUnmap, 10020, 0, HOOK, (CUdeviceptr address, size_t bytes), (address, bytes))
VG_CUDA(cuMemImportFromShareableHandle, cuMemImportFromShareableHandle, 10020, 0, WATCH, (CUmemGenericAllocationHandle *handle, void *os_handle, CUmemAllocationHandleType type), (handle, os_handle, type))
VG_CUDA(cuMemAddressReserve, cuMemAddressReserve, 10020, 0, WATCH, (CUdeviceptr *address, size_t bytes, size_t alignment, CUdeviceptr wanted, unsigned long long flags), (address, bytes, alignment, wanted, flags))
VG_CUDA(cuMemSetAccess, cuMemSetAccess, 10020, 0, WATCH, (CUdeviceptr address, size_t bytes, const struct CUmemAccessDesc_st *descriptors, size_t count), (address, bytes, descriptors, count))
VG_CUDA(cuMulticastCreate, cuMulticastCreate, 12010, 0, WATCH, (CUmemGenericAllocationHandle *handle, const struct CUmulticastObjectProp_st *properties), (handle, properties))

VG_CUDA(cuArrayCreate, cuArrayCreate, 2000, 0, HOOK, (CUarray *array, const CUDA_ARRAY_DESCRIPTOR_v1 *descriptor), (array, descriptor))
VG_CUDA(cuArrayCreate_v2, cuArrayCreate, 3020, 0, HOOK, (CUarray *array, const CUDA_ARRAY_DESCRIPTOR *descriptor), (array, descriptor))
VG_CUDA(cuArray3DCreate, cuArray3DCreate, 2000, 0, HOOK, (CUarray *array, const CUDA_ARRAY3D_DESCRIPTOR_v1 *descriptor), (array, descriptor))
VG_CUDA(cuArray3DCreate_v2, cuArray3DCreate, 3020, 0, HOOK, (CUarray *array, const CUDA_ARRAY3D_DESCRIPTOR *descriptor), (array, descriptor))
VG_CUDA(cuArrayDestroy, cuArrayDestroy, 2000, 0, HOOK, (CUarray array), (array))
VG_CUDA(cuMipmappedArrayCreate, cuMipmappedArrayCreate, 5000, 0, HOOK, (CUmipmappedArray *array, const CUDA_ARRAY3D_DESCRIPTOR *descriptor, unsigned int levels), (array, descriptor, levels))
VG_CUDA(cuMipmappedArrayDestroy, cuMipmappedArrayDestroy, 5000, 0, HOOK, (CUmipmappedArray array), (array))

VG_CUDA(cuIpcOpenMemHandle, cuIpcOpenMemHandle, 4010, 0, WATCH, (CUdeviceptr *address, CUipcMemHandle handle, unsigned int flags), (address, handle, flags))
VG_CUDA(cuIpcOpenMemHandle_v2, cuIpcOpenMemHandle, 11000, 0, WATCH, (CUdeviceptr *address, CUipcMemHandle handle, unsigned int flags), (address, handle, flags))
VG_CUDA(cuImportExternalMemory, cuImportExternalMemory, 10000, 0, WATCH, (CUexternalMemory *memory, const struct CUDA_EXTERNAL_MEMORY_HANDLE_DESC_st *descriptor), (memory, descriptor))
VG_CUDA(cuExternalMemoryGetMappedBuffer, cuExternalMemoryGetMappedBuffer, 10000, 0, WATCH, (CUdeviceptr *address, CUexternalMemory memory, const struct CUDA_EXTERNAL_MEMORY_BUFFER_DESC_st *descriptor), (address, memory, descriptor))

VG_CUDA(cuMemPrefetchAsync, cuMemPrefetchAsync, 8000, 0, WATCH, (CUdeviceptr address, size_t bytes, CUdevice device, CUstream stream), (address, bytes, device, stream))
VG_CUDA(cuMemPrefetchAsync_ptsz, cuMemPrefetchAsync, 8000, 2, WATCH, (CUdeviceptr address, size_t bytes, CUdevice device, CUstream stream), (address, bytes, device, stream))
VG_CUDA(cuMemPrefetchAsync_v2, cuMemPrefetchAsync, 12020, 0, WATCH, (CUdeviceptr address, size_t bytes, CUmemLocation location, unsigned int flags, CUstream stream), (address, bytes, location, flags, stream))
VG_CUDA(cuMemPrefetchAsync_v2_ptsz, cuMemPrefetchAsync, 12020, 2, WATCH, (CUdeviceptr address, size_t bytes, CUmemLocation location, unsigned int flags, CUstream stream), (address, bytes, location, flags, stream))
VG_CUDA(cuStreamCreate, cuStreamCreate, 2000, 0, WATCH, (CUstream *stream, unsigned int flags), (stream, flags))
VG_CUDA(cuStreamCreateWithPriority, cuStreamCreateWithPriority, 5050, 0, WATCH, (CUstream *stream, unsigned int flags, int priority), (stream, flags, priority))
VG_CUDA(cuEventCreate, cuEventCreate, 2000, 0, WATCH, (CUevent *event, unsigned int flags), (event, flags))

VG_CUDA(cuGraphInstantiate, cuGraphInstantiate, 10000, 0, WATCH, (CUgraphExec *executable, CUgraph graph, CUgraphNode *error_node, char *log, size_t log_bytes), (executable, graph, error_node, log, log_bytes))
VG_CUDA(cuGraphInstantiate_v2, cuGraphInstantiate, 11000, 0, WATCH, (CUgraphExec *executable, CUgraph graph, CUgraphNode *error_node, char *log, size_t log_bytes), (executable, graph, error_node, log, log_bytes))
VG_CUDA(cuGraphInstantiateWithFlags, cuGraphInstantiateWithFlags, 11040, 0, WATCH, (CUgraphExec *executable, CUgraph graph, unsigned long long flags), (executable, graph, flags))
VG_CUDA(cuGraphInstantiateWithParams, cuGraphInstantiateWithParams, 12000, 0, WATCH, (CUgraphExec *executable, CUgraph graph, struct CUDA_GRAPH_INSTANTIATE_PARAMS_st *how), (executable, graph, how))
VG_CUDA(cuGraphInstantiateWithParams_ptsz, cuGraphInstantiateWithParams, 12000, 2, WATCH, (CUgraphExec *executable, CUgraph graph, struct CUDA_GRAPH_INSTANTIATE_PARAMS_st *how), (executable, graph, how))
VG_CUDA(cuGraphUpload, cuGraphUpload, 11010, 0, WATCH, (CUgraphExec executable, CUstream stream), (executable, stream))
VG_CUDA(cuGraphUpload_ptsz, cuGraphUpload, 11010, 2, WATCH, (CUgraphExec executable, CUstream stream), (executable, stream))
VG_CUDA(cuGraphLaunch, cuGraphLaunch, 10000, 0, WATCH, (CUgraphExec executable, CUstream stream), (executable, stream))
VG_CUDA(cuGraphLaunch_ptsz, cuGraphLaunch, 10000, 2, WATCH, (CUgraphExec executable, CUstream stream), (executable, stream))

VG_CUDA(cuModuleLoad, cuModuleLoad, 2000, 0, WATCH, (CUmodule *module, const char *path), (module, path))
VG_CUDA(cuModuleLoadData, cuModuleLoadData, 2000, 0, WATCH, (CUmodule *module, const void *image), (module, image))
VG_CUDA(cuModuleLoadDataEx, cuModuleLoadDataEx, 2010, 0, WATCH, (CUmodule *module, const void *image, unsigned int count, CUjit_option *options, void **values), (module, image, count, options, values))
VG_CUDA(cuModuleLoadFatBinary, cuModuleLoadFatBinary, 2000, 0, WATCH, (CUmodule *module, const void *image), (module, image))
VG_CUDA(cuModuleGetFunction, cuModuleGetFunction, 2000, 0, WATCH, (CUfunction *function, CUmodule module, const char *name), (function, module, name))
VG_CUDA(cuModuleGetGlobal, cuModuleGetGlobal, 2000, 0, WATCH, (CUdeviceptr_v1 *address, unsigned int *bytes, CUmodule module, const char *name), (address, bytes, module, name))
VG_CUDA(cuModuleGetGlobal_v2, cuModuleGetGlobal, 3020, 0, WATCH, (CUdeviceptr *address, size_t *bytes, CUmodule module, const char *name), (address, bytes, module, name))
VG_CUDA(cuLinkComplete, cuLinkComplete, 5050, 0, WATCH, (CUlinkState state, void **image, size_t *bytes), (state, image, bytes))
VG_CUDA(cuLibraryLoadData, cuLibraryLoadData, 12000, 0, WATCH, (CUlibrary *library, const void *code, CUjit_option *jit_options, void **jit_values, unsigned int jit_count, CUlibraryOption *options, void **values, unsigned int count), (library, code, jit_options, jit_values, jit_count, options, values, count))
VG_CUDA(cuLibraryLoadFromFile, cuLibraryLoadFromFile, 12000, 0, WATCH, (CUlibrary *library, const char *path, CUjit_option *jit_options, void **jit_values, unsigned int jit_count, CUlibraryOption *options, void **values, unsigned int count), (library, path, jit_options, jit_values, jit_count, options, values, count))
VG_CUDA(cuKernelGetFunction, cuKernelGetFunction, 12000, 0, WATCH, (CUfunction *function, CUkernel kernel), (function, kernel))
VG_CUDA(cuFuncLoad, cuFuncLoad, 12040, 0, WATCH, (CUfunction function), (function))
VG_CUDA(cuLaunchKernel, cuLaunchKernel, 4000, 0, WATCH, (CUfunction function, unsigned int grid_x, unsigned int grid_y, unsigned int grid_z, unsigned int block_x, unsigned int block_y, unsigned int block_z, unsigned int shared_bytes, CUstream stream, void **arguments, void **extra), (function, grid_x, grid_y, grid_z, block_x, block_y, block_z, shared_bytes, stream, arguments, extra))
VG_CUDA(cuLaunchKernel_ptsz, cuLaunchKernel, 7000, 2, WATCH, (CUfunction function, unsigned int grid_x, unsigned int grid_y, unsigned int grid_z, unsigned int block_x, unsigned int block_y, unsigned int block_z, unsigned int shared_bytes, CUstream stream, void **arguments, void **extra), (function, grid_x, grid_y, grid_z, block_x, block_y, block_z, shared_bytes, stream, arguments, extra))
VG_CUDA(cuLaunchKernelEx, cuLaunchKernelEx, 11060, 0, WATCH, (const struct CUlaunchConfig_st *config, CUfunction function, void **arguments, void **extra), (config, function, arguments, extra))
VG_CUDA(cuLaunchKernelEx_ptsz, cuLaunchKernelEx, 11060, 2, WATCH, (const struct CUlaunchConfig_st *config, CUfunction function, void **arguments, void **extra), (config, function, arguments, extra))
VG_CUDA(cuLaunchCooperativeKernel, cuLaunchCooperativeKernel, 9000, 0, WATCH, (CUfunction function, unsigned int grid_x, unsigned int grid_y, unsigned int grid_z, unsigned int block_x, unsigned int block_y, unsigned int block_z, unsigned int shared_bytes, CUstream stream, void **arguments), (function, grid_x, grid_y, grid_z, block_x, block_y, block_z, shared_bytes, stream, arguments))
VG_CUDA(cuLaunchCooperativeKernel_ptsz, cuLaunchCooperativeKernel, 9000, 2, WATCH, (CUfunction function, unsigned int grid_x, unsigned int grid_y, unsigned int grid_z, unsigned int block_x, unsigned int block_y, unsigned int block_z, unsigned int shared_bytes, CUstream stream, void **arguments), (function, grid_x, grid_y, grid_z, block_x, block_y, block_z, shared_bytes, stream, arguments))

VG_CUDA(cuGetProcAddress, cuGetProcAddress, 11030, 0, HOOK, (const char *name, void **function, int version, cuuint64_t flags), (name, function, version, flags))
VG_CUDA(cuGetProcAddress_v2, cuGetProcAddress, 12000, 0, HOOK, (const char *name, void **function, int version, cuuint64_t flags, CUdriverProcAddressQueryResult *status), (name, function, version, flags, status))
