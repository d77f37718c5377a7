/* Rescues and marks in a line each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "analyze/outcome.h"
#include "base/size.h"
#include "record/format.h"
#include "view/event_text.h"

static char words[512];

static void rescues_tell_what_was_tried(void **state)
{
    (void)state;
    struct vg_oom_action actions[2] = { { .name = "trim", .recovered_bytes = VG_GIB },
                                        { .name = "wait" } };
    struct vg_run_rescue rescue = { .device = 1,
                                    .asked_bytes = 2 * VG_GIB,
                                    .duration_ns = 3100000000,
                                    .api = "cuMemAlloc_v2",
                                    .actions = actions,
                                    .action_count = 2 };
    struct vg_text out = vg_text_over(words, sizeof words);
    vg_event_add_rescue(&out, &rescue);
    assert_string_equal(words, "2.00 GiB on GPU 1 after 3.1 s; trim: , +1.00 GiB; wait: ");
    rescue.device = -1;
    rescue.asked_bytes = VG_BYTES_UNKNOWN;
    rescue.action_count = 1;
    actions[0].recovered_bytes = VG_BYTES_UNKNOWN;
    out = vg_text_over(words, sizeof words);
    vg_event_add_rescue(&out, &rescue);
    assert_string_equal(words, "cuMemAlloc_v2 after 3.1 s; trim: ");
}

static void marks_tell_what_was_held(void **state)
{
    (void)state;
    const struct vg_run_mark_device devices[] = {
        { .device = 0, .live_bytes = VG_GIB, .peak_bytes = 2 * VG_GIB },
        { .device = VG_FILE_HOST, .live_bytes = VG_MIB, .peak_bytes = VG_MIB },
    };
    const struct vg_run_mark mark = { .text = "epoch 3", .devices = devices, .device_count = 2 };
    struct vg_text out = vg_text_over(words, sizeof words);
    vg_event_add_mark(&out, &mark);
    assert_string_equal(words,
                        "epoch 3: 1.00 GiB live on GPU 0, peak 2.00 GiB; "
                        "1.00 MiB live of pinned host memory, peak 1.00 MiB");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rescues_tell_what_was_tried),
        cmocka_unit_test(marks_tell_what_was_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
