/* A failure as it is gathered in the process: from its tables, the driver and NVML. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "analyze/collect.h"
#include "driver/driver.h"
#include "live_index_fixture.h"
#include "machine/machine.h"
#include "unit/nvml_fake.h"

static struct vg_pools pools;
static struct vg_graph_pools graph_pools;
static struct vg_registration registrations[VG_FILE_DEVICES];
static struct vg_region region;
static struct vg_run_process process;
static struct vg_run_failure failure;
static struct vg_failure call;
static size_t free_bytes;

static CUresult fake_mem_info(size_t *out_free, size_t *out_total)
{
    *out_free = free_bytes;
    *out_total = 8 * VG_GIB;
    return CUDA_SUCCESS;
}

static CUresult fake_bus_id(char *out, int cap, CUdevice device)
{
    snprintf(out, (size_t)cap, "%s", fake_gpus[device].bus);
    return CUDA_SUCCESS;
}

static int prepare(void **state)
{
    if (setup(state) != 0)
        return -1;
    fake_reset(state);
    vg_machine_open_nvml = fake_open;
    vg_driver.cuMemGetInfo_v2 = fake_mem_info;
    vg_driver.cuDeviceGetPCIBusId = fake_bus_id;
    free_bytes = VG_GIB;
    memset(&graph_pools, 0, sizeof graph_pools);
    call = (struct vg_failure){ .tables = { .recorder = &recorder,
                                            .track = &track,
                                            .graph_pools = &graph_pools,
                                            .pools = &pools,
                                            .registrations = registrations,
                                            .torch_settings = "",
                                            .settings = "" },
                                .api = "cuMemAlloc_v2",
                                .error = 2,
                                .asked_bytes = 2 * VG_GIB };
    return 0;
}

static int finish(void **state)
{
    vg_region_release(&region);
    return remove_scratch(state);
}

static void collect(void)
{
    vg_collect(&call, &region, &process, &failure);
}

static void put_one(uint64_t address, uint64_t bytes, uint16_t device, uint16_t kind,
                    uint32_t capture)
{
    struct vg_allocation one = allocation(address, bytes, device);
    one.kind = kind;
    one.capture = capture;
    assert_int_equal(vg_live_index_put(&track, &one), 0);
}

static void amounts_are_the_drivers(void **state)
{
    (void)state;
    collect();
    assert_true(failure.device.gpu.free_bytes == VG_GIB);
    assert_true(failure.device.gpu.total_bytes == 8 * VG_GIB);
    call.realtime_ns = 5; /* it is told later: those of then */
    call.free_bytes = 3;
    call.total_bytes = 4;
    collect();
    assert_int_equal(failure.device.gpu.free_bytes, 3);
    assert_int_equal(failure.device.gpu.total_bytes, 4);
}

static void captures_are_counted_once(void **state)
{
    (void)state;
    put_one(0x1000, 100, 0, VG_KIND_DEVICE, 5);
    put_one(0x2000, 20, 0, VG_KIND_DEVICE, 5);
    put_one(0x3000, 3, 0, VG_KIND_DEVICE, 6);
    put_one(0x4000, 4000, 1, VG_KIND_DEVICE, 7); /* of another device */
    put_one(0x5000, 50000, 0, VG_KIND_DEVICE, 0);
    collect();
    assert_int_equal(failure.torch.graph_bytes, 0); /* nothing was captured */
    atomic_store(&graph_pools.capture, 7);
    collect();
    assert_int_equal(failure.torch.graph_bytes, 123);
    assert_int_equal(failure.torch.graph_count, 2);
}

static void spilled_and_pinned_memory_are_told_apart(void **state)
{
    (void)state;
    put_one(0x1000, 100, VG_FILE_HOST, VG_KIND_PINNED, 0);
    put_one(0x2000, 20, VG_FILE_HOST, VG_KIND_SPILLED, 0);
    put_one(0x3000, 3, 0, VG_KIND_DEVICE, 0);
    collect();
    assert_int_equal(failure.host.pinned_bytes, 100);
    assert_int_equal(failure.host.pinned_count, 1);
    assert_int_equal(failure.host.spilled_bytes, 20);
    assert_int_equal(failure.host.spilled_count, 1);
    put_one(0x4000, 7000, 0, VG_KIND_MANAGED, 0); /* it need not be there */
    collect();
    assert_int_equal(failure.device.live_bytes, 3);
    assert_int_equal(process.state, VG_RUN_ALIVE);
}

static void others_are_those_that_hold_something(void **state)
{
    (void)state;
    fake_add(0, 100000, 0);
    fake_add(0, 100001, VG_MIB);
    free_bytes--; /* else what was found before would do */
    collect();
    assert_true(failure.device.others_known);
    assert_int_equal(failure.device.process_count, 1);
    assert_int_equal(failure.device.processes[0].pid, 100001);
    assert_int_equal(failure.other_gpu_count, 1); /* not the one in question */
    assert_string_equal(failure.other_gpus[0].pci_bus_id, fake_gpus[1].bus);
}

static void the_same_is_not_asked_twice(void **state)
{
    (void)state;
    free_bytes -= 2;
    collect();
    const int opened = atomic_load(&fake_opened);
    collect();
    assert_int_equal(atomic_load(&fake_opened), opened);
    free_bytes--;
    collect();
    assert_int_equal(atomic_load(&fake_opened), opened + 1);
    put_one(0x1000, 100, 0, VG_KIND_DEVICE, 0);
    collect();
    assert_int_equal(atomic_load(&fake_opened), opened + 2);
}

#define COLLECT_TEST(name) cmocka_unit_test_setup_teardown(name, prepare, finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        COLLECT_TEST(amounts_are_the_drivers),
        COLLECT_TEST(captures_are_counted_once),
        COLLECT_TEST(spilled_and_pinned_memory_are_told_apart),
        COLLECT_TEST(others_are_those_that_hold_something),
        COLLECT_TEST(the_same_is_not_asked_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
