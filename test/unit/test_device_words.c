/* What CUDA_VISIBLE_DEVICES and CUDA_MPS_PINNED_DEVICE_MEM_LIMIT say of a device. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "analyze/mps_limit.h"
#include "analyze/visible_devices.h"
#include "base/size.h"

#define UUID_A "GPU-0a3c2a10-0123-4567-89ab-cdef01234567"
#define UUID_B "GPU-0b3c2a10-0123-4567-89ab-cdef01234567"
#define UUID_C "GPU-0a3c2a10-ffff-4567-89ab-cdef01234567" /* begins as A does */

/* The value for the device with `uuid`, of which the program sees `ordinal`. */
static const char *value(const char *visible, int ordinal, const char *uuid, const char *other)
{
    static char out[VG_VISIBLE_VALUE_CAP];
    const struct vg_visible_device devices[] = { { .ordinal = 0, .uuid = other },
                                                 { .ordinal = ordinal, .uuid = uuid } };
    memset(out, 'x', sizeof out);
    const int error = vg_visible_device_value(visible, devices, 2, 1, out);
    assert_int_equal(error, out[0] ? 0 : -ENOENT);
    return out;
}

static void a_number_is_that_of_the_whole_machine(void **state)
{
    (void)state;
    assert_string_equal(value(NULL, 1, UUID_A, UUID_B), "1");
    assert_string_equal(value("2,0,1", 2, UUID_A, UUID_B), "1");
    assert_string_equal(value("2,0,1", 0, UUID_A, UUID_B), "2");
    assert_string_equal(value(" 2 , 7 ", 1, UUID_A, UUID_B), "7");
    assert_string_equal(value("0,GPU-0a", 1, UUID_A, UUID_B), "GPU-0a");
    assert_string_equal(value("MIG-77,MIG-88", 1, "MIG-88", "MIG-77"), "MIG-88");
}

static void what_is_not_visible_is_named_by_its_uuid(void **state)
{
    (void)state;
    assert_string_equal(value("2", -1, UUID_A, UUID_B), "GPU-0a3c2a10");
    assert_string_equal(value("2", -1, UUID_A, UUID_C), UUID_A);
    assert_string_equal(value(NULL, -1, UUID_A, UUID_B), "GPU-0a3c2a10");
    assert_string_equal(value("2", -1, "MIG-88", "MIG-89"), "MIG-88");
    assert_string_equal(value("2", 5, UUID_A, UUID_B), "GPU-0a3c2a10"); /* the list is shorter */
    assert_string_equal(value("", -1, UUID_A, UUID_B), "GPU-0a3c2a10");
}

static void what_something_else_hides_changes_the_numbers(void **state)
{
    (void)state;
    char out[VG_VISIBLE_VALUE_CAP];
    const struct vg_visible_device devices[] = { { 1, UUID_A }, { -1, UUID_B } };
    assert_int_equal(vg_visible_device_value(NULL, devices, 2, 0, out), 0);
    assert_string_equal(out, "GPU-0a3c2a10");
}

static void without_a_name_nothing_is_said(void **state)
{
    (void)state;
    assert_string_equal(value("2", -1, "", UUID_B), "");
    assert_string_equal(value("2", 1, "", UUID_B), "");
}

static int mps(const char *text, int ordinal, uint64_t *out_bytes)
{
    *out_bytes = 77;
    return vg_mps_limit_parse(text, ordinal, UUID_A, out_bytes);
}

static void limits_of_mps_are_read(void **state)
{
    (void)state;
    uint64_t bytes;
    assert_int_equal(mps("0=2G,1=512MB", 0, &bytes), 0);
    assert_true(bytes == 2 * VG_GIB);
    assert_int_equal(mps("0=2G,1=512MB", 1, &bytes), 0);
    assert_true(bytes == 512 * VG_MIB);
    assert_int_equal(mps(" 3 = 1024M ", 3, &bytes), 0);
    assert_true(bytes == VG_GIB);
    assert_int_equal(mps("0=1G,GPU-0A3c2a10=3G", 7, &bytes), 0);
    assert_true(bytes == 3 * VG_GIB);
    assert_int_equal(mps("10=1G", 1, &bytes), -ENOENT);
    assert_int_equal(mps("1=1G", 10, &bytes), -ENOENT);
    assert_int_equal(mps("", 0, &bytes), -ENOENT);
    assert_int_equal(mps(NULL, 0, &bytes), -ENOENT);
    assert_int_equal(mps(",,=,0", 0, &bytes), -ENOENT);
    assert_int_equal(mps("GPU-=1G", 0, &bytes), -ENOENT);
    assert_int_equal(mps("0=2048", 0, &bytes), -EINVAL);
    assert_int_equal(mps("0=much", 0, &bytes), -EINVAL);
    assert_int_equal(mps("0=", 0, &bytes), -EINVAL);
    assert_true(bytes == 77);
}

static void a_limit_explains_what_it_refuses(void **state)
{
    (void)state;
    assert_true(vg_mps_limit_explains(3 * VG_GIB, 2 * VG_GIB + 1, VG_GIB));
    assert_false(vg_mps_limit_explains(3 * VG_GIB, 2 * VG_GIB, VG_GIB));
    assert_true(vg_mps_limit_explains(3 * VG_GIB, 4 * VG_GIB, 1));
    assert_false(vg_mps_limit_explains(VG_BYTES_UNKNOWN, 4 * VG_GIB, 1));
    assert_false(vg_mps_limit_explains(3 * VG_GIB, 4 * VG_GIB, VG_BYTES_UNKNOWN));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_number_is_that_of_the_whole_machine),
        cmocka_unit_test(what_is_not_visible_is_named_by_its_uuid),
        cmocka_unit_test(what_something_else_hides_changes_the_numbers),
        cmocka_unit_test(without_a_name_nothing_is_said),
        cmocka_unit_test(limits_of_mps_are_read),
        cmocka_unit_test(a_limit_explains_what_it_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
