#include "analyze/outcome.h"

#include <stddef.h>
#include <string.h>

/* Copies `text` behind the others. Returns what `text_at` is to be. */
static uint16_t keep_text(struct vg_oom_action *to, const char *text)
{
    const uint32_t at = to->texts_used;
    if (!text || !text[0] || at + 2 > sizeof to->texts)
        return 0;
    size_t length = strlen(text);
    if (length > sizeof to->texts - at - 1)
        length = sizeof to->texts - at - 1;
    memcpy(to->texts + at, text, length);
    to->texts[at + length] = '\0';
    to->texts_used = at + (uint32_t)length + 1;
    return (uint16_t)(at + 1);
}

void vg_outcome_add(struct vg_oom_action *to, struct vg_outcome outcome, const char *text)
{
    if (to->outcome_count == VG_ACTION_OUTCOMES) {
        to->outcomes[VG_ACTION_OUTCOMES - 1] =
            (struct vg_outcome){ .code = VG_OUTCOME_MORE_NOT_SHOWN };
        return;
    }
    outcome.text_at = keep_text(to, text);
    to->outcomes[to->outcome_count++] = outcome;
}

const char *vg_outcome_subject(const struct vg_oom_action *action, const struct vg_outcome *outcome)
{
    return outcome->text_at > 0 && outcome->text_at <= sizeof action->texts
               ? action->texts + outcome->text_at - 1
               : "";
}

bool vg_outcome_is_among(const struct vg_oom_action *action, enum vg_outcome_code code)
{
    for (uint32_t i = 0; i < action->outcome_count && i < VG_ACTION_OUTCOMES; i++)
        if (action->outcomes[i].code == code)
            return true;
    return false;
}

/* Makes `texts` end in a NUL and safe for a terminal. */
static int repair_texts(struct vg_oom_action *action)
{
    int repairs = 0;
    if (action->texts[sizeof action->texts - 1] != '\0') {
        action->texts[sizeof action->texts - 1] = '\0';
        repairs++;
    }
    for (size_t i = 0; i < sizeof action->texts; i++) {
        const unsigned char c = (unsigned char)action->texts[i];
        if (c == 0 || (c >= 32 && c != 127))
            continue;
        action->texts[i] = '?';
        repairs++;
    }
    return repairs;
}

int vg_outcome_repair(struct vg_oom_action *action)
{
    int repairs = repair_texts(action);
    if (action->outcome_count > VG_ACTION_OUTCOMES) {
        action->outcome_count = VG_ACTION_OUTCOMES;
        repairs++;
    }
    for (uint32_t i = 0; i < action->outcome_count; i++)
        if (action->outcomes[i].text_at > sizeof action->texts) {
            action->outcomes[i].text_at = 0;
            repairs++;
        }
    return repairs;
}
