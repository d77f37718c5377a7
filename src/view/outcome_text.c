#include "view/outcome_text.h"

#include <string.h>

#include "base/amount.h"
#include "base/size.h"
#include "machine/machine.h"

static const struct outcome_row {
    uint16_t code;
    const char *json_name, *sentence;
} outcome_rows[] = {
#define VG_OUTCOME(number, name, json_name, sentence) { number, json_name, sentence },
#include "analyze/outcome_table.h"
#undef VG_OUTCOME
};

static const struct outcome_row *find_row(uint16_t code)
{
    for (size_t i = 0; i < sizeof outcome_rows / sizeof outcome_rows[0]; i++)
        if (outcome_rows[i].code == code)
            return &outcome_rows[i];
    return NULL;
}

const char *vg_outcome_json_name(uint16_t code)
{
    const struct outcome_row *const row = find_row(code);
    return row ? row->json_name : NULL;
}

static void add_process(struct vg_text *out, int32_t pid, const char *command)
{
    if (pid > 0)
        vg_text_addf(out, "pid %d", pid);
    else if (pid == VG_PROCESS_ELSEWHERE)
        vg_text_add(out, VG_MACHINE_ELSEWHERE);
    else
        vg_text_add(out, "another process");
    if (command[0])
        vg_text_addf(out, " (%s)", command);
}

static bool is_field(const char *field, size_t length, const char *name)
{
    return strlen(name) == length && memcmp(field, name, length) == 0;
}

/* Appends what stands for "{field}". */
static void add_field(struct vg_text *out, const char *field, size_t length,
                      const struct vg_outcome *outcome, const char *subject)
{
    char time[VG_DURATION_TEXT_CAP];
    if (is_field(field, length, "who"))
        add_process(out, outcome->pid, subject);
    else if (is_field(field, length, "bytes"))
        vg_text_addf(out, "%s", VG_AMOUNT(outcome->bytes));
    else if (is_field(field, length, "more"))
        vg_text_addf(out, "%s", VG_AMOUNT(outcome->more_bytes));
    else if (is_field(field, length, "time"))
        vg_text_add(out, vg_duration_format(time, outcome->ms));
    else if (is_field(field, length, "number"))
        vg_text_addf(out, "%d", outcome->number);
    else if (is_field(field, length, "text"))
        vg_text_add(out, subject);
}

void vg_outcome_text(struct vg_text *out, const struct vg_outcome *outcome, const char *subject)
{
    const struct outcome_row *const row = find_row(outcome->code);
    if (!row) {
        vg_text_addf(out, "outcome %u", outcome->code);
        return;
    }
    for (const char *p = row->sentence; *p;) {
        const size_t plain = strcspn(p, "{");
        vg_text_add_bytes(out, p, plain);
        p += plain;
        if (*p != '{')
            break;
        const size_t length = strcspn(p + 1, "}");
        add_field(out, p + 1, length, outcome, subject);
        p += length + 2;
    }
}

void vg_outcome_text_all(struct vg_text *out, const struct vg_oom_action *action)
{
    for (uint32_t i = 0; i < action->outcome_count && i < VG_ACTION_OUTCOMES; i++) {
        if (i > 0)
            vg_text_add(out, ", ");
        vg_outcome_text(out, &action->outcomes[i],
                        vg_outcome_subject(action, &action->outcomes[i]));
    }
}
