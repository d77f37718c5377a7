/* Libraries opened, found by what lies in them, and closed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <string.h>
#include <unistd.h>

#include "os/loader.h"

static void maps_of_libraries_are_found(void **state)
{
    (void)state;
    Dl_info info;
    static int outside;
    const struct link_map *const map = vg_loader_map_at((const void *)(uintptr_t)getpid, &info);
    assert_non_null(map);
    assert_non_null(strstr(map->l_name, "libc.so.6"));
    assert_ptr_equal(vg_loader_map_of(dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD)), map);
    assert_null(vg_loader_map_at((const void *)((uintptr_t)&outside ^ UINT64_C(1) << 46), &info));
}

static void what_is_closed_is_gone(void **state)
{
    (void)state;
    static const char name[] = "libanl.so.1"; /* which nothing else needs */
    assert_null(dlopen(name, RTLD_NOW | RTLD_NOLOAD));
    void *const library = vg_loader_open(name, RTLD_NOW);
    assert_non_null(library);
    assert_int_equal(vg_loader_close(library), 0);
    assert_null(dlopen(name, RTLD_NOW | RTLD_NOLOAD));
    assert_null(vg_loader_open("no-such-library.so", RTLD_NOW));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(maps_of_libraries_are_found),
        cmocka_unit_test(what_is_closed_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
