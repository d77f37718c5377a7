/* Whether memory may be read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "os/mapped.h"

/* Four pages, of which the third is a hole. */
static char *map_with_hole(size_t page_bytes)
{
    char *const pages =
        mmap(NULL, 4 * page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(pages != MAP_FAILED);
    assert_int_equal(munmap(pages + 2 * page_bytes, page_bytes), 0);
    return pages;
}

static void holes_are_seen(void **state)
{
    (void)state;
    const size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    char *const pages = map_with_hole(page_bytes);
    assert_true(vg_is_mapped(pages, 1));
    assert_true(vg_is_mapped(pages, 2 * page_bytes));
    assert_true(vg_is_mapped(pages + page_bytes + 8, page_bytes - 8));
    assert_false(vg_is_mapped(pages + page_bytes + 8, page_bytes));
    assert_false(vg_is_mapped(pages + 2 * page_bytes, 1));
    assert_true(vg_is_mapped(pages + 3 * page_bytes, 1));
    assert_true(vg_is_readable(pages + 2 * page_bytes - 8));
    assert_false(vg_is_readable(pages + 2 * page_bytes));
    munmap(pages, 4 * page_bytes);
    assert_false(vg_is_mapped(pages, 1));
}

static void what_wraps_or_is_too_long_is_not_mapped(void **state)
{
    (void)state;
    const size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    assert_false(vg_is_mapped((const void *)(UINTPTR_MAX - 7), 16));
    assert_false(vg_is_mapped(NULL, 1));
    char *const pages = mmap(NULL, 5 * page_bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(vg_is_mapped(pages, 4 * page_bytes));
    assert_false(vg_is_mapped(pages, 4 * page_bytes + 1));
    assert_false(vg_is_mapped(pages + 8, 4 * page_bytes)); /* in five pages */
    munmap(pages, 5 * page_bytes);
}

static void errno_is_preserved(void **state)
{
    (void)state;
    errno = EDOM;
    vg_is_mapped(NULL, 1);
    vg_is_readable(NULL);
    assert_int_equal(errno, EDOM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holes_are_seen),
        cmocka_unit_test(what_wraps_or_is_too_long_is_not_mapped),
        cmocka_unit_test(errno_is_preserved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
