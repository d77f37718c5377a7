/* A recorded run as text, on standard output: how it ended, why memory ran out, what was tried, and
 * what it held. One thread. */
#ifndef VRAMGUARD_CLI_REPORT_TEXT_H
#define VRAMGUARD_CLI_REPORT_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/run_view.h"
#include "view/render.h"

/* What of it is wanted. */
struct vg_report_choice {
    uint64_t failure; /* the one to print in full, from 1; 0 for the last */
    bool all;         /* all of them in full */
    bool all_frames;  /* the interpreter's own, too */
    struct vg_report_style style;
};

/* Prints the run. The wanted failure is one that it has. */
void vg_report_text_print(const struct vg_report_choice *choice, const struct vg_run_view *view);

#endif
