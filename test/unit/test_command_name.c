/* What a command line is called for short. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/command_name.h"

static const char *short_of(const char *command)
{
    static char out[64];
    vg_command_short(out, sizeof out, command);
    return out;
}

static const char *program_of(const char *command)
{
    static char out[64];
    vg_command_program(out, sizeof out, command);
    return out;
}

static void commands_lose_their_directories(void **state)
{
    (void)state;
    char out[8];
    assert_string_equal(short_of("/usr/bin/python3 -u /srv/a b/c/train.py --data=/x/y -I/z /data/"),
                        "python3 -u a train.py --data=/x/y -I/z data/");
    assert_string_equal(short_of(""), "");
    vg_command_short(out, sizeof out, "/usr/bin/python3");
    assert_string_equal(out, "python3");
}

static void a_program_is_a_word(void **state)
{
    (void)state;
    static const struct {
        const char *command, *program;
    } cases[] = {
        { "/opt/bin/trainer --config /etc/x", "trainer" },
        { "/usr/bin/python3 /srv/a/train.py --lr 1", "train.py" },
        { "python -u train.py", "train.py" },
        { "python -u -X dev -W ignore train.py",
          "train.py" }, /* options with a word of their own */
        { "python -uW ignore /srv/train.py", "train.py" },
        { "python -Wignore -Xdev train.py", "train.py" },
        { "python --check-hash-based-pycs always --version train.py", "train.py" },
        { "python -mtrain --lr 1", "train" },
        { "python - --lr 1", "python" },
        { "python -Ic import torch", "python" },
        { "python -m torch.distributed.run train.py", "torch.distributed.run" },
        { "python -m ipykernel_launcher -f x.json", "the notebook" },
        { "python -m", "python" },
        { "python -c import torch", "python" },
        { "python3.12", "python3.12" },
        { "", "" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_string_equal(program_of(cases[i].command), cases[i].program);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_lose_their_directories),
        cmocka_unit_test(a_program_is_a_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
