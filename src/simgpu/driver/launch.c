/* Launches and occupancy ("CUDA Driver API", sections "Execution Control" and "Occupancy").
 *
 * A KERNEL LAUNCH DOES NOTHING HERE. It is checked, it succeeds, and no memory changes. */
#include <limits.h>

#include "capture.h"
#include "copy.h"
#include "device_attributes.h"
#include "function_table.h"
#include "module.h"
#include "state.h"
#include "stream.h"

#define MAX_GRID_YZ              65535u
#define OCCUPANCY_FLAGS          1u
#define ATTRIBUTE_DYNAMIC_SHARED 8

static CUresult check_dimensions(const CUlaunchConfig *config)
{
    if (config->gridDimX == 0 || config->gridDimY == 0 || config->gridDimZ == 0 ||
        config->gridDimX > INT_MAX || config->gridDimY > MAX_GRID_YZ ||
        config->gridDimZ > MAX_GRID_YZ)
        return CUDA_ERROR_INVALID_VALUE;
    if (config->blockDimX == 0 || config->blockDimY == 0 || config->blockDimZ == 0 ||
        config->blockDimX > MAX_THREADS_PER_BLOCK || config->blockDimY > MAX_THREADS_PER_BLOCK ||
        config->blockDimZ > 64)
        return CUDA_ERROR_INVALID_VALUE;
    unsigned int threads = config->blockDimX * config->blockDimY * config->blockDimZ;
    return threads <= MAX_THREADS_PER_BLOCK ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

/* The kernel's parameters are not kept: nothing will read them. */
static CUresult capture_launch(struct stream *stream, CUfunction handle,
                               const CUlaunchConfig *config)
{
    CUDA_KERNEL_NODE_PARAMS_v2 kernel = {
        .func = handle,
        .gridDimX = config->gridDimX,
        .gridDimY = config->gridDimY,
        .gridDimZ = config->gridDimZ,
        .blockDimX = config->blockDimX,
        .blockDimY = config->blockDimY,
        .blockDimZ = config->blockDimZ,
        .sharedMemBytes = config->sharedMemBytes,
    };
    return capture_kernel(stream, &kernel);
}

CUresult sim_cuLaunchKernelEx(const CUlaunchConfig *config, CUfunction handle, void **params,
                              void **extra)
{
    if (config == NULL || (params != NULL && extra != NULL) ||
        (config->numAttrs > 0 && config->attrs == NULL))
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct stream *stream;
    struct context *context;
    CUresult result = stream_use(config->hStream, &stream, &context);
    const struct function *function = function_get(handle);
    if (result == CUDA_SUCCESS && function == NULL)
        result = CUDA_ERROR_INVALID_HANDLE;
    if (result == CUDA_SUCCESS)
        result = check_dimensions(config);
    if (result == CUDA_SUCCESS &&
        config->sharedMemBytes > (unsigned)function->attributes[ATTRIBUTE_DYNAMIC_SHARED])
        result = CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS && stream_capture(stream) != NULL)
        result = capture_launch(stream, handle, config);
    return sim_unlock_with(result);
}

CUresult sim_cuLaunchKernel(CUfunction handle, unsigned int grid_x, unsigned int grid_y,
                            unsigned int grid_z, unsigned int block_x, unsigned int block_y,
                            unsigned int block_z, unsigned int shared_bytes, CUstream stream,
                            void **params, void **extra)
{
    CUlaunchConfig config = { grid_x,  grid_y,       grid_z, block_x, block_y,
                              block_z, shared_bytes, stream, NULL,    0 };
    return sim_cuLaunchKernelEx(&config, handle, params, extra);
}

CUresult sim_cuLaunchCooperativeKernel(CUfunction handle, unsigned int grid_x, unsigned int grid_y,
                                       unsigned int grid_z, unsigned int block_x,
                                       unsigned int block_y, unsigned int block_z,
                                       unsigned int shared_bytes, CUstream stream, void **params)
{
    return sim_cuLaunchKernel(handle, grid_x, grid_y, grid_z, block_x, block_y, block_z,
                              shared_bytes, stream, params, NULL);
}

/* How many blocks fit on a multiprocessor by threads, by shared memory and by count; kernels are
 * taken to use few enough registers. */
static int blocks_per_multiprocessor(int threads, size_t shared_bytes)
{
    int warps = (threads + WARP_THREADS - 1) / WARP_THREADS;
    int blocks = MAX_THREADS_PER_SM / (warps * WARP_THREADS);
    if (blocks > MAX_BLOCKS_PER_SM)
        blocks = MAX_BLOCKS_PER_SM;
    if (shared_bytes > 0 && (size_t)blocks > MAX_SHARED_PER_SM / shared_bytes)
        blocks = (int)(MAX_SHARED_PER_SM / shared_bytes);
    return blocks;
}

static CUresult check_function(CUfunction handle)
{
    sim_lock_all();
    bool known = function_get(handle) != NULL;
    return sim_unlock_with(known ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE);
}

CUresult sim_cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *blocks, CUfunction handle,
                                                                  int threads, size_t shared_bytes,
                                                                  unsigned int flags)
{
    if (blocks == NULL || threads <= 0 || flags > OCCUPANCY_FLAGS)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult result = check_function(handle);
    if (result == CUDA_SUCCESS)
        *blocks =
            threads <= MAX_THREADS_PER_BLOCK ? blocks_per_multiprocessor(threads, shared_bytes) : 0;
    return result;
}

CUresult sim_cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, CUfunction handle,
                                                         int threads, size_t shared_bytes)
{
    return sim_cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(blocks, handle, threads,
                                                                    shared_bytes, 0);
}

CUresult sim_cuOccupancyMaxPotentialBlockSizeWithFlags(int *grid, int *block, CUfunction handle,
                                                       CUoccupancyB2DSize shared_of_block,
                                                       size_t shared_bytes, int limit,
                                                       unsigned int flags)
{
    if (grid == NULL || block == NULL || limit < 0 || flags > OCCUPANCY_FLAGS)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult result = check_function(handle);
    if (result != CUDA_SUCCESS)
        return result;
    int most = limit == 0 || limit > MAX_THREADS_PER_BLOCK ? MAX_THREADS_PER_BLOCK : limit;
    int best_threads = 0, best_block = most, best_blocks = 0;
    for (int threads = most; threads > 0; threads = threads % WARP_THREADS != 0
                                                        ? threads / WARP_THREADS * WARP_THREADS
                                                        : threads - WARP_THREADS) {
        size_t shared = shared_of_block != NULL ? shared_of_block(threads) : shared_bytes;
        int blocks = blocks_per_multiprocessor(threads, shared);
        if (blocks * threads > best_threads) {
            best_threads = blocks * threads;
            best_block = threads;
            best_blocks = blocks;
        }
    }
    *block = best_block;
    *grid = best_blocks * MULTIPROCESSORS;
    return CUDA_SUCCESS;
}

CUresult sim_cuOccupancyMaxPotentialBlockSize(int *grid, int *block, CUfunction handle,
                                              CUoccupancyB2DSize shared_of_block,
                                              size_t shared_bytes, int limit)
{
    return sim_cuOccupancyMaxPotentialBlockSizeWithFlags(grid, block, handle, shared_of_block,
                                                         shared_bytes, limit, 0);
}

CUresult sim_cuOccupancyAvailableDynamicSMemPerBlock(size_t *bytes, CUfunction handle, int blocks,
                                                     int threads)
{
    if (bytes == NULL || blocks <= 0 || threads <= 0)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult result = check_function(handle);
    if (result == CUDA_SUCCESS) {
        size_t share = MAX_SHARED_PER_SM / (size_t)blocks;
        *bytes = share > MAX_SHARED_PER_BLOCK ? MAX_SHARED_PER_BLOCK : share;
    }
    return result;
}

/* Thread block clusters need compute capability 9.0. */
CUresult sim_cuOccupancyMaxPotentialClusterSize(int *size, CUfunction handle,
                                                const CUlaunchConfig *config)
{
    return size == NULL || config == NULL           ? CUDA_ERROR_INVALID_VALUE
           : check_function(handle) != CUDA_SUCCESS ? CUDA_ERROR_INVALID_HANDLE
                                                    : CUDA_ERROR_NOT_SUPPORTED;
}

CUresult sim_cuOccupancyMaxActiveClusters(int *count, CUfunction handle,
                                          const CUlaunchConfig *config)
{
    return sim_cuOccupancyMaxPotentialClusterSize(count, handle, config);
}

/* There is nothing to profile; starting and stopping are valid all the same. */
CUresult sim_cuProfilerInitialize(const char *config_file, const char *output_file, int mode)
{
    (void)config_file;
    (void)output_file;
    (void)mode;
    return CUDA_ERROR_NOT_SUPPORTED; /* documented: gone since CUDA 11 */
}

CUresult sim_cuProfilerStart(void)
{
    return copy_check_context();
}

CUresult sim_cuProfilerStop(void)
{
    return copy_check_context();
}
