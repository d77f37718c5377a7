/* Spilling over a driver of the test's own, whose device is full: what the program gets, what the
 * driver is asked for and has back in the end, what is recorded and told. Each test runs in a
 * process of its own, since the guard's state is made once a process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>

#include "base/process.h"
#include "core_fixture.h"
#include "guard/guard.h"
#include "guard/spilled.h"

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

static CUresult full(CUdeviceptr *address, size_t bytes)
{
    (void)address, (void)bytes;
    return CUDA_ERROR_OUT_OF_MEMORY;
}

static CUresult free_device(CUdeviceptr address)
{
    (void)address;
    return CUDA_ERROR_INVALID_VALUE; /* nothing is on the device */
}

static CUresult alloc_host(void **address, size_t bytes, unsigned int flags)
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

static CUresult get_pointer(CUdeviceptr *device_address, void *address, unsigned int flags)
{
    CHECK(flags == 0);
    if (driver.get_pointer == CUDA_SUCCESS)
        *device_address = (uintptr_t)address + driver.shift;
    return driver.get_pointer;
}

static CUresult free_host(void *address)
{
    if (driver.free_host != CUDA_SUCCESS)
        return driver.free_host;
    driver.host_allocations--;
    const uint64_t bytes = *(uint64_t *)address;
    driver.host_bytes -= bytes;
    munmap(address, bytes);
    return CUDA_SUCCESS;
}

static CUresult get_device(CUdevice *device)
{
    *device = 0;
    return CUDA_SUCCESS;
}

static CUresult get_context(CUcontext *context)
{
    *context = (CUcontext)(uintptr_t)0xc0;
    return CUDA_SUCCESS;
}

static CUresult mem_info(size_t *free_bytes, size_t *total_bytes)
{
    *free_bytes = 0;
    *total_bytes = 256 << 20;
    return CUDA_SUCCESS;
}

static CUresult get_attribute(int *value, CUdevice_attribute which, CUdevice device)
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

static CUresult get_granularity(size_t *bytes, const CUmemAllocationProp *properties,
                                CUmemAllocationGranularity_flags option)
{
    CHECK(option == CU_MEM_ALLOC_GRANULARITY_MINIMUM);
    *bytes = properties->location.type == CU_MEM_LOCATION_TYPE_DEVICE ? driver.device_granularity
                                                                      : driver.host_granularity;
    return CUDA_SUCCESS;
}

static CUresult create(CUmemGenericAllocationHandle *handle, size_t bytes,
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

static CUresult release(CUmemGenericAllocationHandle handle)
{
    CHECK(handle == HANDLE);
    driver.handles--;
    return CUDA_SUCCESS;
}

static CUresult make_event(CUevent *event, unsigned int flags)
{
    CHECK(flags == CU_EVENT_DISABLE_TIMING);
    if (driver.make_event == CUDA_SUCCESS)
        *event = (CUevent)(uintptr_t)(0xe0 + driver.events++);
    return driver.make_event;
}

static CUresult record(CUevent event, CUstream stream)
{
    CHECK(event);
    CHECK(stream == (CUstream)(uintptr_t)0x57);
    return driver.record;
}

static CUresult query(CUevent event)
{
    CHECK(event);
    return driver.query;
}

static CUresult destroy_event(CUevent event)
{
    CHECK(event);
    driver.events--;
    return CUDA_SUCCESS;
}

static CUresult synchronize(CUstream stream)
{
    CHECK(stream == (CUstream)(uintptr_t)0x57);
    driver.waits++;
    return driver.synchronize;
}

static CUresult is_capturing(CUstream stream, CUstreamCaptureStatus *status)
{
    CHECK(stream == (CUstream)(uintptr_t)0x57);
    *status = driver.capturing;
    return CUDA_SUCCESS;
}

static CUresult exchange_mode(CUstreamCaptureMode *mode)
{
    static _Thread_local CUstreamCaptureMode present;
    const CUstreamCaptureMode before = present;
    present = *mode;
    *mode = before;
    driver.mode_changes += present == CU_STREAM_CAPTURE_MODE_RELAXED ? 1 : -1;
    return CUDA_SUCCESS;
}

static void reset_driver(void)
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

static CUresult guarded_alloc(CUdeviceptr *address, size_t bytes)
{
    struct vg_call call;
    if (!vg_guard_begin(&call, VG_FN_cuMemAlloc_v2, bytes))
        return vg_driver.cuMemAlloc_v2(address, bytes);
    do
        call.result = vg_driver.cuMemAlloc_v2(address, bytes);
    while (vg_guard_again_for(
        &call,
        &(struct vg_request){ .shape = VG_REQUEST_LINEAR, .bytes = bytes, .answer = address }));
    if (call.result == CUDA_SUCCESS)
        vg_guard_record(&call, VG_KIND_DEVICE, *address, bytes);
    return vg_guard_end(&call);
}

static CUresult guarded_pitch(CUdeviceptr *address, size_t *pitch_bytes, size_t width_bytes,
                              size_t height)
{
    struct vg_call call;
    CHECK(vg_guard_begin(&call, VG_FN_cuMemAlloc_v2, width_bytes * height));
    call.result = CUDA_ERROR_OUT_OF_MEMORY;
    vg_guard_again_for(&call, &(struct vg_request){ .shape = VG_REQUEST_PITCHED,
                                                    .width_bytes = width_bytes,
                                                    .height = height,
                                                    .answer = address,
                                                    .pitch_bytes = pitch_bytes });
    if (call.result == CUDA_SUCCESS)
        vg_guard_record(&call, VG_KIND_PITCH, *address, *pitch_bytes * height);
    return vg_guard_end(&call);
}

enum { KEY_NUMBER = 1 };

static uint64_t spilled_key(void)
{
    return vg_guard_handle_key(VG_KIND_SPILLED_VIRTUAL, KEY_NUMBER);
}

static CUresult guarded_create(CUmemGenericAllocationHandle *handle, size_t bytes,
                               const CUmemAllocationProp *properties)
{
    struct vg_call call;
    CHECK(vg_guard_begin(&call, VG_FN_cuMemCreate, bytes));
    do
        call.result = vg_driver.cuMemCreate(handle, bytes, properties, 0);
    while (vg_guard_again_for(&call, &(struct vg_request){ .shape = VG_REQUEST_PHYSICAL,
                                                           .bytes = bytes,
                                                           .properties = properties,
                                                           .key = spilled_key(),
                                                           .answer = handle }));
    if (call.result == CUDA_SUCCESS) {
        CHECK(vg_virtual_create(&call.state->virtual, *handle, spilled_key()) == 0);
        vg_guard_record(&call, VG_KIND_VIRTUAL, spilled_key(), bytes);
    }
    return vg_guard_end(&call);
}

static CUresult guarded_free(CUdeviceptr address)
{
    CUresult result;
    return vg_guard_free_spilled(address, &result) ? result : vg_driver.cuMemFree_v2(address);
}

static CUresult guarded_free_async(CUdeviceptr address)
{
    CUresult result;
    CUstream const stream = (CUstream)(uintptr_t)0x57;
    return vg_guard_free_spilled_async(address, stream, false, &result) ? result
                                                                        : CUDA_ERROR_INVALID_VALUE;
}

static CUdeviceptr spilled(size_t bytes)
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

static char told[65536]; /* what the last child wrote to stderr */
static char proc_root[80];

static void write_text(const char *name, const char *text)
{
    FILE *const file = fopen(in_scratch(name), "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

/* A host with 100 GiB of memory, 50 of them available, and no control group with a limit. */
static int setup(void **state)
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

static int end(void **state)
{
    vg_process_proc_root = "/proc";
    vg_process_cgroup_root = "/sys/fs/cgroup";
    return remove_scratch(state);
}

static void in_child(void (*run)(void *argument))
{
    const int status = run_child(run, NULL, told, sizeof told);
    if (status != 0)
        fputs(told, stderr);
    assert_int_equal(status, 0);
}

static int count_text(const char *needle)
{
    int count = 0;
    for (const char *at = told; (at = strstr(at, needle)); at++)
        count++;
    return count;
}

/* Every byte that was asked for has been given back, and nothing is left in any table. */
static void check_clean(void)
{
    CHECK(driver.host_allocations == 0 && driver.host_bytes == 0 && driver.handles == 0);
    CHECK(driver.events == 0 && driver.mode_changes == 0);
    CHECK(table()->bytes == 0 && table()->reserved_bytes == 0 && table()->deferred_count == 0);
    CHECK(vg_spilled_entries == 0);
}

/* ---- tests ---- */

static void spill_child(void *argument)
{
    (void)argument;
    struct vg_spilled_range range;
    CHECK(!vg_guard_find_spilled(0x1000, &range));
    const CUdeviceptr first = spilled(3 << 20), second = spilled(1000);
    CHECK(driver.host_bytes == (3 << 20) + 1000);
    CHECK(table()->bytes == (3 << 20) + 1000);
    CHECK(vg_guard_find_spilled(first + 5, &range) && range.address == first);
    CHECK(range.bytes == 3 << 20 && range.device == 0 && range.context == 0xc0);
    CHECK(guarded_free(first + 512) == CUDA_ERROR_INVALID_VALUE); /* the driver's */
    CHECK(guarded_free(first) == CUDA_SUCCESS);
    CHECK(guarded_free(first) == CUDA_ERROR_INVALID_VALUE);
    CHECK(!vg_guard_find_spilled(first, &range));
    CHECK(guarded_free(second) == CUDA_SUCCESS);
    check_clean();
    spilled(5 << 20); /* stays */
}

static void memory_is_spilled_recorded_and_freed(void **state)
{
    (void)state;
    struct record record;
    uint64_t bytes;
    in_child(spill_child);
    assert_int_equal(count_text("3.00 MiB (cuMemAlloc_v2) did not fit and went to host memory"), 1);
    assert_int_equal(count_text("at most 25.0 GiB may go there (VRAMGUARD_SPILL_CAP)"), 1);
    assert_int_equal(count_text("up to 5.00 MiB of this program's GPU memory were in host memory "
                                "(3 allocations)"),
                     1);
    assert_int_equal(line_count(told), 2);
    assert_true(read_record(in_scratch("run.vgr"), &record));
    assert_int_equal(count_live(&record, &bytes), 1);
    assert_int_equal(bytes, 5 << 20);
    const struct vg_live_slot *const slots = (const void *)record.areas[VG_AREA_LIVE];
    for (uint64_t i = 0; i < record.area_bytes[VG_AREA_LIVE] / sizeof *slots; i++)
        assert_true(slots[i].address == 0 ||
                    (slots[i].kind == VG_KIND_SPILLED && slots[i].device == VG_FILE_HOST &&
                     slots[i].context == 0xc0));
    assert_int_equal(record.header->devices[0].live_bytes, 0); /* none of it is the device's */
    assert_int_equal(record.header->devices[0].peak_bytes, 0);
    assert_int_equal(record.header->failure_count, 0);
    assert_int_equal(record.header->spill_peak_bytes, 5 << 20);
    assert_int_equal(record.header->spill_cap_bytes, (UINT64_C(100) << 30) / 100 * 25);
    free_record(&record);
}

/* One way for spilling to be impossible, and what the report says of it. */
static const struct refusal {
    const char *says;
    CUresult alloc_host, get_pointer;
    CUdeviceptr shift;
    bool not_unified, no_mapping, no_function, exported, nested;
} refusals[] = {
    { .says = "the driver gave no host memory (CUDA error 2)", .alloc_host = 2 },
    { .says = "the driver gave no host memory (CUDA error 801)", .alloc_host = 801 },
    { .says = "the driver gave no host memory (CUDA error 1)", .get_pointer = 1 },
    { .says = "the driver gave no host memory (CUDA error 801)", .shift = 1 << 20 },
    { .says = "does not reach host memory at the host's address", .not_unified = true },
    { .says = "does not reach host memory at the host's address", .no_mapping = true },
    { .says = "does not reach host memory at the host's address", .no_function = true },
    { .says = "shares memory with other processes", .exported = true },
};

static const struct refusal *refusal;

static void refusal_child(void *argument)
{
    (void)argument;
    CUdeviceptr address = 0x1234;
    driver.alloc_host = refusal->alloc_host;
    driver.get_pointer = refusal->get_pointer;
    driver.shift = refusal->shift;
    driver.unified = !refusal->not_unified;
    driver.can_map = !refusal->no_mapping;
    if (refusal->no_function)
        vg_driver.cuMemHostGetDevicePointer_v2 = NULL;
    if (refusal->exported) {
        spilled(4096); /* before the first export it went well */
        vg_guard_note_export(CUDA_ERROR_INVALID_VALUE);
        CHECK(guarded_free(spilled(4096)) == CUDA_SUCCESS);
        vg_guard_note_export(CUDA_SUCCESS);
    }
    const int before = driver.host_allocations;
    CHECK(guarded_alloc(&address, 64 << 20) == CUDA_ERROR_OUT_OF_MEMORY);
    CHECK(address == 0x1234);
    CHECK(driver.host_allocations == before && driver.mode_changes == 0);
    CHECK(table()->reserved_bytes == 0 && table()->bytes == (refusal->exported ? 4096 : 0));
}

/* The report without its line breaks. */
static const char *told_in_one_line(void)
{
    static char line[sizeof told];
    size_t length = 0;
    for (const char *at = told; *at; at++) {
        const bool space = *at == ' ' || *at == '\n';
        if (!space || (length > 0 && line[length - 1] != ' '))
            line[length++] = space ? ' ' : *at;
    }
    line[length] = '\0';
    return line;
}

static void what_cannot_be_spilled_fails_as_it_would(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        refusal = &refusals[i];
        reset_driver();
        in_child(refusal_child);
        assert_int_equal(count_text("GPU 0 out of memory: asked 64.0 MiB"), 1);
        if (!strstr(told_in_one_line(), refusal->says))
            fail_msg("\"%s\" is not told in:\n%s", refusal->says, told);
        assert_int_equal(unlink(in_scratch("run.vgr")), 0);
    }
}

static void nested_child(void *argument)
{
    (void)argument;
    CUdeviceptr address = 0x1234, kept = spilled(4096);
    vg_thread.depth = 1; /* as inside a hook */
    CHECK(guarded_alloc(&address, 4096) == CUDA_ERROR_OUT_OF_MEMORY);
    CHECK(address == 0x1234);
    struct vg_spilled_range range;
    CHECK(vg_guard_find_spilled(kept, &range));
    CHECK(guarded_free(kept) == CUDA_SUCCESS); /* what a trim hook is there for */
    vg_thread.depth = 0;
    check_clean();
}

static void calls_inside_the_guard_free_but_do_not_spill(void **state)
{
    (void)state;
    in_child(nested_child);
}

static void failing_free_child(void *argument)
{
    (void)argument;
    const CUdeviceptr kept = spilled(1 << 20);
    struct vg_spilled_range range;
    const CUresult errors[] = { CUDA_ERROR_INVALID_CONTEXT, 700, 900 };
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        driver.free_host = errors[i];
        CHECK(guarded_free(kept) == errors[i]);
        CHECK(vg_guard_find_spilled(kept, &range));
        CHECK(table()->bytes == 1 << 20);
    }
    driver.free_host = CUDA_SUCCESS;
    CHECK(guarded_free(kept) == CUDA_SUCCESS);
    check_clean();
    driver.free_host = CUDA_ERROR_INVALID_CONTEXT;
    CHECK(guarded_free(spilled(2 << 20)) == CUDA_ERROR_INVALID_CONTEXT);
}

static void a_refused_free_changes_nothing(void **state)
{
    (void)state;
    struct record record;
    uint64_t bytes;
    in_child(failing_free_child);
    assert_true(read_record(in_scratch("run.vgr"), &record));
    assert_int_equal(count_live(&record, &bytes), 1);
    assert_int_equal(bytes, 2 << 20);
    free_record(&record);
}

static void pitch_child(void *argument)
{
    (void)argument;
    CUdeviceptr address = 0;
    size_t pitch = 7;
    CHECK(guarded_pitch(&address, &pitch, 1000, 30) == CUDA_SUCCESS);
    CHECK(pitch == 1024 && driver.host_bytes == 1024 * 30);
    CHECK(guarded_free(address) == CUDA_SUCCESS);
    address = 0x1234, pitch = 7;
    CHECK(guarded_pitch(&address, &pitch, SIZE_MAX - 100, 2) == CUDA_ERROR_OUT_OF_MEMORY);
    CHECK(guarded_pitch(&address, &pitch, 1000, SIZE_MAX / 1000) == CUDA_ERROR_OUT_OF_MEMORY);
    CHECK(address == 0x1234 && pitch == 7);
    check_clean();
}

static void rows_are_padded_as_the_device_would(void **state)
{
    (void)state;
    in_child(pitch_child);
}

static void limits_child(void *argument)
{
    (void)argument;
    CUdeviceptr address, first = spilled(60 << 20);
    CHECK(guarded_alloc(&address, (40 << 20) + 1) == CUDA_ERROR_OUT_OF_MEMORY);
    spilled(40 << 20);
    CHECK(guarded_alloc(&address, 1) == CUDA_ERROR_OUT_OF_MEMORY);
    CHECK(guarded_free(first) == CUDA_SUCCESS);
    CHECK(guarded_alloc(&address, (60 << 20) + 1) == CUDA_ERROR_OUT_OF_MEMORY);
    spilled(60 << 20);
    CHECK(driver.host_bytes == 100 << 20);
}

static void the_cap_is_exact(void **state)
{
    (void)state;
    setenv("VRAMGUARD_SPILL_CAP", "100MiB", 1);
    in_child(limits_child);
    assert_non_null(strstr(told_in_one_line(),
                           "beyond VRAMGUARD_SPILL_CAP: 60.0 MiB of 100 MiB spilled already"));
    assert_int_equal(count_text("are in host memory now"), 0); /* has not doubled */
}

static void available_child(void *argument)
{
    CUdeviceptr address;
    const size_t room = *(const size_t *)argument;
    CHECK(guarded_alloc(&address, room + 1) == CUDA_ERROR_OUT_OF_MEMORY);
    if (room > 0)
        spilled(room);
}

static void spill_exactly(size_t room, const char *says)
{
    const int status = run_child(available_child, &room, told, sizeof told);
    if (status != 0 || !strstr(told_in_one_line(), says))
        fail_msg("\"%s\" is not told in:\n%s", says, told);
}

static void the_hosts_memory_bounds(void **state)
{
    (void)state;
    enum { MIB = 1 << 20 };
    setenv("VRAMGUARD_SPILL_CAP", "100%", 1);
    write_text("meminfo", "MemTotal: 8388608 kB\nMemAvailable: 1050624 kB\n");
    spill_exactly(2 * MIB, "the host has 1.00 GiB available and keeps 1.00 GiB of it");
    write_text("meminfo", "MemTotal: 104857600 kB\nMemAvailable: 5245952 kB\n"); /* 5 % are more */
    spill_exactly(3 * MIB, "available and keeps 5.00 GiB of it");
    write_text("meminfo", "MemTotal: 8388608 kB\nMemAvailable: 1000 kB\n");
    spill_exactly(0, "available and keeps 1.00 GiB of it");
    write_text("meminfo", "MemTotal: 8388608 kB\n");
    spill_exactly(0, "how much memory the host has to spare is not known");
    unlink(in_scratch("meminfo"));
    spill_exactly(0, "how much memory the host has is not known");
}

static void control_groups_bound(void **state)
{
    (void)state;
    enum { MIB = 1 << 20 };
    write_text("self/cgroup", "0::/\n");
    write_text("memory.max", "2147483648\n");
    write_text("memory.current", "1069547520\n"); /* 1020 MiB */
    spill_exactly(4 * MIB, "the control group's limit leaves 4.00 MiB");
    write_text("memory.stat", "anon 5\ninactive_file 4194304\nactive_file 0\n");
    spill_exactly(8 * MIB, "the control group's limit leaves 8.00 MiB");
}

static void doubling_child(void *argument)
{
    (void)argument;
    for (int i = 0; i < 16; i++)
        spilled(1 << 20);
}

static void a_line_is_told_when_the_total_doubles(void **state)
{
    (void)state;
    in_child(doubling_child);
    assert_int_equal(line_count(told), 1 + 4 + 1);
    assert_int_equal(count_text("are in host memory now"), 4);
    assert_int_equal(count_text("16.0 MiB are in host memory now instead of the GPU's"), 1);
    assert_int_equal(count_text("up to 16.0 MiB of this program's"), 1);
}

/* ---- cuMemFreeAsync ---- */

static void deferred_child(void *argument)
{
    (void)argument;
    const CUdeviceptr first = spilled(1 << 20), second = spilled(2 << 20), third = spilled(4096);
    struct vg_spilled_range range;
    driver.query = CUDA_ERROR_NOT_READY;
    CHECK(guarded_free_async(first) == CUDA_SUCCESS);
    CHECK(driver.host_allocations == 3 && driver.waits == 0); /* in use: neither freed nor waited */
    CHECK(!vg_guard_find_spilled(first, &range));
    CHECK(guarded_free_async(first) == CUDA_ERROR_INVALID_VALUE);
    CHECK(guarded_free(third) == CUDA_SUCCESS);
    CHECK(driver.host_allocations == 2 && table()->bytes == 3 << 20);
    driver.query = CUDA_SUCCESS;
    CHECK(guarded_free(0xdead000) == CUDA_ERROR_INVALID_VALUE); /* any free gives it back */
    CHECK(driver.host_allocations == 1 && driver.events == 0);
    CHECK(guarded_free_async(second) == CUDA_SUCCESS); /* done already: at once */
    check_clean();
}

static void freed_in_stream_order_when_the_work_is_done(void **state)
{
    (void)state;
    struct record record;
    uint64_t bytes;
    in_child(deferred_child);
    assert_true(read_record(in_scratch("run.vgr"), &record));
    assert_int_equal(count_live(&record, &bytes), 0);
    free_record(&record);
}

static void async_errors_child(void *argument)
{
    (void)argument;
    struct vg_spilled_range range;
    const CUdeviceptr kept = spilled(1 << 20), other = spilled(1 << 20);
    driver.capturing = 1; /* belongs to a graph: the driver's answer */
    CHECK(guarded_free_async(kept) == CUDA_ERROR_INVALID_VALUE);
    CHECK(vg_guard_find_spilled(kept, &range));
    driver.capturing = CU_STREAM_CAPTURE_STATUS_NONE;
    driver.record = 400; /* a stream of another context, or none */
    driver.synchronize = 400;
    CHECK(guarded_free_async(kept) == 400);
    CHECK(vg_guard_find_spilled(kept, &range) && driver.events == 0);
    driver.synchronize = CUDA_SUCCESS;
    CHECK(guarded_free_async(kept) == CUDA_SUCCESS);
    CHECK(driver.host_allocations == 1 && driver.waits == 2);
    driver.make_event = CUDA_ERROR_OUT_OF_MEMORY;
    CHECK(guarded_free_async(other) == CUDA_SUCCESS && driver.waits == 3);
    check_clean();
}

static void without_an_event_the_stream_is_waited_for(void **state)
{
    (void)state;
    in_child(async_errors_child);
}

static void context_child(void *argument)
{
    (void)argument;
    struct vg_spilled_range range;
    const CUdeviceptr live = spilled(1 << 20), deferred = spilled(1 << 20);
    driver.query = CUDA_ERROR_NOT_READY;
    CHECK(guarded_free_async(deferred) == CUDA_SUCCESS);
    vg_guard_drop_context((CUcontext)(uintptr_t)0xc1);
    CHECK(vg_guard_find_spilled(live, &range) && table()->bytes == 2 << 20);
    vg_guard_drop_context((CUcontext)(uintptr_t)0xc0);
    CHECK(!vg_guard_find_spilled(live, &range) && table()->bytes == 0);
    CHECK(table()->deferred_count == 0 && vg_spilled_entries == 0);
}

static void a_context_takes_its_spilled_memory_with_it(void **state)
{
    (void)state;
    struct record record;
    uint64_t bytes;
    in_child(context_child);
    assert_true(read_record(in_scratch("run.vgr"), &record));
    assert_int_equal(count_live(&record, &bytes), 0);
    free_record(&record);
}

/* ---- physical memory ---- */

static const CUmemAllocationProp on_device = { .type = CU_MEM_ALLOCATION_TYPE_PINNED,
                                               .location = { CU_MEM_LOCATION_TYPE_DEVICE, 0 } };

static void physical_child(void *argument)
{
    (void)argument;
    CUmemGenericAllocationHandle handle = 0;
    struct vg_spilled_range range;
    driver.numa_id = 1;
    CHECK(guarded_create(&handle, 4 << 20, &on_device) == CUDA_SUCCESS);
    CHECK(handle == HANDLE && driver.handles == 1 && table()->bytes == 4 << 20);
    CHECK(driver.created.location.type == CU_MEM_LOCATION_TYPE_HOST_NUMA);
    CHECK(driver.created.location.id == 1);
    CHECK(vg_guard_find_spilled_handle(handle, &range) && range.device == 0);
    CHECK(!vg_guard_find_spilled_handle(HANDLE + 1, &range));
    struct vg_process_state *const state = atomic_load(&vg_process_current);
    CHECK(vg_driver.cuMemRelease(handle) == CUDA_SUCCESS);
    vg_guard_forget(state, vg_virtual_end_release(
                               &state->virtual, vg_virtual_begin_release(&state->virtual, handle)));
    CHECK(!vg_guard_find_spilled_handle(handle, &range));
    check_clean();
}

static void physical_memory_goes_to_a_node_of_the_host(void **state)
{
    (void)state;
    struct record record;
    uint64_t bytes;
    in_child(physical_child);
    assert_true(read_record(in_scratch("run.vgr"), &record));
    assert_int_equal(count_live(&record, &bytes), 0);
    assert_int_equal(record.header->devices[0].peak_bytes, 0);
    assert_int_equal(record.header->devices[VG_FILE_HOST].peak_bytes, 4 << 20);
    free_record(&record);
}

static void refused_physical_child(void *argument)
{
    (void)argument;
    CUmemGenericAllocationHandle handle = 5;
    CUmemAllocationProp wrong[4] = { on_device, on_device, on_device, on_device };
    wrong[0].requestedHandleTypes = 1;
    wrong[1].allocFlags.compressionType = 1;
    wrong[2].allocFlags.gpuDirectRDMACapable = 1;
    wrong[3].allocFlags.usage = 1;
    for (int i = 0; i < 4; i++)
        CHECK(guarded_create(&handle, 4 << 20, &wrong[i]) == CUDA_ERROR_OUT_OF_MEMORY);
    driver.numa_memory = 0;
    CHECK(guarded_create(&handle, 4 << 20, &on_device) == CUDA_ERROR_OUT_OF_MEMORY);
    driver.numa_memory = 1;
    driver.host_granularity = 4 << 20; /* coarser than the device's: mappings would not fit */
    CHECK(guarded_create(&handle, 4 << 20, &on_device) == CUDA_ERROR_OUT_OF_MEMORY);
    driver.host_granularity = 2 << 20;
    CHECK(guarded_create(&handle, 3 << 20, &on_device) == CUDA_ERROR_OUT_OF_MEMORY);
    driver.create = CUDA_ERROR_NOT_SUPPORTED;
    CHECK(guarded_create(&handle, 4 << 20, &on_device) == CUDA_ERROR_OUT_OF_MEMORY);
    CHECK(handle == 5);
    check_clean();
}

static void physical_memory_with_special_properties_fails_as_it_would(void **state)
{
    (void)state;
    in_child(refused_physical_child);
    assert_non_null(strstr(told_in_one_line(), "can be shared, or has other special properties"));
}

/* ---- fork, threads ---- */

static void fork_child(void *argument)
{
    (void)argument;
    struct vg_spilled_range range;
    const CUdeviceptr kept = spilled(1 << 20);
    const pid_t pid = fork();
    if (pid == 0) {
        setenv("VRAMGUARD_LOG", "/dev/null", 1);
        CHECK(vg_spilled_entries == 1);              /* a hint only */
        CHECK(!vg_guard_find_spilled(kept, &range)); /* is the parent's */
        CHECK(guarded_free(kept) == CUDA_ERROR_INVALID_VALUE);
        _exit(0);
    }
    int status = -1;
    waitpid(pid, &status, 0);
    CHECK(status == 0);
    CHECK(guarded_free(kept) == CUDA_SUCCESS);
    check_clean();
}

static void a_forked_child_knows_nothing_of_it(void **state)
{
    (void)state;
    in_child(fork_child);
    assert_int_equal(line_count(told), 2); /* the child says nothing at its end */
}

/* Each thread holds up to 36 KiB. Under ThreadSanitizer there is room for all: a report reads the
 * tables without locks (vg_track_each), which it does not like. */
#ifdef __SANITIZE_THREAD__
enum { THREADS = 8, ROUNDS = 300, THREADS_CAP_KIB = 512 };
#else
enum { THREADS = 8, ROUNDS = 3000, THREADS_CAP_KIB = 160 };
#endif

static pthread_barrier_t finished;

static void *spill_and_free(void *argument)
{
    CUdeviceptr held[3] = { 0 };
    unsigned seed = (unsigned)(uintptr_t)argument;
    for (int i = 0; i < ROUNDS; i++) {
        CUdeviceptr *const at = &held[i % 3];
        if (*at)
            CHECK((i % 2 ? guarded_free(*at) : guarded_free_async(*at)) == CUDA_SUCCESS);
        *at = 0;
        guarded_alloc(at, 4096 + (size_t)(rand_r(&seed) % 3) * 4096);
        struct vg_spilled_range range;
        CHECK(!*at || (vg_guard_find_spilled(*at + 7, &range) && range.address == *at));
        CHECK(driver.host_bytes <= THREADS_CAP_KIB << 10);
    }
    for (int i = 0; i < 3; i++)
        CHECK(!held[i] || guarded_free(held[i]) == CUDA_SUCCESS);
    pthread_barrier_wait(&finished);
#ifdef __SANITIZE_THREAD__ /* does not bear libunwind's clean-up at the end of a thread */
    for (;;)
        pause();
#endif
    return NULL;
}

static void threads_child(void *argument)
{
    pthread_t threads[THREADS];
    (void)argument;
    pthread_barrier_init(&finished, NULL, THREADS + 1);
    for (uintptr_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, spill_and_free, (void *)i) == 0);
    pthread_barrier_wait(&finished);
#ifndef __SANITIZE_THREAD__
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
#endif
    spilled(4096); /* a free also reaps what is left */
    vg_guard_free_spilled(0, &(CUresult){ 0 });
    CHECK(driver.host_allocations == 1 && driver.host_bytes == 4096 && driver.events == 0);
    CHECK(table()->bytes == 4096 && table()->reserved_bytes == 0);
    CHECK(table()->peak_bytes <= THREADS_CAP_KIB << 10);
}

static void threads_spill_and_free_together(void **state)
{
    (void)state;
    struct record record;
    uint64_t bytes;
    char cap[32];
    snprintf(cap, sizeof cap, "%dKiB", THREADS_CAP_KIB);
    setenv("VRAMGUARD_SPILL_CAP", cap, 1);
    in_child(threads_child);
    assert_true(read_record(in_scratch("run.vgr"), &record));
    assert_int_equal(count_live(&record, &bytes), 1);
    assert_int_equal(bytes, 4096);
    assert_true(record.header->spill_peak_bytes > 100 << 10);
    free_record(&record);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* their frames are larger */
static void *spill_on_a_small_stack(void *argument)
{
    (void)argument;
    CHECK(guarded_free(spilled(2 << 20)) == CUDA_SUCCESS);
    return NULL;
}

static void small_stack_child(void *argument)
{
    pthread_attr_t small;
    pthread_t thread;
    (void)argument;
    CHECK(vg_guard_enter()); /* makes the state, which takes more */
    vg_guard_leave();
    pthread_attr_init(&small);
    CHECK(pthread_attr_setstacksize(&small, 16384) == 0);
    CHECK(pthread_create(&thread, &small, spill_on_a_small_stack, NULL) == 0);
    pthread_join(thread, NULL);
}

static void the_smallest_stack_is_large_enough(void **state)
{
    (void)state;
    write_text("self/cgroup", "0::/a/b/c\n");
    write_text("memory.max", "8589934592\n");
    write_text("memory.current", "1000\n");
    write_text("memory.stat", "inactive_file 1\n");
    in_child(small_stack_child);
    assert_int_equal(count_text("2.00 MiB (cuMemAlloc_v2) did not fit"), 1);
}
#endif

#define SPILL_TEST(name) cmocka_unit_test_setup_teardown(name, setup, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPILL_TEST(memory_is_spilled_recorded_and_freed),
        SPILL_TEST(what_cannot_be_spilled_fails_as_it_would),
        SPILL_TEST(calls_inside_the_guard_free_but_do_not_spill),
        SPILL_TEST(a_refused_free_changes_nothing),
        SPILL_TEST(rows_are_padded_as_the_device_would),
        SPILL_TEST(the_cap_is_exact),
        SPILL_TEST(the_hosts_memory_bounds),
        SPILL_TEST(control_groups_bound),
        SPILL_TEST(a_line_is_told_when_the_total_doubles),
        SPILL_TEST(freed_in_stream_order_when_the_work_is_done),
        SPILL_TEST(without_an_event_the_stream_is_waited_for),
        SPILL_TEST(a_context_takes_its_spilled_memory_with_it),
        SPILL_TEST(physical_memory_goes_to_a_node_of_the_host),
        SPILL_TEST(physical_memory_with_special_properties_fails_as_it_would),
        SPILL_TEST(a_forked_child_knows_nothing_of_it),
        SPILL_TEST(threads_spill_and_free_together),
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
        SPILL_TEST(the_smallest_stack_is_large_enough),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
