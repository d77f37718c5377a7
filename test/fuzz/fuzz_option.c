/* Texts of the environment: the first byte chooses the option, the rest is its value. Every parser
 * also gets it. */
#include <string.h>

#include "base/option.h"
#include "base/size.h"
#include "fuzz.h"
#include "limit/inject.h"
#include "oom/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct vg_option_value value;
    struct vg_policy policy;
    struct vg_inject inject;
    char text[4096], why[160];
    size_t rows;
    const struct vg_option_row *const options = vg_option_rows(&rows);
    if (size == 0)
        return 0;
    const size_t length = size - 1 < sizeof text - 1 ? size - 1 : sizeof text - 1;
    memcpy(text, data + 1, length);
    text[length] = '\0';

    const struct vg_option_row *const row = &options[data[0] % rows];
    memset(&value, 'x', sizeof value);
    const int result = vg_option_parse(row, text, &value, why, sizeof why);
    if (result == 0)
        MUST_HOLD(memchr(value.text, '\0', sizeof value.text));
    else
        MUST_HOLD(memchr(why, '\0', sizeof why) && value.text[0] == 'x');
    if (result == 0 && row->type == VG_OPTION_COUNT_TYPE)
        MUST_HOLD(value.number >= row->minimum && value.number <= row->maximum);

    if (vg_policy_parse(text, &policy, why, sizeof why) == 0)
        MUST_HOLD(policy.count <= VG_POLICY_STEPS_MAX);
    if (vg_inject_parse(text, &inject, why, sizeof why) == 0)
        MUST_HOLD(inject.count <= VG_INJECT_RULES_MAX);

    uint64_t bytes, ms;
    unsigned percent;
    char again[VG_SIZE_TEXT_CAP];
    if (vg_size_parse(text, &bytes) == 0)
        MUST_HOLD(strlen(vg_size_format(again, bytes)) < sizeof again);
    if (vg_percent_parse(text, &percent) == 0)
        MUST_HOLD(percent <= 100);
    vg_duration_parse(text, &ms);
    return 0;
}
