#include "record/kind.h"

#include <stddef.h>

const struct vg_kind_row vg_kind_rows[VG_KIND_COUNT] = {
#define VG_KIND(name, kind_text, kind_traits)                                                      \
    [VG_KIND_##name] = { .text = kind_text, .traits = kind_traits },
#include "record/kind_table.h"
#undef VG_KIND
};

const char *vg_kind_text(unsigned kind)
{
    return kind < VG_KIND_COUNT && vg_kind_rows[kind].text ? vg_kind_rows[kind].text
                                                           : "unknown kind";
}
