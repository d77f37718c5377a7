/* Several devices: each has its own memory, contexts and pools; copies go between them. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "cuda.h"

#define MIB 1048576u

static CUcontext contexts[2];

static void use(int device)
{
    cuda.context_set(contexts[device]);
}

static size_t free_bytes(int device)
{
    use(device);
    return cuda_free_bytes();
}

static void check_separate(void)
{
    CUdeviceptr one, two;
    int ordinal = -1;
    size_t before[2] = { free_bytes(0), free_bytes(1) };
    use(1);
    CHECK("alloc on device 1", cuda.alloc(&one, 64 * MIB), CUDA_SUCCESS);
    check_between("  takes its memory", (long long)(before[1] - free_bytes(1)), 64 * MIB, 66 * MIB);
    CHECK("  and none of device 0", free_bytes(0), before[0]);
    cuda.pointer_attribute(&ordinal, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, one);
    CHECK("  the pointer tells", ordinal, 1);
    CHECK("alloc on device 0", cuda.alloc(&two, 1000), CUDA_SUCCESS);
    CHECK_TRUE("  elsewhere", two + 1000 <= one || two >= one + 64 * MIB);
    cuda.pointer_attribute(&ordinal, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, two);
    CHECK("  the pointer tells", ordinal, 0);
    CHECK("free from the other device's context", cuda.free(one), CUDA_SUCCESS);
    CHECK("  gives it back", free_bytes(1), before[1]);
    cuda.free(two);
}

static void check_copies(void)
{
    CUdeviceptr one, two;
    char out[6] = "";
    use(0);
    cuda.alloc(&one, MIB);
    cuda.copy_htod(one, "peers", 6);
    use(1);
    cuda.alloc(&two, MIB);
    CHECK("copy between contexts", cuda.copy_peer(two, contexts[1], one, contexts[0], 6),
          CUDA_SUCCESS);
    CHECK("copy back to the host", cuda.copy_dtoh(out, two, 6), CUDA_SUCCESS);
    CHECK("  the data arrived", strcmp(out, "peers"), 0);
    CHECK("copy without contexts", cuda.copy(one, two, 6), CUDA_SUCCESS);
    CHECK("copy from no context",
          cuda.copy_peer(two, (CUcontext)0x123450, one, contexts[0], 6) == CUDA_SUCCESS, 0);
    cuda.free(one);
    cuda.free(two);
}

static void check_peers(void)
{
    int can = -1;
    CHECK("itself", cuda.can_access_peer(&can, 0, 0), CUDA_SUCCESS);
    CHECK("  is no peer", can, 0);
    CHECK("another", cuda.can_access_peer(&can, 0, 1), CUDA_SUCCESS);
    use(0);
    if (can) {
        CHECK("enable", cuda.enable_peer(contexts[1], 0), CUDA_SUCCESS);
        CHECK("enable again", cuda.enable_peer(contexts[1], 0),
              CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED);
        CHECK("disable", cuda.disable_peer(contexts[1]), CUDA_SUCCESS);
        CHECK("disable again", cuda.disable_peer(contexts[1]), CUDA_ERROR_PEER_ACCESS_NOT_ENABLED);
    } else {
        check_skip("peer access", "these devices have none");
    }
}

static void check_pools(void)
{
    CUmemoryPool pool = NULL, other = NULL;
    CUdeviceptr address;
    size_t before = free_bytes(0);
    cuda.pool_default(&pool, 0);
    cuda.pool_default(&other, 1);
    CHECK_TRUE("each device has a pool", pool != other);
    CHECK("a pool of another device", cuda.pool_set_current(0, other), CUDA_ERROR_INVALID_VALUE);
    use(1);
    CHECK("alloc on device 1", cuda.alloc_async(&address, 8 * MIB, NULL), CUDA_SUCCESS);
    cuuint64_t used = 0;
    cuda.pool_get(other, 7, &used);
    CHECK_TRUE("  is from its pool", used >= 8 * MIB);
    CHECK("  and takes nothing of device 0", free_bytes(0), before);
    use(1);
    cuda.free_async(address, NULL);
    cuda.stream_sync(NULL);
}

int main(void)
{
    int count = 0;
    check_start();
    setenv("SIMGPU_DEVICES", "2GiB,1GiB", 0); /* means nothing to a real driver */
    cuda_load();
    cuda.init(0);
    cuda.device_count(&count);
    if (count < 2) {
        check_skip("several devices", "there is only one");
        return check_finish();
    }
    CHECK("context 0", cuda.primary_retain(&contexts[0], 0), CUDA_SUCCESS);
    CHECK("context 1", cuda.primary_retain(&contexts[1], 1), CUDA_SUCCESS);
    check_separate();
    check_copies();
    check_peers();
    check_pools();
    return check_finish();
}
