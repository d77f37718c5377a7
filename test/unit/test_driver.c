/* What is asked of a driver that may be old, and may refuse. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "driver/driver.h"

static struct {
    CUresult result; /* of every call */
    CUdevice current;
    CUstreamCaptureMode mode;
} fake;

static CUresult get_device(CUdevice *device)
{
    *device = fake.current;
    return fake.result;
}

static CUresult get_memory(size_t *free_bytes, size_t *total_bytes)
{
    *free_bytes = 100;
    *total_bytes = 1000;
    return fake.result;
}

static CUresult exchange_mode(CUstreamCaptureMode *mode)
{
    const CUstreamCaptureMode before = fake.mode;
    if (fake.result == CUDA_SUCCESS) {
        fake.mode = *mode;
        *mode = before;
    }
    return fake.result;
}

static CUresult get_pool_value(CUmemoryPool pool, CUmemPool_attribute attribute, void *value)
{
    (void)pool;
    *(uint64_t *)value = 10 * (uint64_t)attribute;
    return fake.result;
}

static void fill_uuid(CUuuid *uuid, int first)
{
    for (int i = 0; i < 16; i++)
        uuid->bytes[i] = (char)(first + i);
}

static CUresult get_uuid(CUuuid *uuid, CUdevice device)
{
    (void)device;
    fill_uuid(uuid, 0xe8);
    return fake.result;
}

static CUresult get_uuid_of_instance(CUuuid *uuid, CUdevice device)
{
    (void)device;
    fill_uuid(uuid, 0);
    return fake.result;
}

static int setup(void **state)
{
    (void)state;
    memset(&fake, 0, sizeof fake);
    memset(&vg_driver, 0, sizeof vg_driver);
    return 0;
}

static void memory_is_that_of_the_current_device(void **state)
{
    (void)state;
    uint64_t free_bytes = 7, total_bytes = 7;
    fake.current = 1;
    assert_int_equal(vg_driver_memory(1, &free_bytes, &total_bytes), -ENODEV); /* no functions */
    vg_driver.cuCtxGetDevice = get_device;
    assert_int_equal(vg_driver_memory(1, &free_bytes, &total_bytes), -ENODEV);
    vg_driver.cuMemGetInfo_v2 = get_memory;
    assert_int_equal(vg_driver_memory(0, &free_bytes, &total_bytes), -ENODEV);
    assert_int_equal(vg_driver_memory(-1, &free_bytes, &total_bytes), -ENODEV);
    fake.result = CUDA_ERROR_INVALID_CONTEXT;
    assert_int_equal(vg_driver_memory(1, &free_bytes, &total_bytes), -ENODEV);
    assert_true(free_bytes == 7 && total_bytes == 7);
    fake.result = CUDA_SUCCESS;
    assert_int_equal(vg_driver_memory(1, &free_bytes, &total_bytes), 0);
    assert_true(free_bytes == 100 && total_bytes == 1000);
}

static void a_uuid_is_written_as_nvml_does(void **state)
{
    (void)state;
    char text[64] = "before";
    vg_driver_device_uuid(0, text, sizeof text);
    assert_string_equal(text, "");
    vg_driver.cuDeviceGetUuid = get_uuid;
    vg_driver_device_uuid(0, text, sizeof text);
    assert_string_equal(text, "GPU-e8e9eaeb-eced-eeef-f0f1-f2f3f4f5f6f7");
    vg_driver.cuDeviceGetUuid_v2 = get_uuid_of_instance; /* which the first one cannot name */
    vg_driver_device_uuid(0, text, sizeof text);
    assert_string_equal(text, "GPU-00010203-0405-0607-0809-0a0b0c0d0e0f");
    fake.result = CUDA_ERROR_INVALID_VALUE;
    vg_driver_device_uuid(0, text, sizeof text);
    assert_string_equal(text, "");
}

static void a_mode_of_captures_is_given_back(void **state)
{
    (void)state;
    CUstreamCaptureMode before = 77;
    assert_int_equal(vg_driver_relax(&before), -ENOSYS);
    vg_driver.cuThreadExchangeStreamCaptureMode = exchange_mode;
    fake.mode = 1;
    assert_int_equal(vg_driver_relax(&before), 0);
    assert_int_equal(fake.mode, CU_STREAM_CAPTURE_MODE_RELAXED);
    assert_int_equal(before, 1);
    vg_driver_restore(before);
    assert_int_equal(fake.mode, 1);
    fake.result = CUDA_ERROR_INVALID_VALUE;
    assert_int_equal(vg_driver_relax(&before), -EIO);
    assert_int_equal(fake.mode, 1);
}

static void a_pool_that_does_not_tell_keeps_nothing(void **state)
{
    (void)state;
    assert_int_equal(vg_driver_pool_value(NULL, CU_MEMPOOL_ATTR_USED_MEM_CURRENT), 0);
    vg_driver.cuMemPoolGetAttribute = get_pool_value;
    assert_int_equal(vg_driver_pool_value(NULL, CU_MEMPOOL_ATTR_USED_MEM_CURRENT), 70);
    fake.result = CUDA_ERROR_INVALID_VALUE;
    assert_int_equal(vg_driver_pool_value(NULL, CU_MEMPOOL_ATTR_USED_MEM_CURRENT), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(memory_is_that_of_the_current_device, setup),
        cmocka_unit_test_setup(a_uuid_is_written_as_nvml_does, setup),
        cmocka_unit_test_setup(a_mode_of_captures_is_given_back, setup),
        cmocka_unit_test_setup(a_pool_that_does_not_tell_keeps_nothing, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
