/* Kinds of allocations, from kind_table.h. */
#ifndef VRAMGUARD_RECORD_KIND_H
#define VRAMGUARD_RECORD_KIND_H

enum vg_kind {
    VG_KIND_NONE,
#define VG_KIND(name, text, traits) VG_KIND_##name,
#include "record/kind_table.h"
#undef VG_KIND
    VG_KIND_COUNT
};

enum vg_kind_trait {
    VG_TRAIT_ON_HOST = 1,
    VG_TRAIT_OF_CONTEXT = 2,
    VG_TRAIT_ESTIMATED = 4,
    VG_TRAIT_HANDLE = 8,
    VG_TRAIT_MOVES = 16,
};

extern const struct vg_kind_row {
    const char *text;
    unsigned traits;
} vg_kind_rows[VG_KIND_COUNT]; /* use the functions */

/* Traits of a kind, 0 for a number that is none. */
static inline unsigned vg_kind_traits(unsigned kind)
{
    return kind < VG_KIND_COUNT ? vg_kind_rows[kind].traits : 0;
}

/* How reports call it; "unknown kind" for a number that is none. Static. */
const char *vg_kind_text(unsigned kind);

#endif
