#include "cli/json_run.h"

#include "base/version.h"
#include "cli/json_device.h"
#include "cli/json_failure.h"
#include "record/format.h"

json_t *vg_json_process(const struct vg_run_process *process)
{
    static const char *const states[] = { [VG_RUN_ALIVE] = "running",
                                          [VG_RUN_EXITED] = "exited",
                                          [VG_RUN_GONE] = "killed",
                                          [VG_RUN_ELSEWHERE] = "unknown" };
    const bool ended = process->state == VG_RUN_EXITED;
    json_t *const object = vg_json_object();
    vg_json_set_number(object, "pid", process->pid);
    vg_json_set_amount(object, "uid", process->uid);
    vg_json_set_text(object, "host", process->host);
    vg_json_set_text(object, "command", process->command);
    vg_json_set_text(object, "exe", process->exe);
    vg_json_set_amount(object, "start_ns", process->start_realtime_ns);
    vg_json_set_known(object, "end_ns", ended, (int64_t)process->end_realtime_ns);
    VG_JSON_SET_NAME(object, "state", states, process->state);
    vg_json_set_known(object, "exit_status", ended, process->exit_status);
    vg_json_set_known(object, "rank", process->rank >= 0, process->rank);
    vg_json_set_known(object, "world_size", process->world_size >= 0, process->world_size);
    return object;
}

static json_t *rescues_array(const struct vg_run *run)
{
    json_t *const array = vg_json_array();
    for (uint32_t i = 0; i < run->rescue_count; i++) {
        const struct vg_run_rescue *const rescue = &run->rescues[i];
        json_t *const object = vg_json_object();
        vg_json_set_known(object, "ordinal", rescue->device >= 0, rescue->device);
        vg_json_set_amount(object, "realtime_ns", rescue->realtime_ns);
        vg_json_set_amount(object, "duration_ns", rescue->duration_ns);
        vg_json_set_text(object, "api", rescue->api);
        vg_json_set_amount(object, "asked_bytes", rescue->asked_bytes);
        vg_json_set_text(object, "where", rescue->where);
        vg_json_set(object, "actions", vg_json_actions(rescue->actions, rescue->action_count));
        vg_json_append(array, object);
    }
    return array;
}

static json_t *mark_devices(const struct vg_run_mark *mark)
{
    json_t *const array = vg_json_array();
    for (uint32_t i = 0; i < mark->device_count; i++) {
        const struct vg_run_mark_device *const device = &mark->devices[i];
        json_t *const object = vg_json_object();
        vg_json_set_known(object, "ordinal", device->device != VG_FILE_HOST, device->device);
        vg_json_set_amount(object, "live_bytes", device->live_bytes);
        vg_json_set_amount(object, "peak_bytes", device->peak_bytes);
        vg_json_append(array, object);
    }
    return array;
}

static json_t *marks_array(const struct vg_run *run)
{
    json_t *const array = vg_json_array();
    for (uint32_t i = 0; i < run->mark_count; i++) {
        json_t *const object = vg_json_object();
        vg_json_set_text(object, "text", run->marks[i].text);
        vg_json_set_amount(object, "realtime_ns", run->marks[i].realtime_ns);
        vg_json_set_amount(object, "thread_id", run->marks[i].thread_id);
        vg_json_set(object, "devices", mark_devices(&run->marks[i]));
        vg_json_append(array, object);
    }
    return array;
}

json_t *vg_json_run(const struct vg_run *run, uint64_t failure_number)
{
    json_t *const object = vg_json_object();
    json_t *const devices = vg_json_array();
    json_t *const failures = vg_json_array();
    for (uint32_t i = 0; i < run->device_count; i++)
        vg_json_append(devices, vg_json_device(&run->devices[i]));
    for (uint32_t i = 0; i < run->failure_count; i++)
        if (failure_number == 0 || failure_number == i + 1)
            vg_json_append(failures, vg_json_failure(&run->failures[i]));
    vg_json_set_text(object, "vramguard", VG_VERSION_TEXT); /* who prints it */
    vg_json_set(object, "process", vg_json_process(&run->process));
    vg_json_set_text(object, "file", run->process.path);
    vg_json_set_flag(object, "incomplete", run->is_incomplete);
    vg_json_set(object, "devices", devices);
    vg_json_set_amount(object, "failure_total", run->failure_total);
    vg_json_set(object, "failures", failures);
    vg_json_set_amount(object, "rescue_total", run->rescue_total);
    vg_json_set(object, "rescues", rescues_array(run));
    vg_json_set_amount(object, "mark_total", run->mark_total);
    vg_json_set(object, "marks", marks_array(run));
    return object;
}
