/* The driver functions this runtime uses, each asked for once through cuGetProcAddress. Names are
 * unsuffixed and the version is the one in which that form of the function appeared ("CUDA Driver
 * API", sections named beside the rows; the versions are those of cudaTypedefs.h).
 *
 * PLAIN(member, name, version, parameters)
 *     one lookup with flags 0.
 * STREAM(member, name, version, per_thread_version, parameters)
 *     two lookups, flags 0 and flags 2: what the default stream means differs between them.
 *
 * Handles and structures that the runtime and the driver share bit for bit are declared with the
 * runtime's types, so that calls need no conversion. All functions return CUresult. */
#ifndef SIMGPU_CUDART_DRIVER_TABLE_H
#define SIMGPU_CUDART_DRIVER_TABLE_H

#include "driver_table_graph.h"
#include "driver_types.h"

#define DRIVER_TABLE_CORE(PLAIN, STREAM)                                                           \
    /* Initialization, version, devices */                                                         \
    PLAIN(cuInit, "cuInit", 2000, (unsigned int flags))                                            \
    PLAIN(cuDriverGetVersion, "cuDriverGetVersion", 2020, (int *version))                          \
    PLAIN(cuDeviceGet, "cuDeviceGet", 2000, (CUdevice * device, int ordinal))                      \
    PLAIN(cuDeviceGetCount, "cuDeviceGetCount", 2000, (int *count))                                \
    PLAIN(cuDeviceGetName, "cuDeviceGetName", 2000, (char *name, int len, CUdevice device))        \
    PLAIN(cuDeviceTotalMem, "cuDeviceTotalMem", 3020, (size_t * bytes, CUdevice device))           \
    PLAIN(cuDeviceGetUuid, "cuDeviceGetUuid", 11040, (CUuuid * uuid, CUdevice device))             \
    PLAIN(cuDeviceGetAttribute, "cuDeviceGetAttribute", 2000,                                      \
          (int *value, int attribute, CUdevice device))                                            \
    PLAIN(cuDeviceGetPCIBusId, "cuDeviceGetPCIBusId", 4010, (char *id, int len, CUdevice device))  \
    PLAIN(cuDeviceGetByPCIBusId, "cuDeviceGetByPCIBusId", 4010,                                    \
          (CUdevice * device, const char *id))                                                     \
    PLAIN(cuDeviceGetP2PAttribute, "cuDeviceGetP2PAttribute", 8000,                                \
          (int *value, int attribute, CUdevice from, CUdevice to))                                 \
    PLAIN(cuDeviceCanAccessPeer, "cuDeviceCanAccessPeer", 4000,                                    \
          (int *can, CUdevice device, CUdevice peer))                                              \
    /* Contexts */                                                                                 \
    PLAIN(cuDevicePrimaryCtxRetain, "cuDevicePrimaryCtxRetain", 7000,                              \
          (CUcontext * context, CUdevice device))                                                  \
    PLAIN(cuDevicePrimaryCtxReset, "cuDevicePrimaryCtxReset", 11000, (CUdevice device))            \
    PLAIN(cuDevicePrimaryCtxSetFlags, "cuDevicePrimaryCtxSetFlags", 11000,                         \
          (CUdevice device, unsigned int flags))                                                   \
    PLAIN(cuDevicePrimaryCtxGetState, "cuDevicePrimaryCtxGetState", 7000,                          \
          (CUdevice device, unsigned int *flags, int *active))                                     \
    PLAIN(cuCtxGetCurrent, "cuCtxGetCurrent", 4000, (CUcontext * context))                         \
    PLAIN(cuCtxSetCurrent, "cuCtxSetCurrent", 4000, (CUcontext context))                           \
    PLAIN(cuCtxGetDevice, "cuCtxGetDevice", 2000, (CUdevice * device))                             \
    PLAIN(cuCtxGetFlags, "cuCtxGetFlags", 7000, (unsigned int *flags))                             \
    PLAIN(cuCtxSynchronize, "cuCtxSynchronize", 2000, (void))                                      \
    PLAIN(cuCtxGetLimit, "cuCtxGetLimit", 3010, (size_t * value, int limit))                       \
    PLAIN(cuCtxSetLimit, "cuCtxSetLimit", 3010, (int limit, size_t value))                         \
    PLAIN(cuCtxGetCacheConfig, "cuCtxGetCacheConfig", 3020, (int *config))                         \
    PLAIN(cuCtxSetCacheConfig, "cuCtxSetCacheConfig", 3020, (int config))                          \
    PLAIN(cuCtxGetSharedMemConfig, "cuCtxGetSharedMemConfig", 4020, (int *config))                 \
    PLAIN(cuCtxSetSharedMemConfig, "cuCtxSetSharedMemConfig", 4020, (int config))                  \
    PLAIN(cuCtxGetStreamPriorityRange, "cuCtxGetStreamPriorityRange", 5050,                        \
          (int *least, int *greatest))                                                             \
    PLAIN(cuCtxResetPersistingL2Cache, "cuCtxResetPersistingL2Cache", 11000, (void))               \
    PLAIN(cuCtxEnablePeerAccess, "cuCtxEnablePeerAccess", 4000,                                    \
          (CUcontext peer, unsigned int flags))                                                    \
    PLAIN(cuCtxDisablePeerAccess, "cuCtxDisablePeerAccess", 4000, (CUcontext peer))                \
    /* Memory management */                                                                        \
    PLAIN(cuMemAlloc, "cuMemAlloc", 3020, (devptr * ptr, size_t bytes))                            \
    PLAIN(cuMemAllocPitch, "cuMemAllocPitch", 3020,                                                \
          (devptr * ptr, size_t * pitch, size_t width, size_t height, unsigned int element_bytes)) \
    PLAIN(cuMemAllocManaged, "cuMemAllocManaged", 6000,                                            \
          (devptr * ptr, size_t bytes, unsigned int flags))                                        \
    PLAIN(cuMemFree, "cuMemFree", 3020, (devptr ptr))                                              \
    PLAIN(cuMemGetInfo, "cuMemGetInfo", 3020, (size_t * free_bytes, size_t * total_bytes))         \
    PLAIN(cuMemHostAlloc, "cuMemHostAlloc", 2020, (void **ptr, size_t bytes, unsigned int flags))  \
    PLAIN(cuMemFreeHost, "cuMemFreeHost", 2000, (void *ptr))                                       \
    PLAIN(cuMemHostRegister, "cuMemHostRegister", 6050,                                            \
          (void *ptr, size_t bytes, unsigned int flags))                                           \
    PLAIN(cuMemHostUnregister, "cuMemHostUnregister", 4000, (void *ptr))                           \
    PLAIN(cuMemHostGetDevicePointer, "cuMemHostGetDevicePointer", 3020,                            \
          (devptr * device_ptr, void *ptr, unsigned int flags))                                    \
    PLAIN(cuMemHostGetFlags, "cuMemHostGetFlags", 2030, (unsigned int *flags, void *ptr))          \
    PLAIN(cuPointerGetAttributes, "cuPointerGetAttributes", 7000,                                  \
          (unsigned int count, int *attributes, void **data, devptr ptr))                          \
    PLAIN(cuMemAdvise, "cuMemAdvise", 12020,                                                       \
          (devptr ptr, size_t bytes, int advice, struct cudaMemLocation location))                 \
    PLAIN(cuMemRangeGetAttribute, "cuMemRangeGetAttribute", 8000,                                  \
          (void *data, size_t data_bytes, int attribute, devptr ptr, size_t bytes))                \
    PLAIN(cuMemRangeGetAttributes, "cuMemRangeGetAttributes", 8000,                                \
          (void **data, size_t *data_bytes, int *attributes, size_t count, devptr ptr,             \
           size_t bytes))                                                                          \
    STREAM(cuMemPrefetchAsync, "cuMemPrefetchAsync", 12020, 12020,                                 \
           (devptr ptr, size_t bytes, struct cudaMemLocation location, unsigned int flags,         \
            cudaStream_t stream))                                                                  \
    PLAIN(cuIpcGetMemHandle, "cuIpcGetMemHandle", 4010, (cudaIpcMemHandle_t * handle, devptr ptr)) \
    PLAIN(cuIpcOpenMemHandle, "cuIpcOpenMemHandle", 11000,                                         \
          (devptr * ptr, cudaIpcMemHandle_t handle, unsigned int flags))                           \
    PLAIN(cuIpcCloseMemHandle, "cuIpcCloseMemHandle", 4010, (devptr ptr))                          \
    PLAIN(cuIpcGetEventHandle, "cuIpcGetEventHandle", 4010,                                        \
          (cudaIpcEventHandle_t * handle, cudaEvent_t event))                                      \
    PLAIN(cuIpcOpenEventHandle, "cuIpcOpenEventHandle", 4010,                                      \
          (cudaEvent_t * event, cudaIpcEventHandle_t handle))                                      \
    /* Copies and sets */                                                                          \
    STREAM(cuMemcpy, "cuMemcpy", 4000, 7000, (devptr dst, devptr src, size_t bytes))               \
    STREAM(cuMemcpyHtoD, "cuMemcpyHtoD", 3020, 7000, (devptr dst, const void *src, size_t bytes))  \
    STREAM(cuMemcpyDtoH, "cuMemcpyDtoH", 3020, 7000, (void *dst, devptr src, size_t bytes))        \
    STREAM(cuMemcpyDtoD, "cuMemcpyDtoD", 3020, 7000, (devptr dst, devptr src, size_t bytes))       \
    STREAM(cuMemcpyAsync, "cuMemcpyAsync", 4000, 7000,                                             \
           (devptr dst, devptr src, size_t bytes, cudaStream_t stream))                            \
    STREAM(cuMemcpyHtoDAsync, "cuMemcpyHtoDAsync", 3020, 7000,                                     \
           (devptr dst, const void *src, size_t bytes, cudaStream_t stream))                       \
    STREAM(cuMemcpyDtoHAsync, "cuMemcpyDtoHAsync", 3020, 7000,                                     \
           (void *dst, devptr src, size_t bytes, cudaStream_t stream))                             \
    STREAM(cuMemcpyDtoDAsync, "cuMemcpyDtoDAsync", 3020, 7000,                                     \
           (devptr dst, devptr src, size_t bytes, cudaStream_t stream))                            \
    STREAM(cuMemcpyPeer, "cuMemcpyPeer", 4000, 7000,                                               \
           (devptr dst, CUcontext dst_context, devptr src, CUcontext src_context, size_t bytes))   \
    STREAM(cuMemcpyPeerAsync, "cuMemcpyPeerAsync", 4000, 7000,                                     \
           (devptr dst, CUcontext dst_context, devptr src, CUcontext src_context, size_t bytes,    \
            cudaStream_t stream))                                                                  \
    STREAM(cuMemcpy2DUnaligned, "cuMemcpy2DUnaligned", 3020, 7000,                                 \
           (const struct driver_copy_2d *copy))                                                    \
    STREAM(cuMemcpy2DAsync, "cuMemcpy2DAsync", 3020, 7000,                                         \
           (const struct driver_copy_2d *copy, cudaStream_t stream))                               \
    STREAM(cuMemcpy3D, "cuMemcpy3D", 3020, 7000, (const struct driver_copy_3d *copy))              \
    STREAM(cuMemcpy3DAsync, "cuMemcpy3DAsync", 3020, 7000,                                         \
           (const struct driver_copy_3d *copy, cudaStream_t stream))                               \
    STREAM(cuMemsetD8, "cuMemsetD8", 3020, 7000, (devptr dst, unsigned char value, size_t count))  \
    STREAM(cuMemsetD8Async, "cuMemsetD8Async", 3020, 7000,                                         \
           (devptr dst, unsigned char value, size_t count, cudaStream_t stream))                   \
    STREAM(cuMemsetD2D8, "cuMemsetD2D8", 3020, 7000,                                               \
           (devptr dst, size_t pitch, unsigned char value, size_t width, size_t height))           \
    STREAM(cuMemsetD2D8Async, "cuMemsetD2D8Async", 3020, 7000,                                     \
           (devptr dst, size_t pitch, unsigned char value, size_t width, size_t height,            \
            cudaStream_t stream))                                                                  \
    /* Arrays */                                                                                   \
    PLAIN(cuArray3DCreate, "cuArray3DCreate", 3020,                                                \
          (cudaArray_t * array, const struct driver_array_3d *descriptor))                         \
    PLAIN(cuArray3DGetDescriptor, "cuArray3DGetDescriptor", 3020,                                  \
          (struct driver_array_3d * descriptor, cudaArray_const_t array))                          \
    PLAIN(cuArrayDestroy, "cuArrayDestroy", 2000, (cudaArray_t array))                             \
    PLAIN(cuMipmappedArrayCreate, "cuMipmappedArrayCreate", 5000,                                  \
          (cudaMipmappedArray_t * array, const struct driver_array_3d *descriptor,                 \
           unsigned int levels))                                                                   \
    PLAIN(cuMipmappedArrayGetLevel, "cuMipmappedArrayGetLevel", 5000,                              \
          (cudaArray_t * array, cudaMipmappedArray_const_t mipmapped, unsigned int level))         \
    PLAIN(cuMipmappedArrayDestroy, "cuMipmappedArrayDestroy", 5000, (cudaMipmappedArray_t array))  \
    /* Stream-ordered allocation and pools */                                                      \
    STREAM(cuMemAllocAsync, "cuMemAllocAsync", 11020, 11020,                                       \
           (devptr * ptr, size_t bytes, cudaStream_t stream))                                      \
    STREAM(cuMemAllocFromPoolAsync, "cuMemAllocFromPoolAsync", 11020, 11020,                       \
           (devptr * ptr, size_t bytes, cudaMemPool_t pool, cudaStream_t stream))                  \
    STREAM(cuMemFreeAsync, "cuMemFreeAsync", 11020, 11020, (devptr ptr, cudaStream_t stream))      \
    PLAIN(cuDeviceGetDefaultMemPool, "cuDeviceGetDefaultMemPool", 11020,                           \
          (cudaMemPool_t * pool, CUdevice device))                                                 \
    PLAIN(cuDeviceGetMemPool, "cuDeviceGetMemPool", 11020,                                         \
          (cudaMemPool_t * pool, CUdevice device))                                                 \
    PLAIN(cuDeviceSetMemPool, "cuDeviceSetMemPool", 11020, (CUdevice device, cudaMemPool_t pool))  \
    PLAIN(cuMemPoolCreate, "cuMemPoolCreate", 11020,                                               \
          (cudaMemPool_t * pool, const struct cudaMemPoolProps *props))                            \
    PLAIN(cuMemPoolDestroy, "cuMemPoolDestroy", 11020, (cudaMemPool_t pool))                       \
    PLAIN(cuMemPoolTrimTo, "cuMemPoolTrimTo", 11020, (cudaMemPool_t pool, size_t keep_bytes))      \
    PLAIN(cuMemPoolGetAttribute, "cuMemPoolGetAttribute", 11020,                                   \
          (cudaMemPool_t pool, int attribute, void *value))                                        \
    PLAIN(cuMemPoolSetAttribute, "cuMemPoolSetAttribute", 11020,                                   \
          (cudaMemPool_t pool, int attribute, void *value))                                        \
    PLAIN(cuMemPoolSetAccess, "cuMemPoolSetAccess", 11020,                                         \
          (cudaMemPool_t pool, const struct cudaMemAccessDesc *list, size_t count))                \
    PLAIN(cuMemPoolGetAccess, "cuMemPoolGetAccess", 11020,                                         \
          (int *flags, cudaMemPool_t pool, struct cudaMemLocation *location))                      \
    PLAIN(cuMemPoolExportToShareableHandle, "cuMemPoolExportToShareableHandle", 11020,             \
          (void *handle, cudaMemPool_t pool, int type, unsigned long long flags))                  \
    PLAIN(cuMemPoolImportFromShareableHandle, "cuMemPoolImportFromShareableHandle", 11020,         \
          (cudaMemPool_t * pool, void *handle, int type, unsigned long long flags))                \
    PLAIN(cuMemGetDefaultMemPool, "cuMemGetDefaultMemPool", 13000,                                 \
          (cudaMemPool_t * pool, struct cudaMemLocation * location, int type))                     \
    PLAIN(cuMemGetMemPool, "cuMemGetMemPool", 13000,                                               \
          (cudaMemPool_t * pool, struct cudaMemLocation * location, int type))                     \
    PLAIN(cuMemSetMemPool, "cuMemSetMemPool", 13000,                                               \
          (struct cudaMemLocation * location, int type, cudaMemPool_t pool))                       \
    PLAIN(cuMemPoolExportPointer, "cuMemPoolExportPointer", 11020,                                 \
          (struct cudaMemPoolPtrExportData * data, devptr ptr))                                    \
    PLAIN(cuMemPoolImportPointer, "cuMemPoolImportPointer", 11020,                                 \
          (devptr * ptr, cudaMemPool_t pool, struct cudaMemPoolPtrExportData * data))              \
    /* Streams and events */                                                                       \
    PLAIN(cuStreamCreate, "cuStreamCreate", 2000, (cudaStream_t * stream, unsigned int flags))     \
    PLAIN(cuStreamCreateWithPriority, "cuStreamCreateWithPriority", 5050,                          \
          (cudaStream_t * stream, unsigned int flags, int priority))                               \
    PLAIN(cuStreamDestroy, "cuStreamDestroy", 4000, (cudaStream_t stream))                         \
    STREAM(cuStreamGetPriority, "cuStreamGetPriority", 5050, 7000,                                 \
           (cudaStream_t stream, int *priority))                                                   \
    STREAM(cuStreamGetFlags, "cuStreamGetFlags", 5050, 7000,                                       \
           (cudaStream_t stream, unsigned int *flags))                                             \
    STREAM(cuStreamGetId, "cuStreamGetId", 12000, 12000,                                           \
           (cudaStream_t stream, unsigned long long *id))                                          \
    STREAM(cuStreamGetCtx, "cuStreamGetCtx", 9020, 9020,                                           \
           (cudaStream_t stream, CUcontext * context))                                             \
    STREAM(cuStreamWaitEvent, "cuStreamWaitEvent", 3020, 7000,                                     \
           (cudaStream_t stream, cudaEvent_t event, unsigned int flags))                           \
    STREAM(cuStreamAddCallback, "cuStreamAddCallback", 5000, 7000,                                 \
           (cudaStream_t stream, cudaStreamCallback_t callback, void *data, unsigned int flags))   \
    STREAM(cuLaunchHostFunc, "cuLaunchHostFunc", 10000, 10000,                                     \
           (cudaStream_t stream, cudaHostFn_t fn, void *data))                                     \
    STREAM(cuStreamAttachMemAsync, "cuStreamAttachMemAsync", 6000, 7000,                           \
           (cudaStream_t stream, devptr ptr, size_t bytes, unsigned int flags))                    \
    STREAM(cuStreamSynchronize, "cuStreamSynchronize", 2000, 7000, (cudaStream_t stream))          \
    STREAM(cuStreamQuery, "cuStreamQuery", 2000, 7000, (cudaStream_t stream))                      \
    STREAM(cuStreamCopyAttributes, "cuStreamCopyAttributes", 11000, 11000,                         \
           (cudaStream_t dst, cudaStream_t src))                                                   \
    STREAM(cuStreamGetAttribute, "cuStreamGetAttribute", 11000, 11000,                             \
           (cudaStream_t stream, int attribute, cudaLaunchAttributeValue *value))                  \
    STREAM(cuStreamSetAttribute, "cuStreamSetAttribute", 11000, 11000,                             \
           (cudaStream_t stream, int attribute, const cudaLaunchAttributeValue *value))            \
    PLAIN(cuEventCreate, "cuEventCreate", 2000, (cudaEvent_t * event, unsigned int flags))         \
    PLAIN(cuEventDestroy, "cuEventDestroy", 4000, (cudaEvent_t event))                             \
    PLAIN(cuEventQuery, "cuEventQuery", 2000, (cudaEvent_t event))                                 \
    PLAIN(cuEventSynchronize, "cuEventSynchronize", 2000, (cudaEvent_t event))                     \
    PLAIN(cuEventElapsedTime, "cuEventElapsedTime", 2000,                                          \
          (float *ms, cudaEvent_t start, cudaEvent_t end))                                         \
    PLAIN(cuEventElapsedTime_v2, "cuEventElapsedTime", 12080,                                      \
          (float *ms, cudaEvent_t start, cudaEvent_t end))                                         \
    STREAM(cuEventRecord, "cuEventRecord", 2000, 7000, (cudaEvent_t event, cudaStream_t stream))   \
    STREAM(cuEventRecordWithFlags, "cuEventRecordWithFlags", 11010, 11010,                         \
           (cudaEvent_t event, cudaStream_t stream, unsigned int flags))                           \
    PLAIN(cuProfilerStart, "cuProfilerStart", 4000, (void))                                        \
    PLAIN(cuProfilerStop, "cuProfilerStop", 4000, (void))

#define DRIVER_TABLE(PLAIN, STREAM)                                                                \
    DRIVER_TABLE_CORE(PLAIN, STREAM)                                                               \
    DRIVER_TABLE_CODE(PLAIN, STREAM)                                                               \
    DRIVER_TABLE_GRAPH(PLAIN, STREAM)

#endif
