#include "unwind/python_offsets.h"

#include <stddef.h>
#include <string.h>

enum { VERSION = 1, FREE_THREADED = 2 };

/* Where in the table, in words, groups of members begin that stand in this order in all versions.
 */
static const struct groups {
    unsigned minor;
    uint8_t current_frame; /* of a thread's state */
    uint8_t frame;         /* previous, executable, instr_ptr, localsplus, owner */
    uint8_t code;          /* filename, name, qualname, linetable, firstlineno, argcount,
                              localsplusnames, localspluskinds, co_code_adaptive */
    uint8_t tuple_items;
} groups_of[] = {
    { .minor = 13, .current_frame = 23, .frame = 29, .code = 35, .tuple_items = 51 },
    { .minor = 14, .current_frame = 26, .frame = 32, .code = 40, .tuple_items = 57 },
    { .minor = 15, .current_frame = 26, .frame = 40, .code = 48, .tuple_items = 69 },
};

bool vg_python_offsets_exist(const uint64_t *runtime)
{
    return runtime && memcmp(runtime, "xdebugpy", sizeof *runtime) == 0;
}

bool vg_python_offsets_free_threaded(const uint64_t *runtime)
{
    return runtime[FREE_THREADED] != 0;
}

bool vg_python_offsets_agree(const uint64_t *runtime, const struct vg_python_layout *layout)
{
    const unsigned minor = runtime[VERSION] >> 16 & 0xff; /* as PY_VERSION_HEX */
    const struct groups *g = groups_of;
    const struct groups *const end = groups_of + sizeof groups_of / sizeof groups_of[0];
    while (g < end && g->minor != minor)
        g++;
    if (g == end)
        return true;
    const uint64_t *const frame = runtime + g->frame, *const code = runtime + g->code;
    const struct {
        uint64_t published;
        int16_t ours;
    } pairs[] = {
        { runtime[g->current_frame], layout->thread_frame },
        { frame[0], layout->frame_back },
        { frame[1], layout->frame_code },
        { frame[2], layout->frame_instruction },
        { frame[3], layout->frame_variables },
        { frame[4], layout->frame_owner },
        { code[0], layout->file },
        { code[2], layout->name },
        { code[3], layout->lines },
        { code[4], layout->first_line },
        { code[6], layout->variables },
        { code[8], layout->bytecode },
        { runtime[g->tuple_items], layout->tuple_items },
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        if (pairs[i].published != (uint64_t)pairs[i].ours)
            return false;
    return true;
}
