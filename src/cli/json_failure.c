#include "cli/json_failure.h"

#include "analyze/array_holder.h"
#include "analyze/frame.h"
#include "analyze/holder.h"
#include "base/text.h"
#include "cli/json_census.h"
#include "cli/json_device.h"
#include "view/advice.h"
#include "view/advice_filter.h"
#include "view/outcome_text.h"

/* ---- what was tried ---- */

static json_t *outcome_object(const struct vg_oom_action *action, const struct vg_outcome *outcome)
{
    char sentence[512];
    struct vg_text text = vg_text_over(sentence, sizeof sentence);
    const char *const subject = vg_outcome_subject(action, outcome);
    const char *const name = vg_outcome_json_name(outcome->code);
    json_t *const object = vg_json_object();
    vg_outcome_text(&text, outcome, subject);
    vg_json_set_text(object, "outcome", name ? name : "");
    vg_json_set_text(object, "text", sentence);
    return object;
}

json_t *vg_json_actions(const struct vg_oom_action *actions, uint32_t count)
{
    json_t *const array = vg_json_array();
    for (uint32_t i = 0; i < count; i++) {
        const struct vg_oom_action *const action = &actions[i];
        json_t *const object = vg_json_object();
        json_t *const outcomes = vg_json_array();
        for (uint32_t k = 0; k < action->outcome_count; k++)
            vg_json_append(outcomes, outcome_object(action, &action->outcomes[k]));
        vg_json_set_text(object, "action", action->name);
        vg_json_set_amount(object, "duration_ns", action->duration_ns);
        vg_json_set_amount(object, "recovered_bytes", action->recovered_bytes);
        vg_json_set(object, "outcomes", outcomes);
        vg_json_append(array, object);
    }
    return array;
}

/* ---- the call ---- */

static json_t *frame_object(const struct vg_run_frame *frame)
{
    json_t *const object = vg_json_object();
    vg_json_set_flag(object, "python", vg_frame_is_python(frame));
    vg_json_set_text(object, "function", frame->function);
    vg_json_set_text(object, "file", frame->file);
    vg_json_set_known(object, "line", frame->line > 0, frame->line);
    if (!vg_frame_is_python(frame)) {
        vg_json_set_text(object, "module", frame->module);
        vg_json_set_amount(object, "module_offset", frame->module_offset);
        vg_json_set_flag(object, "inlined", frame->flags & VG_FRAME_INLINED);
    }
    return object;
}

static json_t *stack_array(const struct vg_run_stack *stack)
{
    json_t *const array = vg_json_array();
    for (uint32_t i = 0; i < stack->frame_count; i++)
        vg_json_append(array, frame_object(&stack->frames[i]));
    return array;
}

/* The cause by its name, and both sentences of the report. */
static void set_cause(json_t *object, const struct vg_run_failure *failure)
{
    char sentence[VG_ADVICE_TEXT_CAP];
    const struct vg_advice_row *const row = vg_advice_find(failure);
    struct vg_text text = vg_text_over(sentence, sizeof sentence);
    vg_json_set_text(object, "cause", row->name);
    row->cause(failure, &text);
    vg_json_set_text(object, "why", sentence);
    text = vg_text_over(sentence, sizeof sentence);
    vg_advice_add(row, failure, &text);
    vg_json_set_text(object, "do", sentence);
}

static void set_call(json_t *object, const struct vg_run_failure *failure)
{
    static const char *const refusers[VG_REFUSED_COUNT] = { [VG_REFUSED_BY_DRIVER] = "driver",
                                                            [VG_REFUSED_BY_LIMIT] = "limit",
                                                            [VG_REFUSED_BY_INJECT] = "inject",
                                                            [VG_REFUSED_BY_PYTORCH] = "pytorch" };
    vg_json_set_amount(object, "number", failure->number);
    vg_json_set_amount(object, "realtime_ns", failure->realtime_ns);
    vg_json_set_text(object, "api", failure->api);
    vg_json_set_number(object, "error", failure->error);
    vg_json_set_amount(object, "asked_bytes", failure->asked_bytes);
    VG_JSON_SET_NAME(object, "refused_by", refusers, failure->refused_by);
    vg_json_set_flag(object, "survived", failure->survived);
    vg_json_set_amount(object, "thread_id", failure->thread_id);
    vg_json_set_text(object, "thread_name", failure->thread_name);
    vg_json_set_text(object, "where", failure->where);
    vg_json_set(object, "line", vg_json_line(&failure->own));
    vg_json_set(object, "stack", stack_array(&failure->stack));
}

/* ---- what was held ---- */

/* PyTorch's own numbers; JSON's null where its allocator is not loaded or tells nothing. */
static json_t *torch_object(const struct vg_run_torch *torch)
{
    if (!torch->loaded || !torch->tells_blocks)
        return json_null();
    json_t *const object = vg_json_object();
    vg_json_set_amount(object, "allocated_bytes", torch->allocated_bytes);
    vg_json_set_amount(object, "reserved_bytes", torch->reserved_bytes);
    vg_json_set_amount(object, "unused_bytes", torch->unused_bytes);
    vg_json_set_amount(object, "block_count", torch->block_count);
    vg_json_set_amount(object, "largest_hole_bytes", torch->largest_hole_bytes);
    vg_json_set_amount(object, "empty_bytes", torch->empty_bytes);
    vg_json_set_amount(object, "fraction_bytes", torch->fraction_bytes);
    vg_json_set_text(object, "settings", torch->settings);
    return object;
}

static json_t *host_object(const struct vg_run_host *host)
{
    json_t *const object = vg_json_object();
    vg_json_set_amount(object, "total_bytes", host->total_bytes);
    vg_json_set_amount(object, "available_bytes", host->available_bytes);
    vg_json_set_amount(object, "cgroup_limit_bytes", host->cgroup_limit_bytes);
    vg_json_set_amount(object, "cgroup_used_bytes", host->cgroup_used_bytes);
    vg_json_set_amount(object, "pinned_bytes", host->pinned_bytes);
    vg_json_set_amount(object, "spilled_bytes", host->spilled_bytes);
    return object;
}

json_t *vg_json_failure(const struct vg_run_failure *failure)
{
    json_t *const object = vg_json_object();
    json_t *const other_gpus = vg_json_array();
    for (uint32_t i = 0; i < failure->other_gpu_count; i++)
        vg_json_append(other_gpus, vg_json_gpu(&failure->other_gpus[i]));
    set_call(object, failure);
    set_cause(object, failure);
    vg_json_set(object, "actions", vg_json_actions(failure->actions, failure->action_count));
    vg_json_set(object, "device", vg_json_device(&failure->device));
    vg_json_set(object, "other_gpus", other_gpus);
    vg_json_set(object, "torch", torch_object(&failure->torch));
    vg_json_set(object, "census", vg_json_census(vg_holder_census(failure), failure->census_lines));
    vg_json_set(object, "arrays", vg_json_array_census(vg_array_holder_census(failure)));
    vg_json_set(object, "host", host_object(&failure->host));
    vg_json_set_text(object, "driver_version", failure->driver_version);
    vg_json_set_known(object, "cuda_version", failure->cuda_version > 0, failure->cuda_version);
    return object;
}
