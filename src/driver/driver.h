/* The real CUDA driver: the only way from vramguard to it. */
#ifndef VRAMGUARD_DRIVER_DRIVER_H
#define VRAMGUARD_DRIVER_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "driver/cuda_abi.h"

/* One id per row of cuda_table.h. */
enum vg_function_id {
#define VG_CUDA(symbol, ...) VG_FN_##symbol,
#include "driver/cuda_table.h"
#undef VG_CUDA
    VG_FN_COUNT
};

/* The driver's own functions, NULL where this driver has none. Unit tests put their own in. */
struct vg_driver {
#define VG_CUDA(symbol, name, version, flags, use, parameters, arguments)                          \
    CUresult(*symbol) parameters;
#include "driver/cuda_table.h"
#undef VG_CUDA
};

/* Written by vg_driver_bind before it first returns true; constant afterwards. */
extern struct vg_driver vg_driver;

/* What the program's own calls go to: the driver's functions too, but for those of which another
 * interposer's stands between (chain.h). An entry is there when that of vg_driver is. */
extern struct vg_driver vg_next;

/* What the table says of a function. */
struct vg_function {
    const char *symbol, *name;
    int version;
    unsigned flags;
    bool hooked;
};

extern const struct vg_function vg_functions[VG_FN_COUNT];

/* The driver's address of function `id`; NULL when it has none or is not bound. (The structure
 * holds one pointer a row, in the rows' order.) */
static inline void *vg_driver_address(enum vg_function_id id)
{
    return __atomic_load_n((void **)&vg_driver + id, __ATOMIC_ACQUIRE);
}

/* Looks for a loaded libcuda.so.1 (by DT_SONAME) and resolves the table from its symbol table. Once
 * found it is kept loaded for good, so that the addresses stay valid. Returns whether the driver is
 * bound. Never loads a driver that the program has not loaded. Does not touch dlerror's text.
 * Lock-free, any thread; cheap when bound, some microseconds while there is no driver. */
bool vg_driver_bind(void);

/* Does the driver have function `id`? Binds it if need be. What every wrapper asks first. */
static inline bool vg_driver_has(enum vg_function_id id)
{
    return vg_driver_address(id) || (vg_driver_bind() && vg_driver_address(id));
}

/* Is `address` code of the bound driver's own object? */
bool vg_driver_owns(const void *address);

/* Free and total memory of the current context's device, which must be `device`: a program may
 * allocate on another. Returns 0, or -ENODEV when it is not or the driver does not tell. */
int vg_driver_memory(CUdevice device, uint64_t *out_free_bytes, uint64_t *out_total_bytes);

/* The current context as a number, 0 when there is none. */
static inline uint64_t vg_driver_context(void)
{
    CUcontext context = NULL;
    if (!vg_driver.cuCtxGetCurrent || vg_driver.cuCtxGetCurrent(&context) != CUDA_SUCCESS)
        return 0;
    return (uint64_t)(uintptr_t)context;
}

/* The driver's question whether a stream is being captured, for one meaning of the default stream:
 * cuStreamIsCapturing or cuStreamIsCapturing_ptsz, NULL where it has none. */
typedef CUresult (*vg_driver_capture_question)(CUstream stream, CUstreamCaptureStatus *status);

/* Is `stream` being captured, as far as the driver tells? */
static inline bool vg_driver_is_capturing(vg_driver_capture_question ask, CUstream stream)
{
    CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
    return ask && ask(stream, &status) == CUDA_SUCCESS && status != CU_STREAM_CAPTURE_STATUS_NONE;
}

/* A number that the driver keeps of `pool`, 0 when it does not tell. */
uint64_t vg_driver_pool_value(CUmemoryPool pool, CUmemPool_attribute attribute);

/* From now on calls of this thread do not spoil a stream capture, be it another thread's (CUDA
 * Driver API, cuThreadExchangeStreamCaptureMode). Returns 0, -ENOSYS when this driver has no such
 * mode, or -EIO when it refuses; only after 0 is it to be undone by vg_driver_restore, with the
 * mode left in `out_before`. */
int vg_driver_relax(CUstreamCaptureMode *out_before);
void vg_driver_restore(CUstreamCaptureMode before);

/* Reads the device's UUID in NVML's textual form ("GPU-5f3c2a10-....", "" when the driver does not
 * tell) into `out`, `cap` >= 42. */
void vg_driver_device_uuid(CUdevice device, char *out, size_t cap);

#endif
