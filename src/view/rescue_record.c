#include "view/rescue_record.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "analyze/validate.h"
#include "base/amount.h"
#include "base/clock.h"
#include "view/outcome_text.h"

void vg_rescue_record_append(const struct vg_failure *failure)
{
    struct vg_recorder *const recorder = failure->tables.recorder;
    if (atomic_fetch_add(&recorder->header->rescue_count, 1) >= VG_RESCUE_RECORDS_MAX)
        return;
    struct vg_rescue_record record = {
        .version = VG_RESCUE_RECORD_VERSION,
        .device = failure->device,
        .realtime_ns = vg_clock_ns(CLOCK_REALTIME),
        .asked_bytes = failure->asked_bytes,
        .stack_id = failure->stack_id,
        .action_count = failure->action_count,
    };
    snprintf(record.api, sizeof record.api, "%s", failure->api);
    memcpy(record.actions, failure->actions, sizeof record.actions);
    for (uint32_t i = 0; i < failure->action_count; i++)
        record.duration_ns += failure->actions[i].duration_ns;
    vg_recorder_append(recorder, VG_JOURNAL_RESCUE, &record, sizeof record, NULL);
}

int vg_rescue_record_read(const void *bytes, uint32_t size_bytes, struct vg_rescue_record *out)
{
    if (size_bytes != sizeof *out)
        return -EBADMSG;
    memcpy(out, bytes, sizeof *out);
    if (out->version != VG_RESCUE_RECORD_VERSION || out->action_count > VG_OOM_ACTIONS)
        return -EBADMSG;
    vg_text_repair(out->api, sizeof out->api);
    for (uint32_t i = 0; i < out->action_count; i++) {
        vg_text_repair(out->actions[i].name, sizeof out->actions[i].name);
        vg_outcome_repair(&out->actions[i]);
    }
    return 0;
}

void vg_rescue_record_render(const struct vg_rescue_record *record, struct vg_text *out)
{
    if (vg_amount_known(record->asked_bytes))
        vg_text_addf(out, "%s", VG_AMOUNT(record->asked_bytes));
    else
        vg_text_add(out, record->api);
    if (record->device >= 0)
        vg_text_addf(out, " on GPU %d", record->device);
    vg_text_add(out, " after ");
    vg_amount_add_duration(out, record->duration_ns);
    for (uint32_t i = 0; i < record->action_count; i++) {
        const struct vg_oom_action *const action = &record->actions[i];
        vg_text_addf(out, "; %s: ", action->name);
        vg_outcome_text_all(out, action);
        if (vg_amount_known(action->recovered_bytes) && action->recovered_bytes > 0)
            vg_text_addf(out, ", +%s", VG_AMOUNT(action->recovered_bytes));
    }
}
