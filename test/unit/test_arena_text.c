/* A framework's pool is told where it took much of the GPU in a few pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/size.h"
#include "view/arena_text.h"

#include <string.h>

static struct vg_run_site site;
static char words[512];

static const char *render(uint64_t peak_bytes, uint64_t peak_count)
{
    const struct vg_run_device device = {
        .gpu = { .ordinal = 0, .total_bytes = 16 * VG_GIB },
        .sites[VG_LEVEL_ALLOCATIONS] = { .entries = &site, .count = 1, .is_known = true },
    };
    struct vg_text out = vg_text_over(words, sizeof words);
    site.peak_bytes = peak_bytes;
    site.peak_count = peak_count;
    return vg_arena_render(&device, &out) ? words : NULL;
}

static void large_pieces_are_a_pool(void **state)
{
    (void)state;
    site = (struct vg_run_site){
        .label = "train.py:6 main > xla_extension.so grow",
        .own = { .path = "/p/train.py", .file = "train.py", .line = 6, .function = "main" }
    };
    assert_non_null(render(12 * VG_GIB, 1));
    assert_non_null(strstr(words,
                           "JAX held 12.00 GiB of GPU 0 at the peak in 1 piece, "
                           "taken at train.py:6 main: a pool of its own."));
    assert_non_null(render(12 * VG_GIB, 6)); /* an eighth of the GPU each */
    assert_non_null(strstr(words, " in 6 pieces, "));
    assert_null(render(11 * VG_GIB, 6));
    assert_null(render(16 * VG_GIB, 8)); /* arrays, though large ones */
    assert_null(render(VG_BYTES_UNKNOWN, 1));
    assert_null(render(12 * VG_GIB, 0));
}

static void what_has_no_pool_is_none(void **state)
{
    (void)state;
    site = (struct vg_run_site){ .label = "main (a.c:6)", .own = { .file = "" } };
    assert_null(render(12 * VG_GIB, 1));
    assert_string_equal(words, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(large_pieces_are_a_pool),
        cmocka_unit_test(what_has_no_pool_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
