/* What other than the GPU may have refused a call, as the process finds it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "analyze/outer_limits.h"
#include "base/size.h"

static struct vg_outer_limits collect(const char *api, uint64_t asked_bytes)
{
    struct vg_outer_limits out;
    const struct vg_refused_call call = { .api = api,
                                          .ordinal = 1,
                                          .uuid = "GPU-5f3c2a10-0123-4567-89ab-cdef01234567",
                                          .asked_bytes = asked_bytes,
                                          .own_bytes = 3 * VG_GIB };
    memset(&out, 0xff, sizeof out);
    vg_outer_limits_collect(&call, &out);
    return out;
}

static void only_calls_of_the_host_lack_its_memory(void **state)
{
    (void)state;
    const uint64_t huge = UINT64_C(1) << 50;
    struct vg_outer_limits out = collect("cuMemHostAlloc", huge);
    assert_int_equal(out.host_call, 1);
    assert_int_not_equal(out.host_shortage, VG_HOST_SHORTAGE_NONE);
    out = collect("cuMemAlloc_v2", huge);
    assert_int_equal(out.host_call, 0);
    assert_int_equal(out.host_shortage, VG_HOST_SHORTAGE_NONE);
    assert_string_equal(out.interposer, "");
}

static void limits_of_mps_explain_what_passes_them(void **state)
{
    (void)state;
    unsetenv("CUDA_MPS_PINNED_DEVICE_MEM_LIMIT");
    struct vg_outer_limits out = collect("cuMemAlloc_v2", VG_GIB);
    assert_true(out.mps_bytes == VG_BYTES_UNKNOWN);
    assert_int_equal(out.mps_explains, 0);
    setenv("CUDA_MPS_PINNED_DEVICE_MEM_LIMIT", "0=1G,1=4G", 1);
    out = collect("cuMemAlloc_v2", VG_GIB);
    assert_true(out.mps_bytes == 4 * VG_GIB);
    assert_int_equal(out.mps_explains, 0);
    out = collect("cuMemAlloc_v2", VG_GIB + 1);
    assert_int_equal(out.mps_explains, 1);
    assert_string_equal(out.mps_text, "0=1G,1=4G");
    setenv("CUDA_MPS_PINNED_DEVICE_MEM_LIMIT", "0=1G", 1);
    out = collect("cuMemAlloc_v2", VG_GIB + 1);
    assert_true(out.mps_bytes == VG_BYTES_UNKNOWN);
    assert_int_equal(out.mps_explains, 0);
    unsetenv("CUDA_MPS_PINNED_DEVICE_MEM_LIMIT");
}

static void visible_devices_are_told_whole_or_not(void **state)
{
    (void)state;
    char list[1024];
    unsetenv("CUDA_VISIBLE_DEVICES");
    struct vg_outer_limits out = collect("cuMemAlloc_v2", 1);
    assert_int_equal(out.has_visible, 0);
    assert_string_equal(out.visible, "");
    setenv("CUDA_VISIBLE_DEVICES", "2,\033[1m", 1);
    out = collect("cuMemAlloc_v2", 1);
    assert_int_equal(out.has_visible, 1);
    assert_string_equal(out.visible, "2,?[1m");
    memset(list, '1', sizeof list - 1);
    list[sizeof list - 1] = '\0';
    setenv("CUDA_VISIBLE_DEVICES", list, 1);
    out = collect("cuMemAlloc_v2", 1);
    assert_int_equal(out.has_visible, 1);
    assert_string_equal(out.visible, "");
    unsetenv("CUDA_VISIBLE_DEVICES");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_calls_of_the_host_lack_its_memory),
        cmocka_unit_test(limits_of_mps_explain_what_passes_them),
        cmocka_unit_test(visible_devices_are_told_whole_or_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
