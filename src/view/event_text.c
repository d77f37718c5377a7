#include "view/event_text.h"

#include "analyze/outcome.h"
#include "base/amount.h"
#include "record/format.h"
#include "view/outcome_text.h"

void vg_event_add_rescue(struct vg_text *out, const struct vg_run_rescue *rescue)
{
    if (vg_amount_known(rescue->asked_bytes))
        vg_text_addf(out, "%s", VG_AMOUNT(rescue->asked_bytes));
    else
        vg_text_add(out, rescue->api);
    if (rescue->device >= 0)
        vg_text_addf(out, " on GPU %d", rescue->device);
    vg_text_add(out, " after ");
    vg_amount_add_duration(out, rescue->duration_ns);
    for (uint32_t i = 0; i < rescue->action_count; i++) {
        const struct vg_oom_action *const action = &rescue->actions[i];
        vg_text_addf(out, "; %s: ", action->name);
        vg_outcome_text_all(out, action);
        if (vg_amount_known(action->recovered_bytes) && action->recovered_bytes > 0)
            vg_text_addf(out, ", +%s", VG_AMOUNT(action->recovered_bytes));
    }
}

void vg_event_add_mark(struct vg_text *out, const struct vg_run_mark *mark)
{
    vg_text_add(out, mark->text);
    for (uint32_t i = 0; i < mark->device_count; i++) {
        const struct vg_run_mark_device *const device = &mark->devices[i];
        vg_text_addf(out, "%s%s live ", i == 0 ? ": " : "; ", VG_AMOUNT(device->live_bytes));
        if (device->device == VG_FILE_HOST)
            vg_text_add(out, "of pinned host memory");
        else
            vg_text_addf(out, "on GPU %u", device->device);
        vg_text_addf(out, ", peak %s", VG_AMOUNT(device->peak_bytes));
    }
}
