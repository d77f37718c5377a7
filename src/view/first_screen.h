/* The report on standard error: the answer first, in the reader's own words (file, line, variable,
 * command), then one or two tables; everything else stands in `vramguard report`. Pure, no malloc.
 */
#ifndef VRAMGUARD_VIEW_FIRST_SCREEN_H
#define VRAMGUARD_VIEW_FIRST_SCREEN_H

#include "analyze/run.h"
#include "base/text.h"
#include "view/render.h"

/* Appends the report of `failure`. Its first line is the one of vg_report_render_first_line; the
 * lines before the tables are 14 at the most, at 80 columns. Every line ends with a newline. */
void vg_first_screen_render(const struct vg_run_failure *failure, struct vg_report_style style,
                            struct vg_text *out);

#endif
