/* Stream-ordered allocation and memory pools. */
#include <string.h>

#include "check.h"
#include "cuda.h"

#define MIB               1048576u
#define POOLS_SUPPORTED   115
#define RELEASE_THRESHOLD 4
#define RESERVED_CURRENT  5
#define RESERVED_HIGH     6
#define USED_CURRENT      7
#define USED_HIGH         8
#define ACCESS_READ_WRITE 3
#define ALLOCATION_PINNED 1

static cuuint64_t get(CUmemoryPool pool, int attribute)
{
    cuuint64_t value = 0;
    cuda.pool_get(pool, attribute, &value);
    return value;
}

static void set(CUmemoryPool pool, int attribute, cuuint64_t value)
{
    cuda.pool_set(pool, attribute, &value);
}

static CUmemoryPool make_pool(void)
{
    CUmemPoolProps props = { .allocType = ALLOCATION_PINNED,
                             .location = { CU_MEM_LOCATION_TYPE_DEVICE, 0 } };
    CUmemoryPool pool = NULL;
    CHECK("create a pool", cuda.pool_create(&pool, &props), CUDA_SUCCESS);
    return pool;
}

/* What is freed stays with the pool until someone synchronises, unless the threshold holds it. */
static void check_reserve(void)
{
    CUmemoryPool pool = make_pool();
    CUdeviceptr one = 0, two = 0;
    size_t before = cuda_free_bytes();
    CHECK("alloc", cuda.alloc_from_pool(&one, 64 * MIB, pool, NULL), CUDA_SUCCESS);
    check_between("  used", (long long)get(pool, USED_CURRENT), 64 * MIB, 66 * MIB);
    CHECK_TRUE("  reserved is at least used",
               get(pool, RESERVED_CURRENT) >= get(pool, USED_CURRENT));
    CHECK_TRUE("  the device has less", before - cuda_free_bytes() >= 64 * MIB);
    CHECK("free", cuda.free_async(one, NULL), CUDA_SUCCESS);
    CHECK("synchronise", cuda.stream_sync(NULL), CUDA_SUCCESS);
    CHECK("  used", get(pool, USED_CURRENT), 0);
    CHECK("  reserved", get(pool, RESERVED_CURRENT), 0);
    check_between("  the device has it back", (long long)(before - cuda_free_bytes()), 0, 4 * MIB);
    CHECK_TRUE("high-water mark", get(pool, USED_HIGH) >= 64 * MIB);
    set(pool, USED_HIGH, 0);
    CHECK("  reset", get(pool, USED_HIGH), 0);

    set(pool, RELEASE_THRESHOLD, UINT64_MAX);
    CHECK("threshold", get(pool, RELEASE_THRESHOLD), UINT64_MAX);
    cuda.alloc_from_pool(&one, 64 * MIB, pool, NULL);
    cuda.alloc_from_pool(&two, 64 * MIB, pool, NULL);
    cuda.free_async(one, NULL);
    cuda.stream_sync(NULL);
    CHECK_TRUE("  keeps what is freed", get(pool, RESERVED_CURRENT) >= 128 * MIB);
    cuuint64_t reserved = get(pool, RESERVED_CURRENT);
    cuda.alloc_from_pool(&one, 32 * MIB, pool, NULL);
    CHECK("  and uses it again", get(pool, RESERVED_CURRENT), reserved);
    cuda.free_async(one, NULL);
    cuda.stream_sync(NULL);
    CHECK("trim", cuda.pool_trim(pool, 0), CUDA_SUCCESS);
    check_between("  leaves what is in use", (long long)get(pool, RESERVED_CURRENT), 64 * MIB,
                  96 * MIB);
    cuda.free_async(two, NULL);
    cuda.stream_sync(NULL);
    cuda.pool_trim(pool, 0);
    CHECK("  and takes the rest", get(pool, RESERVED_CURRENT), 0);
    CHECK("destroy", cuda.pool_destroy(pool), CUDA_SUCCESS);
}

static void check_default(void)
{
    CUmemoryPool pool = NULL, current = NULL, mine;
    CUdeviceptr address;
    CHECK("default pool", cuda.pool_default(&pool, 0), CUDA_SUCCESS);
    CHECK("current pool", cuda.pool_current(&current, 0), CUDA_SUCCESS);
    CHECK_TRUE("  is the default", pool == current);
    CHECK("destroy the default", cuda.pool_destroy(pool), CUDA_ERROR_INVALID_VALUE);
    mine = make_pool();
    CHECK("make another current", cuda.pool_set_current(0, mine), CUDA_SUCCESS);
    cuda.pool_current(&current, 0);
    CHECK_TRUE("  it is", current == mine);
    cuda.alloc_async(&address, MIB, NULL);
    CHECK_TRUE("  and allocations use it", get(mine, USED_CURRENT) >= MIB);
    CUmemoryPool origin = NULL;
    cuda.pointer_attribute(&origin, CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE, address);
    CHECK_TRUE("  as the pointer tells", origin == mine);
    cuda.free_async(address, NULL);
    cuda.stream_sync(NULL);
    cuda.pool_destroy(mine);
    cuda.pool_current(&current, 0);
    CHECK_TRUE("destroying it makes the default current", current == pool);
}

static void check_data(void)
{
    CUdeviceptr address;
    char in[5000], out[5000] = "";
    memset(in, 'p', sizeof(in));
    CHECK("alloc", cuda.alloc_async(&address, sizeof(in), NULL), CUDA_SUCCESS);
    CHECK("  aligned", address % 256, 0);
    cuda.copy_htod(address, in, sizeof(in));
    cuda.copy_dtoh(out, address, sizeof(in));
    CHECK("  holds data", memcmp(in, out, sizeof(in)), 0);
    CHECK("free with cuMemFree", cuda.free(address), CUDA_SUCCESS);
    CHECK_TRUE("free twice fails", cuda.free_async(address, NULL) != CUDA_SUCCESS);
    CHECK("cuMemAlloc memory", cuda.alloc(&address, MIB), CUDA_SUCCESS);
    CHECK("  freed with cuMemFreeAsync", cuda.free_async(address, NULL), CUDA_SUCCESS);
    CHECK("  is gone", cuda.free(address), CUDA_ERROR_INVALID_VALUE);
}

static void check_errors(void)
{
    CUdeviceptr address = 12345;
    size_t total;
    cuda.device_total(&total, 0);
    CHECK("too much", cuda.alloc_async(&address, total + 64 * MIB, NULL), CUDA_ERROR_OUT_OF_MEMORY);
    CHECK("  leaves the output alone", address, 12345);
    CHECK("nothing", cuda.alloc_async(&address, 0, NULL), CUDA_ERROR_INVALID_VALUE);
    CHECK("no output", cuda.alloc_async(NULL, MIB, NULL), CUDA_ERROR_INVALID_VALUE);
    CUmemoryPool pool = make_pool();
    int flags = -1;
    CUmemLocation location = { CU_MEM_LOCATION_TYPE_DEVICE, 0 };
    CHECK("access", cuda.pool_get_access(&flags, pool, &location), CUDA_SUCCESS);
    CHECK("  of its own device", flags, ACCESS_READ_WRITE);
    cuuint64_t value = 1;
    CHECK("set what is measured", cuda.pool_set(pool, USED_CURRENT, &value),
          CUDA_ERROR_INVALID_VALUE);
    CHECK("set a high-water mark to more than 0", cuda.pool_set(pool, RESERVED_HIGH, &value),
          CUDA_ERROR_INVALID_VALUE);
    cuda.pool_destroy(pool);
}

/* A pool that is destroyed lives on until its last allocation is freed. */
static void check_destroy(void)
{
    CUmemoryPool pool = make_pool();
    CUdeviceptr address;
    size_t before = cuda_free_bytes();
    cuda.alloc_from_pool(&address, 64 * MIB, pool, NULL);
    CHECK("destroy while in use", cuda.pool_destroy(pool), CUDA_SUCCESS);
    CHECK("  the allocation lives", cuda.set_d8(address, 1, 64 * MIB), CUDA_SUCCESS);
    CHECK("  and is freed", cuda.free_async(address, NULL), CUDA_SUCCESS);
    cuda.stream_sync(NULL);
    check_between("  and all comes back", (long long)(before - cuda_free_bytes()), 0, 4 * MIB);
}

int main(void)
{
    check_start();
    cuda_start();
    int supported = 0;
    cuda.device_attribute(&supported, POOLS_SUPPORTED, 0);
    if (!supported || cuda.alloc_async == NULL) {
        check_skip("pools", "the device does not support them");
        return check_finish();
    }
    check_reserve();
    check_default();
    check_data();
    check_errors();
    check_destroy();
    return check_finish();
}
