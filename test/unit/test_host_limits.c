/* What the host lets a process take, and which of it explains a failure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/resource.h>

#include "analyze/host_shortage.h"
#include "base/size.h"
#include "core_fixture.h"
#include "os/host_limits.h"
#include "os/process.h"

static void write_file(const char *name, const char *content)
{
    FILE *const file = fopen(in_scratch(name), "w");
    assert_non_null(file);
    fputs(content, file);
    fclose(file);
}

static int fake_host(void **state)
{
    static char root[64];
    if (make_scratch(state) != 0 || mkdir(in_scratch("self"), 0700) != 0 ||
        mkdir(in_scratch("job"), 0700) != 0)
        return -1;
    strcpy(root, scratch);
    vg_process_proc_root = vg_process_cgroup_root = root;
    return 0;
}

static int real_host(void **state)
{
    vg_process_proc_root = "/proc";
    vg_process_cgroup_root = "/sys/fs/cgroup";
    return remove_scratch(state);
}

static void everything_is_read(void **state)
{
    (void)state;
    struct vg_host_limits limits;
    struct rlimit address;
    write_file("meminfo", "MemTotal:       64 kB\nMemFree:  1 kB\nMemAvailable:   40 kB\n");
    write_file("self/status",
               "Name:\tx\nVmPeak:\t 900 kB\nVmSize:\t 800 kB\nVmLck:\t 8 kB\n"
               "VmPin:\t 16 kB\nCapInh:\t0000\nCapEff:\t0000000000004001\n");
    write_file("self/cgroup", "0::/job\n");
    write_file("job/memory.max", "1000000\n");
    write_file("job/memory.current", "400000\n");
    vg_host_limits_read(&limits);
    assert_int_equal(limits.total_bytes, 64 * VG_KIB);
    assert_int_equal(limits.available_bytes, 40 * VG_KIB);
    assert_int_equal(limits.address_bytes, 800 * VG_KIB);
    assert_int_equal(limits.locked_bytes, 24 * VG_KIB);
    assert_int_equal(limits.cgroup_room_bytes, 600000);
    assert_true(limits.lock_exempt);
    assert_int_equal(getrlimit(RLIMIT_AS, &address), 0);
    assert_true(limits.address_limit_bytes ==
                (address.rlim_cur == RLIM_INFINITY ? VG_BYTES_UNKNOWN : address.rlim_cur));
}

static void what_is_missing_is_unknown(void **state)
{
    (void)state;
    struct vg_host_limits limits;
    vg_host_limits_read(&limits);
    assert_true(limits.available_bytes == VG_BYTES_UNKNOWN);
    assert_true(limits.address_bytes == VG_BYTES_UNKNOWN);
    assert_true(limits.locked_bytes == VG_BYTES_UNKNOWN);
    assert_true(limits.cgroup_room_bytes == VG_BYTES_UNKNOWN);
    assert_false(limits.lock_exempt);
    assert_int_equal(vg_host_shortage_of(&limits, VG_GIB, false), VG_HOST_SHORTAGE_NONE);
}

static void limits_are_told_apart(void **state)
{
    (void)state;
    struct vg_host_limits limits;
    struct rlimit locked, address;
    assert_int_equal(getrlimit(RLIMIT_MEMLOCK, &locked), 0);
    assert_int_equal(getrlimit(RLIMIT_AS, &address), 0);
    const struct rlimit low = { .rlim_cur = 32 * VG_KIB, .rlim_max = locked.rlim_max };
    const struct rlimit high = { .rlim_cur = 900 * VG_GIB, .rlim_max = address.rlim_max };
    assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &low), 0);
    assert_int_equal(setrlimit(RLIMIT_AS, &high), 0);
    write_file("self/status", "Name:\tx\nVmSize:\t 800 kB\nVmLck:\t 8 kB\n");
    vg_host_limits_read(&limits);
    setrlimit(RLIMIT_MEMLOCK, &locked);
    setrlimit(RLIMIT_AS, &address);
    assert_int_equal(limits.locked_limit_bytes, 32 * VG_KIB);
    assert_int_equal(limits.address_limit_bytes, 900 * VG_GIB);
    assert_int_equal(limits.locked_bytes, 8 * VG_KIB); /* nothing is pinned */
    assert_false(limits.lock_exempt);                  /* it tells of no capabilities */
}

static void the_real_ones_make_sense(void **state)
{
    (void)state;
    struct vg_host_limits limits;
    vg_process_proc_root = "/proc";
    vg_host_limits_read(&limits);
    assert_in_range(limits.address_bytes, VG_MIB, UINT64_C(1) << 47);
    assert_true(limits.available_bytes <= limits.total_bytes);
    assert_true(limits.locked_bytes < VG_GIB);
}

/* Nothing is short. */
static const struct vg_host_limits plenty = {
    .locked_limit_bytes = VG_BYTES_UNKNOWN,
    .locked_bytes = 0,
    .address_limit_bytes = VG_BYTES_UNKNOWN,
    .address_bytes = VG_GIB,
    .total_bytes = 64 * VG_GIB,
    .available_bytes = 40 * VG_GIB,
    .cgroup_room_bytes = VG_BYTES_UNKNOWN,
};

static void the_tightest_certain_limit_is_named(void **state)
{
    (void)state;
    struct vg_host_limits l = plenty;
    assert_int_equal(vg_host_shortage_of(&l, 39 * VG_GIB, false), VG_HOST_SHORTAGE_NONE);
    assert_int_equal(vg_host_shortage_of(&l, 41 * VG_GIB, false), VG_HOST_SHORTAGE_MEMORY);
    l.locked_limit_bytes = 8 * VG_MIB;
    assert_int_equal(vg_host_shortage_of(&l, VG_GIB, false), VG_HOST_SHORTAGE_LOCKED);
    assert_int_equal(vg_host_shortage_of(&l, 41 * VG_GIB, false), VG_HOST_SHORTAGE_MEMORY);
    assert_int_equal(vg_host_shortage_of(&l, 41 * VG_GIB, true), VG_HOST_SHORTAGE_LOCKED);
    l.lock_exempt = true;
    assert_int_equal(vg_host_shortage_of(&l, VG_GIB, false), VG_HOST_SHORTAGE_NONE);
    assert_int_equal(vg_host_shortage_of(&l, VG_GIB, true), VG_HOST_SHORTAGE_NONE);
    l.cgroup_room_bytes = 2 * VG_GIB;
    assert_int_equal(vg_host_shortage_of(&l, 2 * VG_GIB, false), VG_HOST_SHORTAGE_NONE);
    assert_int_equal(vg_host_shortage_of(&l, 3 * VG_GIB, false), VG_HOST_SHORTAGE_CGROUP);
    l.address_limit_bytes = 3 * VG_GIB;
    assert_int_equal(vg_host_shortage_of(&l, 2 * VG_GIB, false), VG_HOST_SHORTAGE_NONE);
    assert_int_equal(vg_host_shortage_of(&l, 3 * VG_GIB, false), VG_HOST_SHORTAGE_ADDRESS);
    l.address_bytes = 4 * VG_GIB; /* over it already: it was lowered meanwhile */
    assert_int_equal(vg_host_shortage_of(&l, 1, false), VG_HOST_SHORTAGE_ADDRESS);
    assert_int_equal(vg_host_shortage_of(&l, VG_BYTES_UNKNOWN, false), VG_HOST_SHORTAGE_NONE);
    assert_false(vg_host_lacks_address_space(&plenty, 100 * VG_GIB));
}

static void calls_of_the_host_are_known(void **state)
{
    (void)state;
    assert_true(vg_host_call("cuMemHostAlloc") && vg_host_call("cuMemAllocHost_v2"));
    assert_true(vg_host_call("cuMemHostRegister_v2"));
    assert_true(vg_host_call_registers("cuMemHostRegister_v2"));
    assert_false(vg_host_call_registers("cuMemHostAlloc"));
    assert_false(vg_host_call("cuMemAlloc_v2") || vg_host_call("cuMemAllocManaged"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(everything_is_read, fake_host, real_host),
        cmocka_unit_test_setup_teardown(what_is_missing_is_unknown, fake_host, real_host),
        cmocka_unit_test_setup_teardown(limits_are_told_apart, fake_host, real_host),
        cmocka_unit_test_setup_teardown(the_real_ones_make_sense, fake_host, real_host),
        cmocka_unit_test(the_tightest_certain_limit_is_named),
        cmocka_unit_test(calls_of_the_host_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
