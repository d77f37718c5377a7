/* What is spilled, how much, and what is refused. Each test runs in a process of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "spill_fixture.h"

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
    assert_int_equal(line_count(attempt), 2);
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
    static char line[sizeof attempt];
    size_t length = 0;
    for (const char *at = attempt; *at; at++) {
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
        assert_int_equal(count_text(" asked 64.0 MiB; "), 1);
        if (!strstr(told_in_one_line(), refusal->says))
            fail_msg("\"%s\" is not told in:\n%s", refusal->says, attempt);
        assert_int_equal(unlink(in_scratch("run.vgr")), 0);
    }
}

static void nested_child(void *argument)
{
    (void)argument;
    CUdeviceptr address = 0x1234, kept = spilled(4096);
    struct vg_guard_frame frame = { 0 };
    CHECK(vg_guard_enter_thread(&frame, sizeof frame)); /* as inside a hook */
    CHECK(guarded_alloc(&address, 4096) == CUDA_ERROR_OUT_OF_MEMORY);
    CHECK(address == 0x1234);
    struct vg_spilled_range range;
    CHECK(vg_guard_find_spilled(kept, &range));
    CHECK(guarded_free(kept) == CUDA_SUCCESS); /* what a trim hook is there for */
    vg_guard_leave();
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
    const int status = run_child(available_child, &room, attempt, sizeof attempt);
    if (status != 0 || !strstr(told_in_one_line(), says))
        fail_msg("\"%s\" is not told in:\n%s", says, attempt);
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
    assert_int_equal(line_count(attempt), 1 + 4 + 1);
    assert_int_equal(count_text("are in host memory now"), 4);
    assert_int_equal(count_text("16.0 MiB are in host memory now instead of the GPU's"), 1);
    assert_int_equal(count_text("up to 16.0 MiB of this program's"), 1);
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
    vg_guard_forget(
        state, vg_vmm_end_release(&state->virtual, vg_vmm_begin_release(&state->virtual, handle)));
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
        SPILL_TEST(physical_memory_goes_to_a_node_of_the_host),
        SPILL_TEST(physical_memory_with_special_properties_fails_as_it_would),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
