/* What a limit leaves a process of its devices: exact to the byte, whatever comes in between. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "driver/driver.h"
#include "limit/quota.h"

enum { TOTAL_BYTES = 1 << 20 };

static CUresult total_result;

static CUresult fake_total(size_t *out_bytes, CUdevice device)
{
    (void)device;
    *out_bytes = TOTAL_BYTES;
    return total_result;
}

static struct vg_options options;
static struct vg_quota quota;

/* Opens a quota with this limit. */
static void open_with(const char *limit)
{
    memset(&quota, 0, sizeof quota);
    strcpy(options.limit.text, limit);
    options.limit_scope.number = VG_LIMIT_SCOPE_PROCESS;
    vg_driver.cuDeviceTotalMem_v2 = fake_total;
    total_result = CUDA_SUCCESS;
    assert_int_equal(vg_quota_open(&quota, &options), limit[0] != '\0');
}

static uint64_t left_on(int device)
{
    uint64_t limit_bytes, left_bytes;
    if (!vg_quota_left(&quota, device, &limit_bytes, &left_bytes))
        return VG_BYTES_UNKNOWN;
    return left_bytes;
}

static void it_is_exact_to_the_byte(void **state)
{
    (void)state;
    struct vg_charge first = { .held = false }, second = { .held = false };
    open_with("1000B");
    assert_int_equal(left_on(0), 1000);
    assert_false(vg_quota_reserve(&quota, 0, 1001, &first));
    assert_false(first.held);
    assert_true(vg_quota_reserve(&quota, 0, 999, &first));
    assert_int_equal(left_on(0), 1);
    assert_false(vg_quota_reserve(&quota, 0, 2, &second));
    assert_true(vg_quota_reserve(&quota, 0, 1, &second));
    assert_int_equal(left_on(0), 0);
    assert_int_equal(left_on(1), 1000); /* each device has its own */
    vg_quota_release(&quota, &first);
    vg_quota_release(&quota, &first); /* holds nothing any more */
    assert_int_equal(left_on(0), 999);
    vg_quota_release(&quota, &second);
    assert_int_equal(left_on(0), 1000);
    assert_true(vg_quota_reserve(&quota, 0, 1000, &first));
}

static void a_charge_grows_and_shrinks(void **state)
{
    (void)state;
    struct vg_charge charge = { .held = false };
    open_with("1000B");
    assert_true(vg_quota_reserve(&quota, 0, 400, &charge));
    assert_true(vg_quota_resize(&quota, &charge, 1000));
    assert_int_equal(left_on(0), 0);
    assert_false(vg_quota_resize(&quota, &charge, 1001));
    assert_int_equal(left_on(0), 0);
    assert_int_equal(charge.bytes, 1000);
    assert_true(vg_quota_resize(&quota, &charge, 300));
    assert_int_equal(left_on(0), 700);
    assert_true(vg_quota_resize(&quota, &charge, 300));
    vg_quota_release(&quota, &charge);
    assert_int_equal(left_on(0), 1000);
}

static void what_was_allocated_stays_charged(void **state)
{
    (void)state;
    struct vg_charge charge = { .held = false };
    open_with("1000B");
    assert_true(vg_quota_reserve(&quota, 0, 300, &charge));
    vg_quota_settle(&quota, &charge, 0, 300);
    assert_false(charge.held);
    vg_quota_release(&quota, &charge); /* it is the index's now */
    assert_int_equal(left_on(0), 700);
    assert_true(vg_quota_reserve(&quota, 0, 100, &charge));
    vg_quota_settle(&quota, &charge, 0, 150); /* the driver has rounded up */
    assert_int_equal(left_on(0), 550);
    assert_true(vg_quota_reserve(&quota, 0, 200, &charge));
    vg_quota_settle(&quota, &charge, 1, 200); /* it lies on another device after all */
    assert_int_equal(left_on(0), 550);
    assert_int_equal(left_on(1), 800);
    vg_quota_settle(&quota, &charge, 0, 900); /* without a charge: whatever the limit */
    assert_int_equal(left_on(0), 0);
    assert_false(vg_quota_reserve(&quota, 0, 1, &charge));
    vg_quota_give_back(&quota, 0, 900);
    assert_int_equal(left_on(0), 550);
}

static void devices_without_a_limit_are_free(void **state)
{
    (void)state;
    struct vg_charge charge = { .held = false };
    open_with("1:1000B");
    assert_int_equal(left_on(0), VG_BYTES_UNKNOWN);
    assert_int_equal(left_on(-1), VG_BYTES_UNKNOWN);
    assert_int_equal(left_on(VG_FILE_HOST), VG_BYTES_UNKNOWN);
    assert_true(vg_quota_reserve(&quota, 0, UINT64_C(1) << 40, &charge));
    assert_false(charge.held);
    vg_quota_settle(&quota, &charge, 0, 5);
    vg_quota_give_back(&quota, 0, 5);
    assert_int_equal(left_on(1), 1000);
    open_with("");
    assert_int_equal(left_on(0), VG_BYTES_UNKNOWN);
    open_with("2MiB"); /* more than there is: the device itself is the limit */
    assert_int_equal(left_on(0), VG_BYTES_UNKNOWN);
}

static void a_share_waits_for_the_driver(void **state)
{
    (void)state;
    open_with("50%");
    total_result = CUDA_ERROR_NOT_INITIALIZED;
    assert_int_equal(left_on(0), VG_BYTES_UNKNOWN);
    total_result = CUDA_SUCCESS; /* asked again, since it was too early */
    assert_int_equal(left_on(0), TOTAL_BYTES / 2);
    total_result = CUDA_ERROR_NOT_FOUND;
    assert_int_equal(left_on(0), TOTAL_BYTES / 2); /* known for good */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_exact_to_the_byte),
        cmocka_unit_test(a_charge_grows_and_shrinks),
        cmocka_unit_test(what_was_allocated_stays_charged),
        cmocka_unit_test(devices_without_a_limit_are_free),
        cmocka_unit_test(a_share_waits_for_the_driver),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
