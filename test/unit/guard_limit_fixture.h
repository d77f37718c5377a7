/* For unit tests of the guard under VRAMGUARD_LIMIT: a driver of the test's own that has memory
 * without end, and wrappers as in src/hook. Each test runs in a process of its own. */
#ifndef VRAMGUARD_TEST_GUARD_LIMIT_FIXTURE_H
#define VRAMGUARD_TEST_GUARD_LIMIT_FIXTURE_H

#include "child.h"
#include "guard/guard.h"
#include "segments.h"

#define LIMIT UINT64_C(1000000)

enum { DEVICES = 3 };

static struct {
    _Atomic uint64_t next_address, last_address;
    _Atomic int calls;
    _Atomic CUresult result, free_result, total_result;
    bool no_uuid;
    uint64_t context;
    _Atomic int64_t held_bytes, most_bytes;
} driver;

static _Thread_local CUdevice device;

static void hold(int64_t bytes)
{
    const int64_t held = atomic_fetch_add(&driver.held_bytes, bytes) + bytes;
    int64_t most = driver.most_bytes;
    while (held > most && !atomic_compare_exchange_weak(&driver.most_bytes, &most, held))
        ;
}

static CUresult fake_alloc(CUdeviceptr *address, size_t bytes)
{
    driver.calls++;
    if (driver.result != CUDA_SUCCESS)
        return driver.result;
    hold((int64_t)bytes);
    *address = atomic_fetch_add(&driver.next_address, (bytes + 511) / 512 * 512);
    driver.last_address = *address;
    return CUDA_SUCCESS;
}

static CUresult fake_free(CUdeviceptr address)
{
    (void)address;
    return driver.free_result;
}

static CUresult fake_get_device(CUdevice *out)
{
    *out = device;
    return CUDA_SUCCESS;
}

static CUresult fake_get_current(CUcontext *out)
{
    *out = (CUcontext)(uintptr_t)driver.context;
    return CUDA_SUCCESS;
}

static CUresult fake_total(size_t *bytes, CUdevice ordinal)
{
    if (driver.total_result != CUDA_SUCCESS)
        return driver.total_result;
    *bytes = 2 * LIMIT;
    return ordinal < DEVICES ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

static CUresult fake_uuid(CUuuid *uuid, CUdevice ordinal)
{
    if (driver.no_uuid)
        return CUDA_ERROR_NOT_SUPPORTED;
    memset(uuid, ordinal + 1, sizeof *uuid);
    return CUDA_SUCCESS;
}

static void make_driver(void)
{
    memset(&driver, 0, sizeof driver);
    driver.next_address = 0x7f0000000000;
    driver.context = 8;
    vg_driver.cuMemAlloc_v2 = fake_alloc;
    vg_driver.cuMemFree_v2 = fake_free;
    vg_driver.cuCtxGetDevice = fake_get_device;
    vg_driver.cuCtxGetCurrent = fake_get_current;
    vg_driver.cuDeviceTotalMem_v2 = fake_total;
    vg_driver.cuDeviceGetUuid_v2 = fake_uuid;
}

/* A wrapper, as guard.h shows it. `more_bytes`: what it turns out to take beyond `bytes`. */
static CUresult take_more(CUdeviceptr *address, size_t bytes, size_t more_bytes)
{
    struct vg_call call;
    CUdeviceptr got = 0;
    CHECK(vg_guard_begin(&call, VG_FN_cuMemAlloc_v2, bytes));
    do {
        call.result = vg_guard_admits(&call) ? vg_driver.cuMemAlloc_v2(&got, bytes)
                                             : CUDA_ERROR_OUT_OF_MEMORY;
        if (call.result == CUDA_SUCCESS && !vg_guard_allows(&call, bytes + more_bytes))
            call.result = CUDA_ERROR_OUT_OF_MEMORY;
    } while (vg_guard_again(&call));
    if (call.result == CUDA_SUCCESS)
        vg_guard_record(&call, VG_KIND_DEVICE, *address = got, bytes + more_bytes);
    return vg_guard_end(&call);
}

static CUresult take(CUdeviceptr *address, size_t bytes)
{
    return take_more(address, bytes, 0);
}

static CUresult give(CUdeviceptr address, size_t bytes)
{
    struct vg_free_call call;
    CHECK(vg_guard_begin_free(&call, VG_FN_cuMemFree_v2, address));
    if (driver.free_result == CUDA_SUCCESS)
        hold(-(int64_t)bytes); /* before the account has it back */
    return vg_guard_end_free(&call, vg_driver.cuMemFree_v2(address));
}

static uint64_t left_on(int ordinal)
{
    uint64_t limit_bytes = 0, left_bytes = 0;
    struct vg_process_state *const state = vg_process_start();
    CHECK(vg_quota_left(&state->allowance, ordinal, &limit_bytes, &left_bytes));
    CHECK(limit_bytes == LIMIT);
    return left_bytes;
}

static int set_up(void **state, const char *scope)
{
    static char registry[128];
    if (make_scratch(state) != 0)
        return -1;
    snprintf(registry, sizeof registry, "%s/registry", scratch);
    vg_registry_directory = registry;
    setenv("VRAMGUARD_STACKS", "off", 1);
    setenv("VRAMGUARD_POLICY", "off", 1);
    setenv("VRAMGUARD_LIMIT", "1000000B", 1);
    setenv("VRAMGUARD_LIMIT_SCOPE", scope, 1);
    make_driver();
    return 0;
}

static int own(void **state)
{
    return set_up(state, "process");
}

static int shared(void **state)
{
    return set_up(state, "shared");
}

#define OWN_TEST(name)    cmocka_unit_test_setup_teardown(name, own, remove_scratch_and_segments)
#define SHARED_TEST(name) cmocka_unit_test_setup_teardown(name, shared, remove_scratch_and_segments)

#endif
