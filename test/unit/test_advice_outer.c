/* Causes that lie outside the GPU: the host's memory, limits that others set, addresses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "advice_fixture.h"

static void host_memory_is_the_hosts(void **state)
{
    (void)state;
    sample_shared(&s);
    s.outer.host_call = 1;
    s.outer.host = (struct vg_host_limits){ .total_bytes = 64 * VG_GIB,
                                            .available_bytes = VG_GIB,
                                            .cgroup_room_bytes = 2 * VG_GIB,
                                            .address_limit_bytes = 9 * VG_GIB,
                                            .address_bytes = 8 * VG_GIB,
                                            .locked_limit_bytes = 8 * VG_MIB };
    static const struct {
        enum vg_host_shortage shortage;
        const char *cause, *advice;
    } cases[] = {
        { VG_HOST_SHORTAGE_NONE, "1.00 GiB of 64.00 GiB available; what refused it is not known",
          "" },
        { VG_HOST_SHORTAGE_MEMORY, "The host has 1.00 GiB of 64.00 GiB available.", "free memory" },
        { VG_HOST_SHORTAGE_CGROUP, "its control group leaves 2.00 GiB", "container" },
        { VG_HOST_SHORTAGE_ADDRESS, "`ulimit -v` allows the process 9.00 GiB",
          "raise `ulimit -v`" },
        { VG_HOST_SHORTAGE_LOCKED, "Perhaps because of `ulimit -l`", "raise `ulimit -l`" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        s.outer.host_shortage = (uint32_t)cases[i].shortage;
        expect_row("host-memory");
        expect_text(cause, cases[i].cause);
        expect_text(advice, cases[i].advice);
        expect_no_text(advice, "4711");
    }
}

static void other_limits_are_named(void **state)
{
    (void)state;
    sample_alone(&s);
    s.device.gpu.free_bytes = 3 * VG_GIB; /* 2 GiB are asked for */
    strcpy(s.outer.interposer, "liblimit.so");
    expect_row("interposer");
    expect_text(cause, "liblimit.so, which is preloaded too");
    s.outer.lacks_address = 1;
    s.outer.host.address_limit_bytes = 9 * VG_GIB;
    expect_row("address-space");
    expect_text(cause, "`ulimit -v` allows the process 9.00 GiB");
    s.outer.mps_explains = 1;
    s.outer.mps_bytes = 4 * VG_GIB;
    strcpy(s.outer.mps_text, "0=4G");
    expect_row("mps-limit");
    expect_text(cause, "CUDA_MPS_PINNED_DEVICE_MEM_LIMIT=0=4G allows this process 4.00 GiB");
    s.device.gpu.free_bytes = VG_GIB; /* it would not have fitted anyway */
    expect_row("own-total");
}

static void addresses_are_no_memory(void **state)
{
    (void)state;
    sample_shared(&s);
    s.asked_bytes = VG_BYTES_UNKNOWN;
    s.api = "cuMemAddressReserve";
    s.device.gpu.free_bytes = 100 * VG_MIB;
    s.outer.host.address_limit_bytes = VG_BYTES_UNKNOWN;
    expect_row("reservation");
    expect_text(cause, "this call takes addresses and no memory of the GPU.");
    expect_no_text(cause, "4711");
    expect_text(advice, "reserve fewer addresses");
    s.outer.host.address_limit_bytes = 64 * VG_GIB;
    s.outer.host.address_bytes = 60 * VG_GIB;
    expect_row("reservation");
    expect_text(cause, "allows the process 64.00 GiB of address space; it uses 60.00 GiB.");
    expect_text(advice, "ulimit -v unlimited");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(host_memory_is_the_hosts),
        cmocka_unit_test(other_limits_are_named),
        cmocka_unit_test(addresses_are_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
