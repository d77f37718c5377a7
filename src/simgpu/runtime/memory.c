/* Device, managed and pinned host memory. */
#include "cudart_errors.h"
#include "runtime.h"

/* A request for 0 bytes succeeds with a null pointer in the runtime API, while the driver API
 * refuses it. On failure the caller's pointer is left as it was. */
RT_API cudaError_t cudaMalloc(void **ptr, size_t bytes)
{
    devptr address = 0;
    cudaError_t err = ptr ? rt_need_context() : cudaErrorInvalidValue;
    if (err == cudaSuccess && bytes > 0)
        err = drv.cuMemAlloc(&address, bytes);
    if (err == cudaSuccess)
        *ptr = rt_pointer(address);
    return rt_done(err);
}

/* A null pointer frees nothing but still initializes the device: the usual way to do so. */
RT_API cudaError_t cudaFree(void *ptr)
{
    cudaError_t err = rt_need_context();
    if (err == cudaSuccess && ptr)
        err = drv.cuMemFree(rt_devptr(ptr));
    return rt_done(err);
}

static cudaError_t alloc_pitch(devptr *address, size_t *pitch, size_t width, size_t height)
{
    enum { ELEMENT_BYTES = 4 }; /* the driver pads rows for elements of this size */
    *address = 0;
    *pitch = 0;
    if (width == 0 || height == 0)
        return cudaSuccess;
    return drv.cuMemAllocPitch(address, pitch, width, height, ELEMENT_BYTES);
}

RT_API cudaError_t cudaMallocPitch(void **ptr, size_t *pitch, size_t width, size_t height)
{
    devptr address = 0;
    size_t row_bytes = 0;
    cudaError_t err = ptr && pitch ? rt_need_context() : cudaErrorInvalidValue;
    if (err == cudaSuccess)
        err = alloc_pitch(&address, &row_bytes, width, height);
    if (err == cudaSuccess) {
        *ptr = rt_pointer(address);
        *pitch = row_bytes;
    }
    return rt_done(err);
}

RT_API cudaError_t cudaMalloc3D(struct cudaPitchedPtr *pitched, struct cudaExtent extent)
{
    devptr address = 0;
    size_t row_bytes = 0;
    size_t rows = 0;
    cudaError_t err = pitched ? rt_need_context() : cudaErrorInvalidValue;
    if (err == cudaSuccess && __builtin_mul_overflow(extent.height, extent.depth, &rows))
        err = cudaErrorInvalidValue;
    if (err == cudaSuccess)
        err = alloc_pitch(&address, &row_bytes, extent.width, rows);
    if (err == cudaSuccess)
        *pitched =
            (struct cudaPitchedPtr){ rt_pointer(address), row_bytes, extent.width, extent.height };
    return rt_done(err);
}

/* Unlike for cudaMalloc, 0 bytes are an error here ("CUDA Runtime API", cudaMallocManaged), which
 * the driver gives. */
RT_API cudaError_t cudaMallocManaged(void **ptr, size_t bytes, unsigned int flags)
{
    devptr address = 0;
    cudaError_t err = ptr ? rt_need_context() : cudaErrorInvalidValue;
    if (err == cudaSuccess)
        err = drv.cuMemAllocManaged(&address, bytes, flags);
    if (err == cudaSuccess)
        *ptr = rt_pointer(address);
    return rt_done(err);
}

RT_API cudaError_t cudaHostAlloc(void **ptr, size_t bytes, unsigned int flags)
{
    void *address = NULL;
    cudaError_t err = ptr ? rt_need_context() : cudaErrorInvalidValue;
    if (err == cudaSuccess && bytes > 0)
        err = drv.cuMemHostAlloc(&address, bytes, flags);
    if (err == cudaSuccess)
        *ptr = address;
    return rt_done(err);
}

RT_API cudaError_t cudaMallocHost(void **ptr, size_t bytes)
{
    return cudaHostAlloc(ptr, bytes, cudaHostAllocDefault);
}

RT_API cudaError_t cudaFreeHost(void *ptr)
{
    cudaError_t err = rt_need_context();
    if (err == cudaSuccess && ptr)
        err = drv.cuMemFreeHost(ptr);
    return rt_done(err);
}

RT_PASS(cudaHostRegister, cuMemHostRegister, (void *ptr, size_t bytes, unsigned int flags), ptr,
        bytes, flags)
RT_PASS(cudaHostUnregister, cuMemHostUnregister, (void *ptr), ptr)
RT_PASS(cudaHostGetFlags, cuMemHostGetFlags, (unsigned int *flags, void *ptr), flags, ptr)
RT_PASS(cudaMemGetInfo, cuMemGetInfo, (size_t * free_bytes, size_t *total_bytes), free_bytes,
        total_bytes)
RT_PASS(cudaIpcGetMemHandle, cuIpcGetMemHandle, (cudaIpcMemHandle_t * handle, void *ptr), handle,
        rt_devptr(ptr))
RT_PASS(cudaIpcCloseMemHandle, cuIpcCloseMemHandle, (void *ptr), rt_devptr(ptr))

RT_API cudaError_t cudaHostGetDevicePointer(void **device_ptr, void *ptr, unsigned int flags)
{
    devptr address = 0;
    cudaError_t err = device_ptr ? rt_need_context() : cudaErrorInvalidValue;
    if (err == cudaSuccess)
        err = drv.cuMemHostGetDevicePointer(&address, ptr, flags);
    if (err == cudaSuccess)
        *device_ptr = rt_pointer(address);
    return rt_done(err);
}

/* Memory the driver does not know is "unregistered", not an error (since CUDA 11). */
RT_API cudaError_t cudaPointerGetAttributes(struct cudaPointerAttributes *attributes,
                                            const void *ptr)
{
    enum { MEMORY_TYPE = 2, DEVICE_POINTER = 3, HOST_POINTER = 4, IS_MANAGED = 8, ORDINAL = 9 };
    static const int wanted[] = { MEMORY_TYPE, DEVICE_POINTER, HOST_POINTER, IS_MANAGED, ORDINAL };
    unsigned int type = 0;
    devptr device_pointer = 0;
    void *host_pointer = NULL;
    unsigned int managed = 0;
    int ordinal = cudaInvalidDeviceId;
    void *data[] = { &type, &device_pointer, &host_pointer, &managed, &ordinal };
    int names[sizeof wanted / sizeof wanted[0]];

    cudaError_t err = attributes ? rt_need_context() : cudaErrorInvalidValue;
    if (err != cudaSuccess)
        return rt_done(err);
    __builtin_memcpy(names, wanted, sizeof names);
    err = drv.cuPointerGetAttributes(sizeof names / sizeof names[0], names, data, rt_devptr(ptr));
    if (err != cudaSuccess)
        return rt_done(err);
    *attributes = (struct cudaPointerAttributes){ .device = ordinal,
                                                  .devicePointer = rt_pointer(device_pointer),
                                                  .hostPointer = host_pointer };
    if (type == 0) {
        attributes->device = cudaInvalidDeviceId;
        attributes->type = cudaMemoryTypeUnregistered;
    } else if (managed) {
        attributes->type = cudaMemoryTypeManaged;
    } else {
        attributes->type = type == DRIVER_MEMORY_HOST ? cudaMemoryTypeHost : cudaMemoryTypeDevice;
    }
    return cudaSuccess;
}

RT_API cudaError_t cudaIpcOpenMemHandle(void **ptr, cudaIpcMemHandle_t handle, unsigned int flags)
{
    devptr address = 0;
    cudaError_t err = ptr ? rt_need_context() : cudaErrorInvalidValue;
    if (err == cudaSuccess)
        err = drv.cuIpcOpenMemHandle(&address, handle, flags);
    if (err == cudaSuccess)
        *ptr = rt_pointer(address);
    return rt_done(err);
}
