/* VRAMGUARD_LIMIT, understood: how much of each device the program may have. */
#ifndef VRAMGUARD_LIMIT_LIMIT_H
#define VRAMGUARD_LIMIT_LIMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "record/format.h"

/* What one device is limited to. */
struct vg_limit_rule {
    uint64_t bytes;   /* when `percent` is 0; 0 for both: no limit */
    unsigned percent; /* of the device's total, 1 to 100 */
};

/* The rules by the program's device ordinals. */
struct vg_limit_setting {
    bool set; /* there is a limit on some device */
    struct vg_limit_rule rules[VG_FILE_HOST];
};

/* Parses "8GiB" or "50%" (every device), "0:8GiB,1:50%" (those devices), "" (none) into `out`.
 * Returns 0, or -EINVAL with the reason in `why`; `out` is then untouched. */
int vg_limit_parse(const char *text, struct vg_limit_setting *out, char *why, size_t why_cap);

/* The same as a check of the option; for vg_option_set_check. */
int vg_limit_check(const char *text, char *why, size_t why_cap);

/* Bytes that `rule` leaves of a device of `total_bytes`; VG_BYTES_UNKNOWN for no limit, and for a
 * share of a device whose total is not known (VG_BYTES_UNKNOWN). */
uint64_t vg_limit_bytes(const struct vg_limit_rule *rule, uint64_t total_bytes);

#endif
