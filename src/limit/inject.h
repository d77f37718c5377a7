/* Failures on demand, for programs that want to try their own handling of out-of-memory:
 * VRAMGUARD_INJECT, parsed and matched. Pure: who counts the allocations asks with their number. */
#ifndef VRAMGUARD_LIMIT_INJECT_H
#define VRAMGUARD_LIMIT_INJECT_H

#include <stddef.h>
#include <stdint.h>

enum { VG_INJECT_RULES_MAX = 16, VG_INJECT_TEXT_CAP = 48 };

enum vg_inject_kind { VG_INJECT_NUMBERS, VG_INJECT_ABOVE, VG_INJECT_SHARE };

struct vg_inject_rule {
    enum vg_inject_kind kind;
    uint64_t first, last; /* NUMBERS: of the process's allocations, counted from 1 */
    uint64_t above_bytes; /* ABOVE */
    uint64_t share;       /* SHARE: of 2^32 */
    uint64_t seed;
    char text[VG_INJECT_TEXT_CAP]; /* as the user wrote it; cut if need be */
};

/* VRAMGUARD_INJECT, parsed. */
struct vg_inject {
    struct vg_inject_rule rules[VG_INJECT_RULES_MAX];
    size_t count;
};

/* Parses rules separated by commas: "7", "7-9", "7+", ">1GiB", "5%", "5%:42" (the default seed is
 * 1). Returns 0, or -EINVAL with the reason in `why` and `out` untouched. */
int vg_inject_parse(const char *text, struct vg_inject *out, char *why, size_t why_cap);

/* The first rule that makes allocation `number` (from 1) of `bytes` (VG_BYTES_UNKNOWN: no rule
 * about sizes fits) fail; NULL when it may be made. A share depends on seed and number alone, so
 * that the same order of allocations fails in the same places, whatever the threads do. */
const struct vg_inject_rule *vg_inject_match(const struct vg_inject *inject, uint64_t number,
                                             uint64_t bytes);

#endif
