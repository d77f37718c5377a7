/* The first screen: where, in the program's own lines; who else is there; what was tried. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sample_failure.h"
#include "view/first_screen.h"

static struct vg_run_failure s;
static struct vg_run_frame frames[16];
static char screen[VG_REPORT_TEXT_CAP];

static int prepare(void **state)
{
    (void)state;
    sample_alone(&s);
    return 0;
}

static void render(void)
{
    struct vg_text out = vg_text_over(screen, sizeof screen);
    vg_first_screen_render(&s, (struct vg_report_style){ .columns = 200 }, &out);
    assert_false(out.truncated);
}

static void expect(const char *part)
{
    if (!strstr(screen, part))
        fail_msg("no \"%s\" in:\n%s", part, screen);
}

static void add_frame(const char *file, const char *function, uint32_t line, uint32_t flags)
{
    frames[s.stack.frame_count++] = (struct vg_run_frame){
        .module = "", .file = file, .function = function, .line = line, .flags = flags
    };
    s.stack.frames = frames;
}

static void where_is_told_in_the_programs_lines(void **state)
{
    (void)state;
    add_frame("/v/site-packages/torch/nn.py", "linear", 5, VG_FRAME_PYTHON | VG_FRAME_LIBRARY);
    add_frame("/p/net.py", "Net.forward", 17, VG_FRAME_PYTHON);
    add_frame("/v/site-packages/torch/module.py", "call", 9, VG_FRAME_PYTHON | VG_FRAME_LIBRARY);
    add_frame("/p/train.py", "main", 28, VG_FRAME_PYTHON);
    render();
    expect("  where    train.py:28 main > net.py:17 Net.forward (linear)\n");
}

static void what_decorators_put_around_a_call_is_left_out(void **state)
{
    (void)state;
    const uint32_t flags = VG_FRAME_PYTHON | VG_FRAME_LIBRARY;
    add_frame("/v/site-packages/torch/adam.py", "_multi_tensor_adam", 61, flags);
    add_frame("/v/site-packages/torch/adam.py", "Adam.step", 5, flags);
    add_frame("/v/site-packages/torch/optimizer.py", "profile.<locals>.wrapper", 7, flags);
    add_frame("/p/train.py", "main", 28, VG_FRAME_PYTHON);
    render();
    expect("  where    train.py:28 main (Adam.step)\n");
}

static void deep_stacks_show_both_ends(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 8; i++)
        add_frame("/p/net.py", "f", 8 - i, VG_FRAME_PYTHON);
    render();
    expect("  where    net.py:1 f > ... > net.py:6 f > net.py:7 f > net.py:8 f > cudaMalloc\n");
}

static void others_are_counted(void **state)
{
    (void)state;
    render();
    expect("; no other process");
    add_process(&s, 100, 0, "idle"); /* has nothing there */
    render();
    expect("; no other process");
    add_process(&s, 101, VG_GIB, "a");
    add_process(&s, 102, VG_GIB, "b")->flags = VG_PROCESS_GUARDED;
    add_process(&s, 103, VG_GIB, "c");
    render();
    expect("; pid 101 1.00 GiB; pid 102 1.00 GiB (guarded); 1 more process");
    assert_null(strstr(screen, "processes"));
    add_process(&s, 104, VG_GIB, "d");
    render();
    expect("; 2 more processes");
}

static void what_was_tried_has_one_key(void **state)
{
    (void)state;
    s.action_count = 2;
    SET(actions[0].name, "trim");
    actions[0].recovered_bytes = VG_GIB;
    SET(actions[1].name, "wait");
    render();
    expect("  tried    trim: ");
    expect("\n           wait: ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(where_is_told_in_the_programs_lines, prepare),
        cmocka_unit_test_setup(what_decorators_put_around_a_call_is_left_out, prepare),
        cmocka_unit_test_setup(deep_stacks_show_both_ends, prepare),
        cmocka_unit_test_setup(others_are_counted, prepare),
        cmocka_unit_test_setup(what_was_tried_has_one_key, prepare),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
