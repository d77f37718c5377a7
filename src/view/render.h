/* The report as text: a report in, lines out. Pure functions without malloc, streams or locale;
 * the same code prints a report in the failing process and later from its recorder file. */
#ifndef VRAMGUARD_VIEW_RENDER_H
#define VRAMGUARD_VIEW_RENDER_H

#include <stdbool.h>

#include "analyze/run.h"
#include "base/text.h"

enum {
    VG_REPORT_COLUMNS = 80,     /* when the caller does not know better */
    VG_REPORT_TEXT_CAP = 16384, /* bytes that hold any report of at most 200 columns */
};

struct vg_report_style {
    unsigned columns; /* lines are at most that long; 0 means VG_REPORT_COLUMNS; used within 60 to
                         200 */
    bool is_live;     /* told by the process itself: says how to see the report again */
    bool color;       /* ANSI escape sequences: red headline, dim evidence */
};

/* Appends the whole report to `out`; its first line is the one of vg_report_render_first_line.
 * Every line ends with a newline. */
void vg_report_render(const struct vg_run_failure *report, struct vg_report_style style,
                      struct vg_text *out);

/* Appends the headline alone: "vramguard: GPU 0 out of memory: asked 2.00 GiB, free 1.50 GiB of
 * 11.17 GiB\n". Not wrapped, no colour. */
void vg_report_render_first_line(const struct vg_run_failure *report, struct vg_text *out);

/* The same of a rank of a distributed job, where the rank `teller` has told in full of a failure
 * with the same cause. */
void vg_report_render_rank_line(const struct vg_run_failure *report, int32_t teller,
                                struct vg_text *out);

/* What a failure that `refused_by` (enum vg_refusal) made is called: "out of memory", unless it is
 * known not to be. Static. */
const char *vg_report_kind(uint32_t refused_by);

/* Columns to use for a style. */
size_t vg_report_columns(struct vg_report_style style);

/* The headline with its colour and its newline; `why`, `do`; the largest sites of the driver's
 * allocations under their title; what was tried; the command that prints the recorded run again, if
 * it is recorded: what the first screen (first_screen.h) shares with the whole report. */
void vg_report_add_headline(struct vg_text *out, const struct vg_run_failure *failure,
                            struct vg_report_style style);
void vg_report_add_cause(struct vg_text *out, const struct vg_run_failure *failure, size_t columns);
void vg_report_add_sites(struct vg_text *out, const struct vg_run_failure *failure, size_t columns);
void vg_report_add_action(struct vg_text *out, const struct vg_oom_action *action, const char *key,
                          size_t indent, size_t columns);
void vg_report_add_command(struct vg_text *out, const struct vg_run_failure *failure,
                           const char *key, size_t indent, size_t columns);

/* A cut report must not leave the terminal in a colour or without a line end. */
void vg_report_end_text(struct vg_text *out, struct vg_report_style style);

/* Appends the part of the report about live allocations of a device: totals, largest sites, sizes,
 * kinds; and what was spilled to the host, where `host` is not NULL. `title` begins the first line,
 * which goes on "N live allocations, peak ...". */
void vg_report_render_live(const struct vg_run_device *device, const struct vg_run_host *host,
                           const char *title, struct vg_report_style style, struct vg_text *out);

#endif
