/* What a program was told of a GPU's memory, in words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/size.h"
#include "view/memory_read_text.h"

static char words[2048];
static uint64_t start_ns;

static const struct vg_file_memory_read sample = {
    .realtime_ns = 5,
    .free_bytes = VG_GIB,
    .total_bytes = 4 * VG_GIB,
    .own_bytes = 200 * VG_MIB,
    .low_realtime_ns = 400000000,
    .low_free_bytes = VG_GIB,
    .low_others_bytes = 2 * VG_GIB,
    .holder_count = 2,
    .holders = { { .pid = 41,
                   .bytes = VG_GIB + VG_MIB,
                   .command = "/usr/bin/python3 /srv/serve.py" },
                 { .pid = 42, .bytes = VG_GIB - VG_MIB, .invisible = 1 } },
};

static bool render(const struct vg_file_memory_read *read)
{
    struct vg_text text = vg_text_over(words, sizeof words);
    return vg_memory_read_render(read, 1, start_ns, &text);
}

static void the_holders_are_named(void **state)
{
    (void)state;
    assert_true(render(&sample));
    assert_string_equal(
        words,
        "The program asked how much of GPU 1 is free. Other processes held 2.00 GiB of 4.00 GiB "
        "400 ms after its start: pid 41 (python3 serve.py) 1.00 GiB, a process of another "
        "container or host, not visible here, 1023 MiB. When it asked last, 1.00 GiB of 4.00 GiB "
        "were free, and it held 200 MiB itself.");
    start_ns = 500000000; /* of a clock that was set back */
    assert_true(render(&sample));
    assert_non_null(strstr(words, "held 2.00 GiB of 4.00 GiB: pid 41"));
    start_ns = 0;
    struct vg_file_memory_read more = sample;
    more.holder_count = 5;
    assert_true(render(&more));
    assert_non_null(strstr(words, " and 3 more."));
}

static void what_is_not_known_is_not_said(void **state)
{
    (void)state;
    struct vg_file_memory_read read = sample;
    read.low_realtime_ns = 0;
    assert_false(render(&read));
    read = sample;
    read.realtime_ns = 0;
    assert_false(render(&read));
    assert_string_equal(words, "");
    read = sample;
    read.low_others_bytes = VG_BYTES_UNKNOWN;
    assert_true(render(&read));
    assert_non_null(strstr(words, "Who held the rest is not known"));
    assert_null(strstr(words, "pid 41"));
}

static void any_bytes_can_be_rendered(void **state)
{
    (void)state;
    srand(3);
    for (int round = 0; round < 3000; round++) {
        struct vg_file_memory_read read = sample;
        for (int i = 0; i < 1 + rand() % 300; i++)
            ((unsigned char *)&read)[(size_t)rand() % sizeof read] = (unsigned char)rand();
        if (rand() % 2)
            memset(read.holders[0].command, 'x', sizeof read.holders[0].command);
        words[0] = '\0';
        render(&read);
        for (const char *c = words; *c; c++)
            assert_true((unsigned char)*c >= ' ');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_holders_are_named),
        cmocka_unit_test(what_is_not_known_is_not_said),
        cmocka_unit_test(any_bytes_can_be_rendered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
