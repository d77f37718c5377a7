/* What is set of the variables in setting_table.h, as one printable text "NAME=VALUE|NAME=VALUE|".
 * Pure, no malloc, but for vg_setting_read. */
#ifndef VRAMGUARD_BASE_SETTING_H
#define VRAMGUARD_BASE_SETTING_H

#include <stdbool.h>
#include <stddef.h>

#include "base/text.h"

enum { VG_SETTINGS_CAP = 2048, VG_SETTING_VALUE_CAP = 512 };

struct vg_setting_row {
    const char *name;
    int rule; /* of setting.c */
    const char *moot_by, *moot_values;
};

/* The table's rows; `*out_count` of them. Static storage. */
const struct vg_setting_row *vg_setting_rows(size_t *out_count);

/* Appends what variable `name` is set to, made printable; nothing for an empty value, and none
 * for one that is too long. */
void vg_setting_add(struct vg_text *out, const char *name, const char *value);

/* Appends those that the environment has (secure_getenv), but for vramguard's own
 * options, whose values are not there alone. */
void vg_setting_read(struct vg_text *out);

/* Copies the value of `name` in `settings` to `out`, of VG_SETTING_VALUE_CAP bytes. Returns false,
 * and stores "", when it is not set. */
bool vg_setting_find(const char *settings, const char *name, char *out);

/* Would it bring nothing to set `name` to `value`, since it is set so in `settings`, or another
 * variable takes away its effect? false for a name that is not in the table. PyTorch's two
 * variables count as one. */
bool vg_setting_is_so(const char *settings, const char *name, const char *value);

#endif
