#include "record/kind.h"

#include <stddef.h>

static const struct {
    const char *text;
    unsigned traits;
} kinds[VG_KIND_COUNT] = {
#define VG_KIND(name, kind_text, kind_traits)                                                      \
    [VG_KIND_##name] = { .text = kind_text, .traits = kind_traits },
#include "record/kind_table.h"
#undef VG_KIND
};

unsigned vg_kind_traits(unsigned kind)
{
    return kind < VG_KIND_COUNT ? kinds[kind].traits : 0;
}

const char *vg_kind_text(unsigned kind)
{
    return kind < VG_KIND_COUNT && kinds[kind].text ? kinds[kind].text : "unknown kind";
}
