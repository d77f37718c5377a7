#include "unwind/python_offsets.h"

#include <stddef.h>
#include <string.h>

enum { VERSION = 1, FREE_THREADED = 2 };

/* Where in the table, in words, groups of members begin that stand in this order in all versions.
 */
static const struct groups {
    unsigned minor;
    uint8_t current_frame; /* of a thread's state */
    uint8_t frame;         /* previous, executable, instr_ptr, localsplus, owner; from 3.14 on
                              stackpointer, tlbc_index */
    uint8_t code;          /* filename, name, qualname, linetable, firstlineno, argcount,
                              localsplusnames, localspluskinds, co_code_adaptive; from 3.14 on
                              co_tlbc */
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

static const struct groups *groups_for(const uint64_t *runtime)
{
    const unsigned minor = runtime[VERSION] >> 16 & 0xff; /* as PY_VERSION_HEX */
    for (size_t i = 0; i < sizeof groups_of / sizeof groups_of[0]; i++)
        if (groups_of[i].minor == minor)
            return &groups_of[i];
    return NULL;
}

static void read_frame(const uint64_t *words, struct vg_python_layout *out)
{
    out->frame_back = (int16_t)words[0];
    out->frame_code = (int16_t)words[1];
    out->frame_instruction = (int16_t)words[2];
    out->frame_variables = (int16_t)words[3];
    out->frame_owner = (int16_t)words[4];
}

static void read_code(const uint64_t *words, struct vg_python_layout *out)
{
    out->file = (int16_t)words[0];
    out->name = (int16_t)words[2];
    out->lines = (int16_t)words[3];
    out->first_line = (int16_t)words[4];
    out->variables = (int16_t)words[6];
    out->bytecode = (int16_t)words[8];
}

/* The header of objects: a thread, a lock, and two counts in the place of one (Include/object.h).
 */
static void read_free_threaded(const uint64_t *runtime, const struct groups *g,
                               struct vg_python_layout *out)
{
    out->head = 16;
    out->ascii_data = (int16_t)(out->ascii_data + out->head);
    out->compact_data = (int16_t)(out->compact_data + out->head);
    out->first_traceable = (int16_t)(out->first_traceable + out->head);
    if (g->minor >= 14) {
        out->frame_copy = (int16_t)runtime[g->frame + 6];
        out->copies = (int16_t)runtime[g->code + 9];
    }
}

bool vg_python_offsets_read(const uint64_t *runtime, const struct vg_python_layout *row,
                            struct vg_python_layout *out)
{
    const struct groups *const g = groups_for(runtime);
    *out = *row;
    if (!g || g->minor != row->minor)
        return false;
    out->thread_frame = (int16_t)runtime[g->current_frame];
    read_frame(runtime + g->frame, out);
    read_code(runtime + g->code, out);
    out->tuple_items = (int16_t)runtime[g->tuple_items];
    if (vg_python_offsets_free_threaded(runtime))
        read_free_threaded(runtime, g, out);
    return true;
}
