#include "view/advice_filter.h"

#include <string.h>

#include "analyze/torch_facts.h"
#include "view/framework.h"

static bool is_of_name(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* Up to a blank or the end of a clause; a comma in front of these is none of the value. */
static size_t value_length(const char *text)
{
    size_t length = strcspn(text, " ;)");
    while (length > 0 && text[length - 1] == ',')
        length--;
    return length;
}

static bool copy_part(char *out, size_t cap, const char *from, size_t length)
{
    if (length == 0 || length >= cap)
        return false;
    memcpy(out, from, length);
    out[length] = '\0';
    return true;
}

/* "add VALUE to NAME" at `text`. Returns its end, NULL when it is none. */
static const char *read_addition(const char *text, struct vg_advised_setting *out)
{
    static const char add[] = "add ", to[] = " to ";
    if (strncmp(text, add, sizeof add - 1) != 0)
        return NULL;
    const char *const value = text + sizeof add - 1;
    const size_t value_bytes = strcspn(value, " ");
    const char *const name = value + value_bytes + sizeof to - 1;
    if (strncmp(value + value_bytes, to, sizeof to - 1) != 0)
        return NULL;
    size_t name_bytes = 0;
    while (is_of_name(name[name_bytes]))
        name_bytes++;
    return copy_part(out->name, sizeof out->name, name, name_bytes) &&
                   copy_part(out->value, sizeof out->value, value, value_bytes)
               ? name + name_bytes
               : NULL;
}

/* "NAME=VALUE", where '=' is at `equals` in a text that begins at `begin`. */
static const char *read_assignment(const char *begin, const char *equals,
                                   struct vg_advised_setting *out)
{
    const char *name = equals;
    while (name > begin && is_of_name(name[-1]))
        name--;
    const size_t value_bytes = value_length(equals + 1);
    /* Arguments of functions and the like have no '_' in capitals before their '='. */
    if (!memchr(name, '_', (size_t)(equals - name)) ||
        !copy_part(out->name, sizeof out->name, name, (size_t)(equals - name)) ||
        !copy_part(out->value, sizeof out->value, equals + 1, value_bytes))
        return NULL;
    return equals + 1 + value_bytes;
}

const char *vg_advised_setting_next(const char *text, struct vg_advised_setting *out)
{
    for (const char *at = text; *at; at++) {
        const char *const end = *at == 'a'   ? read_addition(at, out)
                                : *at == '=' ? read_assignment(text, at, out)
                                             : NULL;
        if (end)
            return end;
    }
    return NULL;
}

/* Does the clause tell to set something, and is all of that set? */
static bool is_done(const char *clause, const char *settings)
{
    struct vg_advised_setting setting;
    bool any = false;
    if (strstr(clause, " there "))
        return false;
    for (const char *at = clause; (at = vg_advised_setting_next(at, &setting)) != NULL;) {
        any = true;
        if (!vg_setting_is_so(settings, setting.name, setting.value))
            return false;
    }
    return any;
}

/* The length of the clause at `text`, and of the separator behind it. In parentheses there are no
 * separators. */
static size_t clause_length(const char *text, size_t *out_separator)
{
    int depth = 0;
    *out_separator = 0;
    size_t i = 0;
    for (; text[i]; i++) {
        depth += (text[i] == '(') - (text[i] == ')');
        if (depth == 0 && vg_text_starts_with(text + i, "; "))
            *out_separator = 2;
        else if (depth == 0 && vg_text_starts_with(text + i, ", or "))
            *out_separator = 5;
        if (*out_separator)
            break;
    }
    return i;
}

/* For a failure of which all that its row knows is done. */
static void add_rest(const struct vg_run_failure *failure, struct vg_text *out)
{
    if (vg_framework_of_call(failure))
        vg_text_add(out, "hold less at a time: fewer or smaller arrays");
    else if (vg_torch_is_used(failure))
        vg_text_add(out, "keep less on the GPU: the lines below hold most");
    else
        vg_text_add(out, "allocate less or free earlier; the largest holders are listed below");
}

/* The separator that stood before the first clause that stays goes with the clause before it; of
 * those that begin with "or" so does that word. */
static void add_clause(struct vg_text *out, bool first, const char *separator,
                       size_t separator_bytes, const char *clause)
{
    if (first)
        vg_text_add(out, vg_text_starts_with(clause, "or ") ? clause + 3 : clause);
    else
        vg_text_addf(out, "%.*s%s", (int)separator_bytes, separator, clause);
}

void vg_advice_add(const struct vg_advice_row *row, const struct vg_run_failure *failure,
                   struct vg_text *out)
{
    char data[VG_ADVICE_TEXT_CAP], clause[VG_ADVICE_TEXT_CAP];
    struct vg_text text = vg_text_over(data, sizeof data);
    const char *separator = "";
    size_t before = 0, behind;
    bool any = false;
    row->advice(failure, &text);
    for (const char *at = data; *at; at = separator + behind, before = behind) {
        const size_t length = clause_length(at, &behind);
        const char *const stood = separator;
        memcpy(clause, at, length);
        clause[length] = '\0';
        if (!is_done(clause, failure->settings)) {
            add_clause(out, !any, stood, before, clause);
            any = true;
        }
        separator = at + length;
    }
    if (!any)
        add_rest(failure, out);
}
