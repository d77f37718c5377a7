/* For unit tests of spilled memory: a driver whose device is full and whose host is not, wrappers
 * as in src/hook, and a host whose memory the test sets. */
#ifndef VRAMGUARD_TEST_SPILL_FIXTURE_H
#define VRAMGUARD_TEST_SPILL_FIXTURE_H

#include "child.h"
#include "guard/guard.h"
#include "guard/spilled_free.h"
#include "os/process.h"

/* ---- the driver ---- */

enum { HANDLE = 77, EVENTS = 64 };

static struct {
    CUresult alloc_host, get_pointer, free_host, create, query, make_event, record, synchronize;
    CUdeviceptr shift; /* of the device pointer against the host's */
    int unified, can_map, numa_memory, numa_id;
    size_t device_granularity, host_granularity;
    CUstreamCaptureStatus capturing;
    _Atomic int host_allocations, handles, events, waits, mode_changes;
    _Atomic uint64_t host_bytes;
    CUmemAllocationProp created;
} driver;

static UNUSED CUresult full(CUdeviceptr *address, size_t bytes)
{
    (void)address, (void)bytes;
    return CUDA_ERROR_OUT_OF_MEMORY;
}

static UNUSED CUresult free_device(CUdeviceptr address)
{
    (void)address;
    return CUDA_ERROR_INVALID_VALUE; /* nothing is on the device */
}

static UNUSED CUresult alloc_host(void **address, size_t bytes, unsigned int flags)
{
    CHECK(flags == CU_MEMHOSTALLOC_DEVICEMAP);
    if (driver.alloc_host != CUDA_SUCCESS)
        return driver.alloc_host;
    uint64_t *const memory =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    memory[0] = bytes; /* for free_host */
    driver.host_allocations++;
    driver.host_bytes += bytes;
    *address = memory;
    return CUDA_SUCCESS;
}

static UNUSED CUresult get_pointer(CUdeviceptr *device_address, void *address, unsigned int flags)
{
    CHECK(flags == 0);
    if (driver.get_pointer == CUDA_SUCCESS)
        *device_address = (uintptr_t)address + driver.shift;
    return driver.get_pointer;
}

static UNUSED CUresult free_host(void *address)
{
    if (driver.free_host != CUDA_SUCCESS)
        return driver.free_host;
    driver.host_allocations--;
    const uint64_t bytes = *(uint64_t *)address;
    driver.host_bytes -= bytes;
    munmap(address, bytes);
    return CUDA_SUCCESS;
}

static UNUSED CUresult get_device(CUdevice *device)
{
    *device = 0;
    return CUDA_SUCCESS;
}

static UNUSED CUresult get_context(CUcontext *context)
{
    *context = (CUcontext)(uintptr_t)0xc0;
    return CUDA_SUCCESS;
}

static UNUSED CUresult mem_info(size_t *free_bytes, size_t *total_bytes)
{
    *free_bytes = 0;
    *total_bytes = 256 << 20;
    return CUDA_SUCCESS;
}

static UNUSED CUresult get_attribute(int *value, CUdevice_attribute which, CUdevice device)
{
    CHECK(device == 0);
    switch (which) {
    case CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING: *value = driver.unified; break;
    case CU_DEVICE_ATTRIBUTE_CAN_MAP_HOST_MEMORY: *value = driver.can_map; break;
    case CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT: *value = 512; break;
    case CU_DEVICE_ATTRIBUTE_TEXTURE_PITCH_ALIGNMENT: *value = 32; break;
    case CU_DEVICE_ATTRIBUTE_HOST_NUMA_ID: *value = driver.numa_id; break;
    case CU_DEVICE_ATTRIBUTE_HOST_NUMA_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED:
        *value = driver.numa_memory;
        break;
    default: return CUDA_ERROR_INVALID_VALUE;
    }
    return CUDA_SUCCESS;
}

static UNUSED CUresult get_granularity(size_t *bytes, const CUmemAllocationProp *properties,
                                       CUmemAllocationGranularity_flags option)
{
    CHECK(option == CU_MEM_ALLOC_GRANULARITY_MINIMUM);
    *bytes = properties->location.type == CU_MEM_LOCATION_TYPE_DEVICE ? driver.device_granularity
                                                                      : driver.host_granularity;
    return CUDA_SUCCESS;
}

static UNUSED CUresult create(CUmemGenericAllocationHandle *handle, size_t bytes,
                              const CUmemAllocationProp *properties, unsigned long long flags)
{
    (void)bytes, (void)flags;
    if (properties->location.type == CU_MEM_LOCATION_TYPE_DEVICE)
        return CUDA_ERROR_OUT_OF_MEMORY;
    driver.created = *properties;
    if (driver.create == CUDA_SUCCESS) {
        driver.handles++;
        *handle = HANDLE;
    }
    return driver.create;
}

static UNUSED CUresult release(CUmemGenericAllocationHandle handle)
{
    CHECK(handle == HANDLE);
    driver.handles--;
    return CUDA_SUCCESS;
}

static UNUSED CUresult make_event(CUevent *event, unsigned int flags)
{
    CHECK(flags == CU_EVENT_DISABLE_TIMING);
    if (driver.make_event == CUDA_SUCCESS)
        *event = (CUevent)(uintptr_t)(0xe0 + driver.events++);
    return driver.make_event;
}

static UNUSED CUresult record(CUevent event, CUstream stream)
{
    CHECK(event);
    CHECK(stream == (CUstream)(uintptr_t)0x57);
    return driver.record;
}

static UNUSED CUresult query(CUevent event)
{
    CHECK(event);
    return driver.query;
}

static UNUSED CUresult destroy_event(CUevent event)
{
    CHECK(event);
    driver.events--;
    return CUDA_SUCCESS;
}

static UNUSED CUresult synchronize(CUstream stream)
{
    CHECK(stream == (CUstream)(uintptr_t)0x57);
    driver.waits++;
    return driver.synchronize;
}

static UNUSED CUresult is_capturing(CUstream stream, CUstreamCaptureStatus *status)
{
    CHECK(stream == (CUstream)(uintptr_t)0x57);
    *status = driver.capturing;
    return CUDA_SUCCESS;
}

static UNUSED CUresult exchange_mode(CUstreamCaptureMode *mode)
{
    static _Thread_local CUstreamCaptureMode present;
    const CUstreamCaptureMode before = present;
    present = *mode;
    *mode = before;
    driver.mode_changes += present == CU_STREAM_CAPTURE_MODE_RELAXED ? 1 : -1;
    return CUDA_SUCCESS;
}

static UNUSED void reset_driver(void)
{
    memset(&driver, 0, sizeof driver);
    driver.unified = driver.can_map = driver.numa_memory = 1;
    driver.numa_id = -1;
    driver.device_granularity = driver.host_granularity = 2 << 20;
    memset(&vg_driver, 0, sizeof vg_driver);
    vg_driver.cuMemAlloc_v2 = full;
    vg_driver.cuMemFree_v2 = free_device;
    vg_driver.cuMemHostAlloc = alloc_host;
    vg_driver.cuMemHostGetDevicePointer_v2 = get_pointer;
    vg_driver.cuMemFreeHost = free_host;
    vg_driver.cuCtxGetDevice = get_device;
    vg_driver.cuCtxGetCurrent = get_context;
    vg_driver.cuMemGetInfo_v2 = mem_info;
    vg_driver.cuDeviceGetAttribute = get_attribute;
    vg_driver.cuMemGetAllocationGranularity = get_granularity;
    vg_driver.cuMemCreate = create;
    vg_driver.cuMemRelease = release;
    vg_driver.cuEventCreate = make_event;
    vg_driver.cuEventRecord = record;
    vg_driver.cuEventQuery = query;
    vg_driver.cuEventDestroy_v2 = destroy_event;
    vg_driver.cuStreamSynchronize = synchronize;
    vg_driver.cuStreamIsCapturing = is_capturing;
    vg_driver.cuThreadExchangeStreamCaptureMode = exchange_mode;
}

/* ---- wrappers, as in src/hook ---- */

static UNUSED CUresult guarded_alloc(CUdeviceptr *address, size_t bytes)
{
    struct vg_call call;
    if (!vg_guard_begin(&call, VG_FN_cuMemAlloc_v2, bytes))
        return vg_driver.cuMemAlloc_v2(address, bytes);
    do
        call.result = vg_driver.cuMemAlloc_v2(address, bytes);
    while (
        VG_GUARD_AGAIN_FOR(&call, .shape = VG_REQUEST_LINEAR, .bytes = bytes, .answer = address));
    if (call.result == CUDA_SUCCESS)
        vg_guard_record(&call, VG_KIND_DEVICE, *address, bytes);
    return vg_guard_end(&call);
}

static UNUSED CUresult guarded_pitch(CUdeviceptr *address, size_t *pitch_bytes, size_t width_bytes,
                                     size_t height)
{
    struct vg_call call;
    CHECK(vg_guard_begin(&call, VG_FN_cuMemAlloc_v2, width_bytes * height));
    call.result = CUDA_ERROR_OUT_OF_MEMORY;
    (void)VG_GUARD_AGAIN_FOR(&call, .shape = VG_REQUEST_PITCHED, .width_bytes = width_bytes,
                             .height = height, .answer = address, .pitch_bytes = pitch_bytes);
    if (call.result == CUDA_SUCCESS)
        vg_guard_record(&call, VG_KIND_PITCH, *address, *pitch_bytes * height);
    return vg_guard_end(&call);
}

enum { KEY_NUMBER = 1 };

static UNUSED uint64_t spilled_key(void)
{
    return vg_guard_handle_key(VG_KIND_SPILLED_VIRTUAL, KEY_NUMBER);
}

static UNUSED CUresult guarded_create(CUmemGenericAllocationHandle *handle, size_t bytes,
                                      const CUmemAllocationProp *properties)
{
    struct vg_call call;
    CHECK(vg_guard_begin(&call, VG_FN_cuMemCreate, bytes));
    do
        call.result = vg_driver.cuMemCreate(handle, bytes, properties, 0);
    while (VG_GUARD_AGAIN_FOR(&call, .shape = VG_REQUEST_PHYSICAL, .bytes = bytes,
                              .properties = properties, .key = spilled_key(), .answer = handle));
    if (call.result == CUDA_SUCCESS) {
        CHECK(vg_vmm_create(&call.state->virtual, *handle, spilled_key()) == 0);
        vg_guard_record(&call, VG_KIND_VIRTUAL, spilled_key(), bytes);
    }
    return vg_guard_end(&call);
}

static UNUSED CUresult guarded_free(CUdeviceptr address)
{
    CUresult result;
    return vg_guard_free_spilled(address, &result) ? result : vg_driver.cuMemFree_v2(address);
}

static UNUSED CUresult guarded_free_async(CUdeviceptr address)
{
    CUresult result;
    CUstream const stream = (CUstream)(uintptr_t)0x57;
    return vg_guard_free_spilled_async(address, stream, false, &result) ? result
                                                                        : CUDA_ERROR_INVALID_VALUE;
}

static UNUSED CUdeviceptr spilled(size_t bytes)
{
    CUdeviceptr address = 0;
    CHECK(guarded_alloc(&address, bytes) == CUDA_SUCCESS);
    CHECK(address != 0);
    return address;
}

static struct vg_spilled *table(void)
{
    return &atomic_load(&vg_process_current)->spilled;
}

/* ---- fixture ---- */
static char proc_root[80];

static UNUSED void write_text(const char *name, const char *text)
{
    FILE *const file = fopen(in_scratch(name), "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

/* A host with 100 GiB of memory, 50 of them available, and no control group with a limit. */
static UNUSED int setup(void **state)
{
    if (make_scratch(state) != 0 || mkdir(in_scratch("self"), 0700) != 0)
        return -1;
    static char registry[128];
    snprintf(registry, sizeof registry, "%s/registry", scratch);
    vg_registry_directory = registry;
    snprintf(proc_root, sizeof proc_root, "%s", scratch);
    vg_process_proc_root = vg_process_cgroup_root = proc_root;
    write_text("meminfo", "MemTotal: 104857600 kB\nMemFree: 1 kB\nMemAvailable: 52428800 kB\n");
    setenv("VRAMGUARD_LOG", in_scratch("run.vgr"), 1);
    setenv("VRAMGUARD_STACKS", "off", 1);
    setenv("VRAMGUARD", "on", 1);
    setenv("VRAMGUARD_POLICY", "spill", 1);
    unsetenv("VRAMGUARD_SPILL_CAP");
    reset_driver();
    return 0;
}

static UNUSED int end(void **state)
{
    vg_process_proc_root = "/proc";
    vg_process_cgroup_root = "/sys/fs/cgroup";
    return remove_scratch(state);
}

/* Every byte that was asked for has been given back, and nothing is left in any table. */
static UNUSED void check_clean(void)
{
    CHECK(driver.host_allocations == 0 && driver.host_bytes == 0 && driver.handles == 0);
    CHECK(driver.events == 0 && driver.mode_changes == 0);
    CHECK(table()->bytes == 0 && table()->reserved_bytes == 0 && table()->deferred_count == 0);
    CHECK(vg_spilled_entries == 0);
}

#define SPILL_TEST(name) cmocka_unit_test_setup_teardown(name, setup, end)

#endif
