/* Kernel launches. The arguments are checked as the runtime's documentation demands and the launch
 * is given to the driver, where it becomes a graph node during capture and nothing otherwise: no
 * device code is ever executed. */
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "code.h"
#include "cudart_errors.h"
#include "registration.h"
#include "runtime.h"

/* What `kernel<<<grid, block, shared, stream>>>` hands from the caller to the stub. */
struct configuration {
    dim3 grid, block;
    size_t shared_bytes;
    cudaStream_t stream;
};

enum { MAX_PENDING = 16 }; /* launches nested in the arguments of launches */
static _Thread_local struct configuration pending[MAX_PENDING];
static _Thread_local int pending_count;

/* Returns 0 when the caller may go on to the stub. */
RT_API unsigned int __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared_bytes,
                                                cudaStream_t stream)
{
    if (pending_count == MAX_PENDING)
        return 1;
    pending[pending_count++] = (struct configuration){ grid, block, shared_bytes, stream };
    return 0;
}

RT_API cudaError_t __cudaPopCallConfiguration(dim3 *grid, dim3 *block, size_t *shared_bytes,
                                              void *stream)
{
    if (pending_count == 0)
        return rt_done(cudaErrorMissingConfiguration);
    struct configuration *last = &pending[--pending_count];
    *grid = last->grid;
    *block = last->block;
    *shared_bytes = last->shared_bytes;
    *(cudaStream_t *)stream = last->stream;
    return cudaSuccess;
}

static void say_that_nothing_runs(void)
{
    static atomic_flag said = ATOMIC_FLAG_INIT;
    const char *quiet = getenv("SIMGPU_QUIET");
    if (atomic_flag_test_and_set(&said) || (quiet && *quiet && *quiet != '0'))
        return;
    fputs(
        "simgpu: kernels are not executed here, so results computed on the GPU are wrong"
        " (SIMGPU_QUIET=1 hides this line)\n",
        stderr);
}

static bool is_within_limits(dim3 size, int device, int first_attribute)
{
    unsigned int sizes[] = { size.x, size.y, size.z };
    for (int i = 0; i < 3; i++) {
        int limit = 0;
        if (drv.cuDeviceGetAttribute(&limit, first_attribute + i, device) != CUDA_SUCCESS)
            return false;
        if (sizes[i] == 0 || sizes[i] > (unsigned int)limit)
            return false;
    }
    return true;
}

/* cudaErrorInvalidConfiguration for a shape that no kernel can have on the device, for which the
 * driver API has no code of its own; cudaErrorInvalidValue for more shared memory than the driver's
 * parameter can say. */
static cudaError_t check_shape(dim3 grid, dim3 block, size_t shared_bytes)
{
    enum { MAX_THREADS = 1, MAX_BLOCK_X = 2, MAX_GRID_X = 5 }; /* CUdevice_attribute */
    int device = 0;
    int max_threads = 0;
    cudaError_t err = rt_current_device(&device);
    if (err == cudaSuccess)
        err = drv.cuDeviceGetAttribute(&max_threads, MAX_THREADS, device);
    if (err != cudaSuccess)
        return err;
    if (!is_within_limits(grid, device, MAX_GRID_X) ||
        !is_within_limits(block, device, MAX_BLOCK_X) ||
        (size_t)block.x * block.y * block.z > (size_t)max_threads)
        return cudaErrorInvalidConfiguration;
    return shared_bytes > UINT_MAX ? cudaErrorInvalidValue : cudaSuccess;
}

/* Everything that comes before the driver's part of any launch. */
static cudaError_t prepare_launch(const void *func, dim3 grid, dim3 block, size_t shared_bytes,
                                  cudaFunction_t *function)
{
    cudaError_t err = rt_need_context();
    if (err == cudaSuccess)
        err = rt_function_of(func, function);
    if (err == cudaSuccess)
        err = check_shape(grid, block, shared_bytes);
    if (err == cudaSuccess)
        say_that_nothing_runs();
    return err;
}

static cudaError_t launch_kernel(enum default_stream mode, const void *func, dim3 grid, dim3 block,
                                 void **args, size_t shared_bytes, cudaStream_t stream)
{
    cudaFunction_t function = NULL;
    cudaError_t err = prepare_launch(func, grid, block, shared_bytes, &function);
    if (err == cudaSuccess)
        err = drv.cuLaunchKernel[mode](function, grid.x, grid.y, grid.z, block.x, block.y, block.z,
                                       (unsigned int)shared_bytes, stream, args, NULL);
    return rt_done(err);
}

static cudaError_t launch_cooperative(enum default_stream mode, const void *func, dim3 grid,
                                      dim3 block, void **args, size_t shared_bytes,
                                      cudaStream_t stream)
{
    cudaFunction_t function = NULL;
    cudaError_t err = prepare_launch(func, grid, block, shared_bytes, &function);
    if (err == cudaSuccess)
        err =
            drv.cuLaunchCooperativeKernel[mode](function, grid.x, grid.y, grid.z, block.x, block.y,
                                                block.z, (unsigned int)shared_bytes, stream, args);
    return rt_done(err);
}

static cudaError_t launch_config(enum default_stream mode, const cudaLaunchConfig_t *config,
                                 const void *func, void **args)
{
    cudaFunction_t function = NULL;
    if (!config)
        return rt_done(cudaErrorInvalidValue);
    cudaError_t err = prepare_launch(func, config->gridDim, config->blockDim,
                                     config->dynamicSmemBytes, &function);
    if (err == cudaSuccess) {
        struct driver_launch_config driver_config = rt_driver_launch_config(config);
        err = drv.cuLaunchKernelEx[mode](&driver_config, function, args, NULL);
    }
    return rt_done(err);
}

struct driver_launch_config rt_driver_launch_config(const cudaLaunchConfig_t *config)
{
    return (struct driver_launch_config){
        .gridDimX = config->gridDim.x,
        .gridDimY = config->gridDim.y,
        .gridDimZ = config->gridDim.z,
        .blockDimX = config->blockDim.x,
        .blockDimY = config->blockDim.y,
        .blockDimZ = config->blockDim.z,
        .sharedMemBytes = (unsigned int)config->dynamicSmemBytes,
        .hStream = config->stream,
        .attrs = config->attrs,
        .numAttrs = config->numAttrs,
    };
}

RT_PTSZ(cudaLaunchKernel, launch_kernel,
        (const void *func, dim3 grid, dim3 block, void **args, size_t shared_bytes,
         cudaStream_t stream),
        func, grid, block, args, shared_bytes, stream)
RT_PTSZ(cudaLaunchCooperativeKernel, launch_cooperative,
        (const void *func, dim3 grid, dim3 block, void **args, size_t shared_bytes,
         cudaStream_t stream),
        func, grid, block, args, shared_bytes, stream)
RT_PTSZ(cudaLaunchKernelExC, launch_config,
        (const cudaLaunchConfig_t *config, const void *func, void **args), config, func, args)
RT_PTSZ(__cudaLaunchKernel, launch_kernel,
        (cudaKernel_t kernel, dim3 grid, dim3 block, void **args, size_t shared_bytes,
         cudaStream_t stream),
        kernel, grid, block, args, shared_bytes, stream)
