/* Our use of NVML, against a stand-in (nvml_fake.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "unit/nvml_fake.h"

static struct vg_nvml nvml;

static int setup(void **state)
{
    char why[8];
    fake_reset(state);
    return fake_open(&nvml, why, sizeof why);
}

/* Number of processes of GPU `index`; they are in `out`. */
static size_t list(unsigned index, struct vg_region *region, struct vg_nvml_process **out)
{
    size_t count;
    assert_int_equal(vg_nvml_processes(&nvml, index, region, out, &count), 0);
    return count;
}

static void every_process_is_listed_however_many(void **state)
{
    (void)state;
    struct vg_region region = vg_region_over(NULL, 0);
    struct vg_nvml_process *found;
    for (unsigned i = 0; i < FAKE_PROCESSES; i++)
        fake_add(0, 1000 + i, (i + 1) * VG_MIB);
    for (int tells = 1; tells >= 0; tells--) {
        fake_tells_count = tells;
        assert_int_equal(list(0, &region, &found), FAKE_PROCESSES);
        for (unsigned i = 0; i < FAKE_PROCESSES; i++) {
            assert_int_equal(found[i].pid, 1000 + i);
            assert_int_equal(found[i].bytes, (i + 1) * VG_MIB);
        }
        if (tells)
            vg_region_release(&region);
    }
    vg_region_release(&region);
}

static void a_process_of_both_kinds_is_listed_once(void **state)
{
    (void)state;
    struct vg_region region = vg_region_over(NULL, 0);
    struct vg_nvml_process *found;
    fake_add(1, 7, 3 * VG_MIB);
    fake_gpus[1].graphics[0] = (nvmlProcessInfo_t){ .pid = 7, .usedGpuMemory = 3 * VG_MIB };
    fake_gpus[1].graphics[1] = (nvmlProcessInfo_t){ .pid = 8, .usedGpuMemory = ~0ull };
    fake_gpus[1].graphics_count = 2;
    assert_int_equal(list(1, &region, &found), 2);
    assert_int_equal(found[0].pid, 7);
    assert_int_equal(found[1].pid, 8);
    assert_true(found[1].bytes == VG_BYTES_UNKNOWN);
    vg_region_release(&region);
}

static void a_question_that_fails_is_no_empty_list(void **state)
{
    (void)state;
    struct vg_region region = vg_region_over(NULL, 0);
    struct vg_nvml_process *found;
    size_t count = 99;
    fake_gpus[0].compute_result = 999;
    assert_int_equal(vg_nvml_processes(&nvml, 0, &region, &found, &count), -EIO);
    assert_int_equal(count, 0);
    assert_int_equal(vg_nvml_processes(&nvml, 17, &region, &found, &count), -EIO);
    vg_region_release(&region);
}

static void a_gpu_is_found_by_uuid_and_else_by_its_bus_id(void **state)
{
    (void)state;
    assert_int_equal(vg_nvml_find(&nvml, "gpu-BBBBBBBB-1111", ""), 1);
    assert_int_equal(vg_nvml_find(&nvml, "", "0000:af:00.0"), 1);
    assert_int_equal(vg_nvml_find(&nvml, "GPU-cccc", "0000:3b:00.0"), 0);
    assert_int_equal(vg_nvml_find(&nvml, "GPU-cccc", "0000:00:00.0"), -ENOENT);
}

static void a_gpu_is_described(void **state)
{
    (void)state;
    struct vg_nvml_device device;
    assert_int_equal(vg_nvml_describe_device(&nvml, 1, &device), 0);
    assert_string_equal(device.uuid, "GPU-bbbbbbbb-1111");
    assert_string_equal(device.pci_bus_id, "00000000:AF:00.0");
    assert_true(device.free_bytes == 5 * VG_GIB && device.total_bytes == 8 * VG_GIB);
    assert_int_equal(vg_nvml_describe_device(&nvml, 5, &device), -EIO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(every_process_is_listed_however_many, setup),
        cmocka_unit_test_setup(a_process_of_both_kinds_is_listed_once, setup),
        cmocka_unit_test_setup(a_question_that_fails_is_no_empty_list, setup),
        cmocka_unit_test_setup(a_gpu_is_found_by_uuid_and_else_by_its_bus_id, setup),
        cmocka_unit_test_setup(a_gpu_is_described, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
