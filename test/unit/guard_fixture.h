/* For unit tests of the guard: a driver of the test's own, wrappers as in src/hook, and the
 * recorder files that they leave. */
#ifndef VRAMGUARD_TEST_GUARD_FIXTURE_H
#define VRAMGUARD_TEST_GUARD_FIXTURE_H

#include <dirent.h>

#include "child.h"
#include "guard/guard.h"

/* The driver: gives addresses out in order, fails when told to. */
static struct {
    CUresult next_result; /* of the next allocating calls */
    int failures;         /* how many of them fail with it */
    CUresult free_result;
    bool has_context;
    CUdevice device;
    const int *free_mib; /* after each allocating call, from the first on */
    _Atomic uint64_t next_address;
    _Atomic int alloc_calls, free_calls;
    _Atomic CUdeviceptr last_freed;
} driver;

static UNUSED CUresult fake_alloc(CUdeviceptr *address, size_t bytes)
{
    driver.alloc_calls++;
    if (!address || bytes == 0)
        return CUDA_ERROR_INVALID_VALUE;
    if (driver.failures > 0) {
        driver.failures--;
        return driver.next_result;
    }
    *address = atomic_fetch_add(&driver.next_address, (bytes + 511) / 512 * 512);
    return CUDA_SUCCESS;
}

static UNUSED CUresult fake_free(CUdeviceptr address)
{
    driver.free_calls++;
    driver.last_freed = address;
    return driver.free_result;
}

static UNUSED CUresult fake_get_device(CUdevice *device)
{
    if (!driver.has_context)
        return CUDA_ERROR_INVALID_CONTEXT;
    *device = driver.device;
    return CUDA_SUCCESS;
}

static UNUSED CUresult fake_mem_info(size_t *free_bytes, size_t *total_bytes)
{
    *free_bytes = (size_t)(driver.free_mib ? driver.free_mib[driver.alloc_calls] : 10) << 20;
    *total_bytes = 256 << 20;
    return driver.has_context ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
}

static UNUSED CUresult fake_total(size_t *bytes, CUdevice device)
{
    (void)device;
    *bytes = 256 << 20;
    return CUDA_SUCCESS;
}

static UNUSED void reset_driver(void)
{
    memset(&driver, 0, sizeof driver);
    driver.has_context = true;
    driver.next_address = 0x7f0000000000;
    driver.next_result = CUDA_ERROR_OUT_OF_MEMORY;
    vg_driver.cuMemAlloc_v2 = fake_alloc;
    vg_driver.cuMemFree_v2 = fake_free;
    vg_driver.cuCtxGetDevice = fake_get_device;
    vg_driver.cuMemGetInfo_v2 = fake_mem_info;
    vg_driver.cuDeviceTotalMem_v2 = fake_total;
}

/* A wrapper, as guard.h shows it. Never inlined: a call is known by its place on the stack. */
static UNUSED __attribute__((noinline)) CUresult guarded_alloc(CUdeviceptr *address, size_t bytes)
{
    struct vg_call call;
    if (!vg_guard_begin(&call, VG_FN_cuMemAlloc_v2, bytes))
        return vg_driver.cuMemAlloc_v2(address, bytes);
    do
        call.result = vg_driver.cuMemAlloc_v2(address, bytes);
    while (vg_guard_again(&call));
    if (call.result == CUDA_SUCCESS)
        vg_guard_record(&call, VG_KIND_DEVICE, *address, bytes);
    return vg_guard_end(&call);
}

static UNUSED __attribute__((noinline)) CUresult guarded_free(CUdeviceptr address)
{
    struct vg_free_call call;
    if (!vg_guard_begin_free(&call, VG_FN_cuMemFree_v2, address))
        return vg_driver.cuMemFree_v2(address);
    return vg_guard_end_free(&call, vg_driver.cuMemFree_v2(address));
}

static UNUSED CUdeviceptr allocated(size_t bytes)
{
    CUdeviceptr address = 0;
    CHECK(guarded_alloc(&address, bytes) == CUDA_SUCCESS);
    CHECK(address != 0);
    return address;
}

static UNUSED int setup(void **state)
{
    if (make_scratch(state) != 0)
        return -1;
    static char registry[128];
    snprintf(registry, sizeof registry, "%s/registry", scratch);
    vg_registry_directory = registry;
    unsetenv("VRAMGUARD_LOG");
    setenv("VRAMGUARD_STACKS", "off", 1);
    setenv("VRAMGUARD", "on", 1);
    setenv("VRAMGUARD_POLICY", "off", 1);
    reset_driver();
    return 0;
}

/* The recorder files of the test, at most `cap` paths. Returns how many there are. */
static UNUSED int list_records(char paths[][512], int cap)
{
    int count = 0;
    DIR *const directory = opendir(in_scratch("vramguard"));
    if (!directory)
        return 0;
    for (const struct dirent *entry; (entry = readdir(directory));)
        if (strstr(entry->d_name, ".vgr") && count < cap)
            snprintf(paths[count++], 512, "%s/vramguard/%s", scratch, entry->d_name);
    closedir(directory);
    return count;
}

/* The only recorder file, read. */
static UNUSED void read_only_record(struct record *out)
{
    char paths[4][512];
    assert_int_equal(list_records(paths, 4), 1);
    assert_true(read_record(paths[0], out));
}

#define GUARD_TEST(name) cmocka_unit_test_setup_teardown(name, setup, remove_scratch)

#endif
