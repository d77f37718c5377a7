/* Advice without what is done already. A row says all that helps as alternatives, one behind the
 * other, separated by "; " or ", or "; those that tell to set what is set are taken out here, of
 * every row. Pure, no malloc. */
#ifndef VRAMGUARD_VIEW_ADVICE_FILTER_H
#define VRAMGUARD_VIEW_ADVICE_FILTER_H

#include <stdbool.h>

#include "base/setting.h"
#include "view/advice.h"

enum { VG_SETTING_NAME_CAP = 64 };

/* A setting that a text tells to make: "NAME=VALUE", or "add VALUE to NAME". */
struct vg_advised_setting {
    char name[VG_SETTING_NAME_CAP];
    char value[VG_SETTING_VALUE_CAP];
};

/* Finds the next one at or behind `text`. Returns what follows it; NULL when there is none. */
const char *vg_advised_setting_next(const char *text, struct vg_advised_setting *out);

/* Appends the advice of `row` for `failure`: never empty, and nothing in it is set as it says
 * (setting_table.h). Of another process's settings ("there") nothing is known. */
void vg_advice_add(const struct vg_advice_row *row, const struct vg_run_failure *failure,
                   struct vg_text *out);

#endif
