/* For unit tests of the report's text: a report, and the report made of it. */
#ifndef VRAMGUARD_TEST_RENDER_FIXTURE_H
#define VRAMGUARD_TEST_RENDER_FIXTURE_H

#include "sample_failure.h"
#include "view/render.h"

static struct vg_run_failure s;
static char report[VG_REPORT_TEXT_CAP];

static const char *render(unsigned columns)
{
    struct vg_text text = vg_text_over(report, sizeof report);
    vg_report_render(&s, (struct vg_report_style){ .columns = columns, .is_live = true }, &text);
    assert_false(text.truncated);
    return report;
}

static void expect_line(const char *part)
{
    if (!strstr(report, part))
        fail_msg("no \"%s\" in:\n%s", part, report);
}

static void expect_no(const char *part)
{
    if (strstr(report, part))
        fail_msg("\"%s\" in:\n%s", part, report);
}

#endif
