#include "view/line_text.h"

#include <string.h>

#include "analyze/label.h"

static const char *bare_name(const char *qualified)
{
    /* "main.<locals>.step": what stands in front says where it is defined, not what it is. */
    const char *const locals = strstr(qualified, "<locals>.");
    return locals ? locals + strlen("<locals>.") : qualified;
}

void vg_line_add(struct vg_text *out, const struct vg_run_line *line)
{
    if (!line->file[0])
        return;
    vg_text_addf(out, "%s:%u", line->file, line->line);
    if (line->function[0] && strcmp(line->function, "<module>") != 0)
        vg_text_addf(out, " %s", bare_name(line->function));
}

void vg_line_add_main(struct vg_text *out, const struct vg_run_failure *failure)
{
    if (failure->main_line.line == 0)
        return;
    vg_line_add(out, &failure->main_line);
    vg_text_add(out, " (main thread)" VG_LABEL_SEPARATOR);
}

void vg_line_add_site(struct vg_text *out, const struct vg_run_site *site)
{
    if (!site->own.file[0]) {
        vg_text_add(out, site->label[0] ? site->label : "(no stack was recorded)");
        return;
    }
    vg_line_add(out, &site->own);
    if (site->called[0])
        vg_text_addf(out, " (%s)", site->called);
}

void vg_line_add_variable_path(struct vg_text *out, const struct vg_census_variable *variable)
{
    if (variable->place == VG_CENSUS_LIBRARY && variable->function[0])
        vg_text_addf(out, "%s.", variable->function);
    vg_text_add(out, variable->path);
}

void vg_line_add_variable_name(struct vg_text *out, const struct vg_census_variable *variable)
{
    if (variable->place == VG_CENSUS_WORK || vg_census_is_handled(variable)) {
        vg_text_addf(out, "that %s", variable->type);
        return;
    }
    vg_text_add(out, "`");
    vg_line_add_variable_path(out, variable);
    vg_text_add(out, "`");
}

/* "train.py:8 evaluate" */
static void add_function(struct vg_text *out, const struct vg_census_variable *variable,
                         const char *file)
{
    vg_text_add(out, file);
    if (variable->line > 0)
        vg_text_addf(out, ":%d", variable->line);
    if (variable->function[0] && strcmp(variable->function, "<module>") != 0)
        vg_text_addf(out, " %s", bare_name(variable->function));
}

/* "the list of 237 that train.py:8 evaluate is working on" */
static void add_work(struct vg_text *out, const struct vg_census_variable *variable,
                     const char *file)
{
    vg_text_addf(out, "the %s", variable->type[0] ? variable->type : "object");
    if (variable->length >= 0)
        vg_text_addf(out, " of %lld", (long long)variable->length);
    vg_text_add(out, " that ");
    if (file[0])
        add_function(out, variable, file);
    else
        vg_text_add(out, "a function");
    vg_text_add(out, " is working on");
}

/* "the OutOfMemoryError that train.py:31 main is handling", with "in another thread" */
static void add_handled(struct vg_text *out, const struct vg_census_variable *variable,
                        const char *file)
{
    vg_text_addf(out, "the %s that ", variable->type[0] ? variable->type : "exception");
    if (file[0])
        add_function(out, variable, file);
    vg_text_add(out, file[0] ? " is handling" : "is being handled");
    if (variable->place == VG_CENSUS_HANDLED_ELSEWHERE)
        vg_text_add(out, " in another thread");
}

void vg_line_add_variable(struct vg_text *out, const struct vg_census_variable *variable)
{
    const char *const file = vg_text_base_name(variable->file);
    if (vg_census_is_handled(variable)) {
        add_handled(out, variable, file);
        return;
    }
    if (variable->place == VG_CENSUS_WORK) {
        add_work(out, variable, file);
        return;
    }
    vg_line_add_variable_name(out, variable);
    vg_text_addf(out, " (%s", variable->type[0] ? variable->type : "type unknown");
    if (variable->length >= 0)
        vg_text_addf(out, " of %lld", (long long)variable->length);
    if (variable->place == VG_CENSUS_LOCAL && file[0]) {
        vg_text_add(out, ", ");
        add_function(out, variable, file);
    } else if (file[0]) {
        vg_text_addf(out, ", global of %s", file);
    }
    vg_text_add(out, ")");
}
