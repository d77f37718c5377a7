/* Virtual memory management. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "cuda.h"

#define VMM_SUPPORTED     102
#define FD_SUPPORTED      103
#define ACCESS_READ_WRITE 3
#define ALLOCATION_PINNED 1
#define HANDLE_FD         1
#define SLACK             (4 << 20)

static const CUmemAllocationProp device_memory = { .type = ALLOCATION_PINNED,
                                                   .location = { CU_MEM_LOCATION_TYPE_DEVICE, 0 } };
static const CUmemAccessDesc read_write = { { CU_MEM_LOCATION_TYPE_DEVICE, 0 }, ACCESS_READ_WRITE };
static size_t unit; /* the granularity, or more: easy to see in cuMemGetInfo */

static void check_lost(const char *name, size_t before, size_t expected)
{
    check_between(name, (long long)before - (long long)cuda_free_bytes(),
                  (long long)expected - SLACK, (long long)expected + SLACK);
}

/* Memory lives until the last reference and the last mapping are gone. */
static void check_lifetime(void)
{
    CUdeviceptr base = 0;
    CUmemGenericAllocationHandle handle = 0, again = 0;
    size_t before = cuda_free_bytes();
    char out[6] = "";
    CHECK("reserve", cuda.reserve(&base, 8 * unit, 0, 0, 0), CUDA_SUCCESS);
    check_lost("  takes no memory", before, 0);
    CHECK("create", cuda.create(&handle, 2 * unit, &device_memory, 0), CUDA_SUCCESS);
    check_lost("  takes memory", before, 2 * unit);
    CHECK("map", cuda.map(base, 2 * unit, 0, handle, 0), CUDA_SUCCESS);
    CHECK("map a second time", cuda.map(base + 4 * unit, 2 * unit, 0, handle, 0), CUDA_SUCCESS);
    check_lost("  takes no more", before, 2 * unit);
    CHECK("map where something is mapped", cuda.map(base, 2 * unit, 0, handle, 0),
          CUDA_ERROR_INVALID_VALUE);
    CHECK("access", cuda.set_access(base, 2 * unit, &read_write, 1), CUDA_SUCCESS);
    CHECK("access to the second", cuda.set_access(base + 4 * unit, 2 * unit, &read_write, 1),
          CUDA_SUCCESS);
    CHECK("write", cuda.copy_htod(base + 100, "hello", 6), CUDA_SUCCESS);
    CHECK("read at the other address", cuda.copy_dtoh(out, base + 4 * unit + 100, 6), CUDA_SUCCESS);
    CHECK("  the same memory", strcmp(out, "hello"), 0);

    CHECK("unmap a part", cuda.unmap(base, unit), CUDA_ERROR_INVALID_VALUE);
    CHECK("release", cuda.release(handle), CUDA_SUCCESS);
    check_lost("  keeps what is mapped", before, 2 * unit);
    CHECK("unmap", cuda.unmap(base, 2 * unit), CUDA_SUCCESS);
    check_lost("  keeps what is mapped elsewhere", before, 2 * unit);
    CHECK("retain by address", cuda.retain(&again, (void *)(uintptr_t)(base + 4 * unit)),
          CUDA_SUCCESS);
    CHECK("  the same handle", again, handle);
    CHECK("unmap the last", cuda.unmap(base + 4 * unit, 2 * unit), CUDA_SUCCESS);
    check_lost("  keeps what is retained", before, 2 * unit);
    CHECK("release the last", cuda.release(again), CUDA_SUCCESS);
    check_lost("  gives it back", before, 0);
    CHECK("unreserve", cuda.unreserve(base, 8 * unit), CUDA_SUCCESS);
}

/* Several handles side by side are one piece of memory to a copy. */
static void check_adjacent(void)
{
    CUdeviceptr base;
    CUmemGenericAllocationHandle handles[3];
    cuda.reserve(&base, 3 * unit, 0, 0, 0);
    for (size_t i = 0; i < 3; i++) {
        cuda.create(&handles[i], unit, &device_memory, 0);
        cuda.map(base + i * unit, unit, 0, handles[i], 0);
    }
    CHECK("access to all at once", cuda.set_access(base, 3 * unit, &read_write, 1), CUDA_SUCCESS);
    CHECK("set across the borders", cuda.set_d8(base + unit / 2, 7, 2 * unit), CUDA_SUCCESS);
    unsigned char out[2] = { 0 };
    cuda.copy_dtoh(out, base + unit - 1, 2);
    CHECK("  both sides", out[0] + out[1], 14);
    unsigned long long flags = 0;
    CHECK("get access", cuda.get_access(&flags, &read_write.location, base), CUDA_SUCCESS);
    CHECK("  read and write", flags, ACCESS_READ_WRITE);
    CHECK("unmap all at once", cuda.unmap(base, 3 * unit), CUDA_SUCCESS);
    for (size_t i = 0; i < 3; i++)
        cuda.release(handles[i]);
    cuda.unreserve(base, 3 * unit);
}

static void check_errors(void)
{
    CUdeviceptr base = 12345;
    CUmemGenericAllocationHandle handle = 12345;
    size_t total;
    cuda.device_total(&total, 0);
    CHECK("reserve nothing", cuda.reserve(&base, 0, 0, 0, 0), CUDA_ERROR_INVALID_VALUE);
    CHECK("reserve half a unit", cuda.reserve(&base, 1000, 0, 0, 0), CUDA_ERROR_INVALID_VALUE);
    CHECK("create half a unit", cuda.create(&handle, 1000, &device_memory, 0),
          CUDA_ERROR_INVALID_VALUE);
    CHECK("create too much", cuda.create(&handle, (total / unit + 1) * unit, &device_memory, 0),
          CUDA_ERROR_OUT_OF_MEMORY);
    CHECK("  leaves the output alone", handle, 12345);
    CUmemAllocationProp elsewhere = device_memory;
    elsewhere.location.id = 99;
    CHECK("create on no device", cuda.create(&handle, unit, &elsewhere, 0),
          CUDA_ERROR_INVALID_DEVICE);
    CHECK("create without properties", cuda.create(&handle, unit, NULL, 0),
          CUDA_ERROR_INVALID_VALUE);

    cuda.create(&handle, unit, &device_memory, 0);
    CHECK("map outside a reservation", cuda.map(0x200000, unit, 0, handle, 0),
          CUDA_ERROR_INVALID_VALUE);
    cuda.reserve(&base, 2 * unit, 0, 0, 0);
    CHECK("unmap nothing", cuda.unmap(base, unit), CUDA_ERROR_INVALID_VALUE);
    CHECK("access to nothing", cuda.set_access(base, unit, &read_write, 1),
          CUDA_ERROR_INVALID_VALUE);
    CHECK("unreserve a part", cuda.unreserve(base, unit), CUDA_ERROR_INVALID_VALUE);
    CUmemAllocationProp props;
    CHECK("properties", cuda.handle_props(&props, handle), CUDA_SUCCESS);
    CHECK("  location", props.location.type, CU_MEM_LOCATION_TYPE_DEVICE);
    CHECK("  device", props.location.id, 0);
    cuda.unreserve(base, 2 * unit);
    cuda.release(handle);
}

/* An imported handle is a reference of its own. */
static void check_export(void)
{
    int supported = 0, fd = -1;
    cuda.device_attribute(&supported, FD_SUPPORTED, 0);
    if (!supported) {
        check_skip("export", "the device has no file descriptor handles");
        return;
    }
    CUmemAllocationProp shareable = device_memory;
    shareable.requestedHandleTypes = HANDLE_FD;
    CUmemGenericAllocationHandle handle, imported = 0;
    CUdeviceptr base;
    size_t before = cuda_free_bytes();
    char out[6] = "";
    CHECK("create to share", cuda.create(&handle, 2 * unit, &shareable, 0), CUDA_SUCCESS);
    CHECK("export", cuda.export_handle(&fd, handle, HANDLE_FD, 0), CUDA_SUCCESS);
    CHECK("import", cuda.import_handle(&imported, (void *)(intptr_t)fd, HANDLE_FD), CUDA_SUCCESS);
    close(fd);
    cuda.reserve(&base, 4 * unit, 0, 0, 0);
    CHECK("map the import", cuda.map(base, 2 * unit, 0, imported, 0), CUDA_SUCCESS);
    cuda.map(base + 2 * unit, 2 * unit, 0, handle, 0);
    cuda.set_access(base, 4 * unit, &read_write, 1);
    cuda.copy_htod(base, "share", 6);
    cuda.copy_dtoh(out, base + 2 * unit, 6);
    CHECK("  the same memory", strcmp(out, "share"), 0);
    cuda.unmap(base, 4 * unit);
    CHECK("release the original", cuda.release(handle), CUDA_SUCCESS);
    check_lost("  the import keeps it", before, 2 * unit);
    CHECK("release the import", cuda.release(imported), CUDA_SUCCESS);
    check_lost("  gives it back", before, 0);
    cuda.unreserve(base, 4 * unit);

    cuda.create(&handle, unit, &device_memory, 0);
    CHECK("export what was not made for it", cuda.export_handle(&fd, handle, HANDLE_FD, 0),
          CUDA_ERROR_INVALID_VALUE);
    cuda.release(handle);
}

int main(void)
{
    check_start();
    cuda_start();
    int supported = 0;
    cuda.device_attribute(&supported, VMM_SUPPORTED, 0);
    if (!supported) {
        check_skip("virtual memory", "the device does not support it");
        return check_finish();
    }
    CHECK("granularity", cuda.granularity(&unit, &device_memory, 0), CUDA_SUCCESS);
    CHECK_TRUE("  is a power of two", unit != 0 && (unit & (unit - 1)) == 0);
    while (unit < 32 << 20)
        unit *= 2;
    check_lifetime();
    check_adjacent();
    check_errors();
    check_export();
    return check_finish();
}
