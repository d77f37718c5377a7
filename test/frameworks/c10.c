/* PyTorch's caching allocator (c10/cuda/CUDACachingAllocator.cpp) as far as the driver sees it:
 * malloc, alloc_block, release_cached_blocks, ExpandableSegment::map and unmapHandles; the
 * cudaMallocAsync backend (CUDAMallocAsyncAllocator.cpp, mallocAsync); and a process with
 * PYTORCH_NO_CUDA_MEMORY_CACHING (uncached_allocate); one with an allocator plugged in
 * (torch/csrc/cuda/CUDAPluggableAllocator.cpp, malloc), here with the mutex held as in a MemPool.
 * Blocks are not split. */
#include <pthread.h>
#include <string.h>

#include "frameworks.h"
#include "trace.h"

/* Of cuda.h, and not in our declarations. */
enum { MEM_ALLOCATION_PINNED = 1, MEM_ACCESS_READWRITE = 3 };

enum { BLOCKS = 64, PIECES = 64 };

struct block {
    size_t bytes; /* 0: no block */
    bool in_use;
    enum c10_backend backend;
    CUdeviceptr address;
    size_t piece_bytes; /* expandable: the mapped pieces */
    int piece_count;
    CUmemGenericAllocationHandle pieces[PIECES];
};

static struct block blocks[BLOCKS];
static bool capture_underway;
static c10_plugged_malloc plugged_malloc;
static c10_plugged_free plugged_free;
static pthread_mutex_t mutex;

static __attribute__((constructor)) void make_mutex(void)
{
    pthread_mutexattr_t recursive;
    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&mutex, &recursive);
}

/* get_allocation_size: kLargeBuffer and kSmallBuffer, or multiples of kRoundLarge. */
static size_t segment_bytes(size_t bytes)
{
    if (bytes <= MIB)
        return 2 * MIB;
    if (bytes < 10 * MIB)
        return 20 * MIB;
    return (bytes + 2 * MIB - 1) / (2 * MIB) * (2 * MIB);
}

static CUmemAllocationProp properties(void)
{
    CUmemAllocationProp prop;
    memset(&prop, 0, sizeof prop);
    prop.type = MEM_ALLOCATION_PINNED;
    prop.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
    return prop;
}

static CUresult create(CUmemGenericAllocationHandle *handle, size_t bytes)
{
    const CUmemAllocationProp prop = properties();
    const uint64_t start_ns = trace_now_ns();
    const CUresult result = cuMemCreate(handle, bytes, &prop, 0);
    return trace("cuMemCreate", bytes, start_ns, result);
}

static void release(CUmemGenericAllocationHandle handle)
{
    const uint64_t start_ns = trace_now_ns();
    trace("cuMemRelease", 0, start_ns, cuMemRelease(handle));
}

/* ExpandableSegment::map: all pieces are created first; if one cannot be, those before it are given
 * back. */
static bool map_pieces(struct block *block)
{
    const CUmemAccessDesc access = { .location = { CU_MEM_LOCATION_TYPE_DEVICE, 0 },
                                     .flags = MEM_ACCESS_READWRITE };
    block->piece_bytes = block->bytes <= 2 * MIB ? 2 * MIB : 20 * MIB;
    block->piece_count = (int)((block->bytes + block->piece_bytes - 1) / block->piece_bytes);
    for (int i = 0; i < block->piece_count; i++) {
        const CUresult result = create(&block->pieces[i], block->piece_bytes);
        if (result == CUDA_ERROR_OUT_OF_MEMORY) {
            while (i-- > 0)
                release(block->pieces[i]);
            return false;
        }
        if (result != CUDA_SUCCESS)
            abort(); /* C10_CUDA_DRIVER_CHECK */
    }
    const size_t bytes = (size_t)block->piece_count * block->piece_bytes;
    if (cuMemAddressReserve(&block->address, bytes, 0, 0, 0) != CUDA_SUCCESS)
        abort();
    for (int i = 0; i < block->piece_count; i++) {
        const uint64_t start_ns = trace_now_ns();
        trace("cuMemMap", block->piece_bytes, start_ns,
              cuMemMap(block->address + (size_t)i * block->piece_bytes, block->piece_bytes, 0,
                       block->pieces[i], 0));
    }
    return cuMemSetAccess(block->address, bytes, &access, 1) == CUDA_SUCCESS;
}

static void unmap_pieces(struct block *block)
{
    for (int i = 0; i < block->piece_count; i++) {
        const uint64_t start_ns = trace_now_ns();
        trace("cuMemUnmap", block->piece_bytes, start_ns,
              cuMemUnmap(block->address + (size_t)i * block->piece_bytes, block->piece_bytes));
        release(block->pieces[i]);
    }
    cuMemAddressFree(block->address, (size_t)block->piece_count * block->piece_bytes);
}

static bool alloc_block(struct block *block)
{
    if (block->backend == C10_EXPANDABLE)
        return map_pieces(block);
    return traced_alloc(&block->address, block->bytes) == CUDA_SUCCESS;
}

/* release_cached_blocks; synchronises first, as it does for blocks that other streams used. */
static bool release_cached_blocks(void)
{
    cuCtxSynchronize();
    for (int i = 0; i < BLOCKS; i++) {
        struct block *const block = &blocks[i];
        if (block->bytes == 0 || block->in_use)
            continue;
        if (block->backend == C10_EXPANDABLE)
            unmap_pieces(block);
        else
            traced_free(block->address);
        block->bytes = 0;
    }
    return true;
}

static struct block *find_cached(enum c10_backend backend, size_t bytes)
{
    for (int i = 0; i < BLOCKS; i++)
        if (blocks[i].bytes == bytes && !blocks[i].in_use && blocks[i].backend == backend)
            return &blocks[i];
    return NULL;
}

static struct block *find_unused(void)
{
    for (int i = 0; i < BLOCKS; i++)
        if (blocks[i].bytes == 0)
            return &blocks[i];
    abort();
}

static struct block *malloc_cached(enum c10_backend backend, size_t bytes)
{
    struct block *block = find_cached(backend, segment_bytes(bytes));
    if (!block) {
        block = find_unused();
        *block =
            (struct block){ .bytes = segment_bytes(bytes), .in_use = true, .backend = backend };
        if (!alloc_block(block) &&
            (capture_underway || !release_cached_blocks() || !alloc_block(block))) {
            traced_info(); /* for the message of the exception */
            block->bytes = 0;
            return NULL;
        }
    }
    block->in_use = true;
    return block;
}

static CUresult alloc_async(CUdeviceptr *address, size_t bytes)
{
    const uint64_t start_ns = trace_now_ns();
    const CUresult result = cuMemAllocAsync(address, bytes, CU_STREAM_LEGACY);
    return trace("cuMemAllocAsync", bytes, start_ns, result);
}

/* Since 2.14: empties the pool at a failure, and asks again. */
static CUresult alloc_async_twice(CUdeviceptr *address, size_t bytes)
{
    CUmemoryPool pool;
    const CUresult result = alloc_async(address, bytes);
    if (result != CUDA_ERROR_OUT_OF_MEMORY)
        return result;
    if (cuDeviceGetDefaultMemPool(&pool, 0) != CUDA_SUCCESS ||
        cuMemPoolTrimTo(pool, 0) != CUDA_SUCCESS)
        abort();
    return alloc_async(address, bytes);
}

static CUresult alloc_elsewhere(enum c10_backend backend, CUdeviceptr *address, size_t bytes)
{
    switch (backend) {
    case C10_ASYNC: return alloc_async(address, bytes);
    case C10_ASYNC_TWICE: return alloc_async_twice(address, bytes);
    case C10_PLUGGED: return plugged_malloc(address, bytes);
    default: return traced_alloc(address, bytes);
    }
}

/* By the runtime's own means, without a cache. */
static struct block *malloc_elsewhere(enum c10_backend backend, size_t bytes)
{
    struct block *const block = find_unused();
    *block = (struct block){ .bytes = bytes, .backend = backend, .in_use = true };
    if (alloc_elsewhere(backend, &block->address, bytes) == CUDA_SUCCESS)
        return block;
    traced_info();
    block->bytes = 0;
    return NULL;
}

EXPORT void *c10_malloc(enum c10_backend backend, size_t bytes)
{
    pthread_mutex_lock(&mutex);
    struct block *const block = backend == C10_NATIVE || backend == C10_EXPANDABLE
                                    ? malloc_cached(backend, bytes)
                                    : malloc_elsewhere(backend, bytes);
    pthread_mutex_unlock(&mutex);
    return block;
}

EXPORT void c10_free(void *pointer)
{
    struct block *const block = pointer;
    pthread_mutex_lock(&mutex);
    block->in_use = false;
    if (block->backend != C10_NATIVE && block->backend != C10_EXPANDABLE) {
        if (block->backend == C10_ASYNC || block->backend == C10_ASYNC_TWICE)
            cuMemFreeAsync(block->address, CU_STREAM_LEGACY);
        else if (block->backend == C10_PLUGGED)
            plugged_free(block->address);
        else
            traced_free(block->address);
        block->bytes = 0;
    }
    pthread_mutex_unlock(&mutex);
}

EXPORT void c10_capture(bool underway)
{
    capture_underway = underway;
}

EXPORT void c10_plug(c10_plugged_malloc allocate, c10_plugged_free give_back)
{
    plugged_malloc = allocate;
    plugged_free = give_back;
}
