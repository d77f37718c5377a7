/* How much of a device's memory the driver may move away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "heap/managed.h"
#include "live_index_fixture.h"

static void put_kind(uint64_t address, uint64_t bytes, uint16_t device, uint16_t kind)
{
    struct vg_allocation one = allocation(address, bytes, device);
    one.kind = kind;
    assert_int_equal(vg_live_index_put(&track, &one), 0);
}

static void managed_memory_is_added_up_by_device(void **state)
{
    (void)state;
    put_kind(0x1000, 100, 0, VG_KIND_MANAGED);
    assert_int_equal(vg_managed_live_bytes(&track, 0), 0); /* nobody has noted that there is any */
    vg_managed_note();
    vg_managed_note();
    put_kind(0x2000, 20, 0, VG_KIND_DEVICE);
    put_kind(0x3000, 3, 1, VG_KIND_MANAGED);
    put_kind(0x4000, 4000, 0, VG_KIND_MANAGED);
    assert_int_equal(vg_managed_live_bytes(&track, 0), 4100);
    assert_int_equal(vg_managed_live_bytes(&track, 1), 3);
    assert_int_equal(vg_managed_live_bytes(&track, 2), 0);
    assert_true(take_and_forget(0x1000));
    assert_int_equal(vg_managed_live_bytes(&track, 0), 4000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(managed_memory_is_added_up_by_device, setup,
                                        remove_scratch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
