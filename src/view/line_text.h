/* Lines of a program and variables in it, in words. Pure, no malloc. */
#ifndef VRAMGUARD_VIEW_LINE_TEXT_H
#define VRAMGUARD_VIEW_LINE_TEXT_H

#include "analyze/census.h"
#include "analyze/run.h"
#include "base/text.h"

/* "net.py:11 Mix.forward"; without a line nothing. */
void vg_line_add(struct vg_text *out, const struct vg_run_line *line);

/* "load.py:9 load (main thread) > ": for the place of a failing call that has no line of the
 * program, where the program was meanwhile; nothing when that is not known. */
void vg_line_add_main(struct vg_text *out, const struct vg_run_failure *failure);

/* The site in a few words: "net.py:11 Mix.forward (torch.sigmoid)", or its label where the program
 * has no Python line there. */
void vg_line_add_site(struct vg_text *out, const struct vg_run_site *site);

/* "`history` (list of 70, in main at train.py:24)". */
void vg_line_add_variable(struct vg_text *out, const struct vg_census_variable *variable);

/* How the program names it: "history"; of a library's module with that: "sys.last_value". */
void vg_line_add_variable_path(struct vg_text *out, const struct vg_census_variable *variable);

/* "`history`": the variable alone. */
void vg_line_add_variable_name(struct vg_text *out, const struct vg_census_variable *variable);

#endif
