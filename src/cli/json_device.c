#include "cli/json_device.h"

#include "machine/machine.h"
#include "record/kind.h"

json_t *vg_json_line(const struct vg_run_line *line)
{
    if (!line->path[0])
        return json_null();
    json_t *const object = vg_json_object();
    vg_json_set_text(object, "path", line->path);
    vg_json_set_amount(object, "line", line->line);
    vg_json_set_text(object, "function", line->function);
    vg_json_set_text(object, "text", line->text);
    return object;
}

json_t *vg_json_gpu(const struct vg_run_gpu *gpu)
{
    json_t *const object = vg_json_object();
    vg_json_set_known(object, "ordinal", gpu->ordinal >= 0, gpu->ordinal);
    vg_json_set_text(object, "name", gpu->name);
    vg_json_set_text(object, "uuid", gpu->uuid);
    vg_json_set_text(object, "pci_bus_id", gpu->pci_bus_id);
    vg_json_set_amount(object, "total_bytes", gpu->total_bytes);
    vg_json_set_amount(object, "free_bytes", gpu->free_bytes);
    return object;
}

/* ---- sites ---- */

static void set_growth(json_t *object, const struct vg_run_growth *growth)
{
    static const char *const names[] = {
        [VG_GROWTH_NONE] = "none", [VG_GROWTH_STEADY] = "steady", [VG_GROWTH_STOPPED] = "stopped"
    };
    VG_JSON_SET_NAME(object, "growth", names, growth->kind);
    if (growth->kind != VG_GROWTH_STEADY && growth->kind != VG_GROWTH_STOPPED)
        return;
    vg_json_set_amount(object, "growth_kept_count", growth->kept_count);
    vg_json_set_amount(object, "growth_kept_bytes", growth->kept_bytes);
    vg_json_set_amount(object, "growth_since_ns", growth->since_ns);
}

static json_t *site_object(const struct vg_run_site *site)
{
    static const char *const owners[] = {
        [VG_OWNER_PYTORCH] = "pytorch", [VG_OWNER_OTHER] = "other"
    };
    json_t *const object = vg_json_object();
    vg_json_set_text(object, "label", site->is_labelled ? site->label : "");
    vg_json_set_amount(object, "live_bytes", site->live_bytes);
    vg_json_set_amount(object, "live_count", site->live_count);
    vg_json_set_amount(object, "allocation_count", site->allocation_count);
    vg_json_set_amount(object, "free_count", site->free_count);
    vg_json_set_amount(object, "peak_bytes", site->peak_bytes);
    vg_json_set_amount(object, "peak_count", site->peak_count);
    vg_json_set_amount(object, "oldest_ns", site->oldest_ns);
    vg_json_set_amount(object, "newest_ns", site->newest_ns);
    set_growth(object, &site->growth);
    VG_JSON_SET_NAME(object, "owner", owners, site->owner);
    vg_json_set(object, "line", vg_json_line(&site->own));
    vg_json_set(object, "caller", vg_json_line(&site->caller));
    vg_json_set_text(object, "called", site->called);
    return object;
}

/* JSON's null where the level was not recorded. */
static json_t *sites_object(const struct vg_run_sites *sites)
{
    if (!sites->is_known)
        return json_null();
    json_t *const object = vg_json_object();
    json_t *const entries = vg_json_array();
    for (uint32_t i = 0; i < sites->count; i++)
        vg_json_append(entries, site_object(&sites->entries[i]));
    vg_json_set(object, "sites", entries);
    vg_json_set_amount(object, "rest_bytes", sites->rest_bytes);
    vg_json_set_amount(object, "rest_count", sites->rest_count);
    return object;
}

/* ---- the device ---- */

static json_t *kinds_array(const struct vg_run_device *device)
{
    json_t *const array = vg_json_array();
    for (uint32_t i = 0; i < device->kind_count; i++) {
        json_t *const object = vg_json_object();
        vg_json_set_text(object, "kind", vg_kind_text(device->kinds[i].kind));
        vg_json_set_amount(object, "bytes", device->kinds[i].bytes);
        vg_json_set_amount(object, "count", device->kinds[i].count);
        vg_json_append(array, object);
    }
    return array;
}

static json_t *process_object(const struct vg_run_other *process)
{
    json_t *const object = vg_json_object();
    vg_json_set_known(object, "pid", process->pid > 0, process->pid);
    vg_json_set_text(object, "command", process->command);
    vg_json_set_text(object, "user", process->user);
    vg_json_set_text(object, "job", process->job);
    vg_json_set_text(object, "container", process->container);
    vg_json_set_known(object, "rank", process->rank >= 0, process->rank);
    vg_json_set_amount(object, "bytes", process->bytes);
    vg_json_set_amount(object, "idle_bytes", process->idle_bytes);
    vg_json_set_flag(object, "guarded", process->flags & VG_PROCESS_GUARDED);
    vg_json_set_flag(object, "waiting", process->flags & VG_PROCESS_WAITING);
    vg_json_set_flag(object, "visible", !(process->flags & VG_PROCESS_INVISIBLE));
    return object;
}

static json_t *processes_array(const struct vg_run_device *device)
{
    json_t *const array = vg_json_array();
    for (uint32_t i = 0; i < device->process_count; i++)
        vg_json_append(array, process_object(&device->processes[i]));
    return array;
}

json_t *vg_json_device(const struct vg_run_device *device)
{
    json_t *const object = vg_json_object();
    vg_json_set(object, "gpu", device->is_host ? json_null() : vg_json_gpu(&device->gpu));
    vg_json_set_amount(object, "live_bytes", device->live_bytes);
    vg_json_set_amount(object, "live_count", device->live_count);
    vg_json_set_amount(object, "peak_bytes", device->peak_bytes);
    vg_json_set_amount(object, "peak_realtime_ns", device->peak_realtime_ns);
    vg_json_set_amount(object, "failed_count", device->failed_count);
    vg_json_set(object, "kinds", kinds_array(device));
    vg_json_set(object, "allocations", sites_object(&device->sites[VG_LEVEL_ALLOCATIONS]));
    vg_json_set(object, "blocks", sites_object(&device->sites[VG_LEVEL_BLOCKS]));
    vg_json_set_amount(object, "pool_reserved_bytes", device->pool_reserved_bytes);
    vg_json_set_amount(object, "pool_used_bytes", device->pool_used_bytes);
    vg_json_set_amount(object, "graph_reserved_bytes", device->graph_reserved_bytes);
    vg_json_set_amount(object, "graph_used_bytes", device->graph_used_bytes);
    if (device->limit_bytes > 0) {
        vg_json_set_amount(object, "limit_bytes", device->limit_bytes);
        vg_json_set_amount(object, "limit_left_bytes", device->limit_left_bytes);
        vg_json_set_flag(object, "limit_shared", device->limit_shared);
    }
    vg_json_set_flag(object, "others_known", device->others_known);
    vg_json_set_amount(object, "self_bytes", device->self_bytes);
    vg_json_set_amount(object, "others_bytes", device->others_bytes);
    vg_json_set(object, "processes", processes_array(device));
    return object;
}
