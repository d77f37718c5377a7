#include "analyze/collect.h"

#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "analyze/account.h"
#include "analyze/checkpoint.h"
#include "analyze/collect_own.h"
#include "analyze/torch_facts.h"
#include "base/amount.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/size.h"
#include "base/text.h"
#include "driver/driver.h"
#include "machine/machine.h"
#include "os/maps.h"
#include "os/process.h"

static void collect_call(const struct vg_failure *failure, struct vg_oom_report *out)
{
    memset(out, 0, sizeof *out);
    out->version = VG_OOM_VERSION;
    out->size_bytes = sizeof *out;
    out->pid = (int32_t)getpid();
    out->uid = (uint32_t)getuid();
    out->realtime_ns = failure->realtime_ns ? failure->realtime_ns : vg_clock_ns(CLOCK_REALTIME);
    snprintf(out->api, sizeof out->api, "%s", failure->api);
    out->error = failure->error;
    out->thread_id = failure->thread_id;
    out->asked_bytes = failure->asked_bytes;
    out->failure_number = failure->failure_number;
    out->refused_by = (uint32_t)failure->refused_by;
    out->injected_number = failure->injected_number;
    snprintf(out->injected_rule, sizeof out->injected_rule, "%s",
             failure->injected_rule ? failure->injected_rule : "");
    out->limit_bytes = failure->limit_bytes;
    out->limit_left_bytes = failure->limit_left_bytes;
    out->limit_shared = failure->limit_shared;
    memcpy(out->actions, failure->actions, sizeof out->actions);
    out->action_count = failure->action_count;
    out->self_bytes = out->others_bytes = VG_BYTES_UNKNOWN;
    out->host_total_bytes = out->host_available_bytes = VG_BYTES_UNKNOWN;
    out->cgroup_limit_bytes = out->cgroup_used_bytes = VG_BYTES_UNKNOWN;
}

/* Total and free as the driver tells the program; needs no name or UUID. */
static void collect_device_memory(const struct vg_failure *failure, struct vg_oom_report *out)
{
    size_t free_bytes, total_bytes;
    out->device.ordinal = failure->device;
    out->device.total_bytes = out->device.free_bytes = VG_BYTES_UNKNOWN;
    if (failure->realtime_ns) {
        out->device.total_bytes = failure->total_bytes;
        out->device.free_bytes = failure->free_bytes;
    } else if (failure->device >= 0 && vg_driver.cuMemGetInfo_v2 &&
               vg_driver.cuMemGetInfo_v2(&free_bytes, &total_bytes) == CUDA_SUCCESS) {
        out->device.total_bytes = total_bytes;
        out->device.free_bytes = free_bytes;
    }
}

static void collect_process(struct vg_oom_report *out)
{
    char name[17] = "";
    vg_process_command(0, out->command, sizeof out->command);
    gethostname(out->host, sizeof out->host - 1);
    prctl(PR_GET_NAME, name);
    vg_text_sanitize(out->thread_name, sizeof out->thread_name, name, strlen(name));
    vg_process_host_memory(&out->host_total_bytes, &out->host_available_bytes);
    vg_process_cgroup_memory(&out->cgroup_limit_bytes, &out->cgroup_used_bytes);
}

static void collect_device(const struct vg_failure *failure, struct vg_oom_report *out)
{
    char text[96] = "";
    collect_device_memory(failure, out);
    if (vg_driver.cuDriverGetVersion && vg_driver.cuDriverGetVersion(&out->cuda_version) != 0)
        out->cuda_version = 0;
    if (failure->device < 0)
        return;
    if (vg_driver.cuDeviceGetName &&
        vg_driver.cuDeviceGetName(text, sizeof text, failure->device) == CUDA_SUCCESS)
        vg_text_sanitize(out->device.name, sizeof out->device.name, text, strlen(text));
    vg_driver_device_uuid(failure->device, out->device.uuid, sizeof out->device.uuid);
    if (vg_driver.cuDeviceGetPCIBusId)
        vg_driver.cuDeviceGetPCIBusId(out->device.pci_bus_id, sizeof out->device.pci_bus_id,
                                      failure->device);
}

size_t vg_collect_pools(struct vg_pools *made, int device, CUmemoryPool *out)
{
    uint64_t handles[VG_POOLS_MAX];
    size_t used = 0;
    const size_t count = vg_pools_on_device(made, device, handles, VG_POOLS_MAX);
    if (vg_driver.cuDeviceGetDefaultMemPool &&
        vg_driver.cuDeviceGetDefaultMemPool(&out[used], device) == CUDA_SUCCESS)
        used++;
    for (size_t i = 0; i < count; i++)
        out[used++] = (CUmemoryPool)(uintptr_t)handles[i];
    return used;
}

/* What pools and graphs keep. These calls neither allocate nor synchronise. */
static void collect_reserves(const struct vg_failure *failure, struct vg_oom_report *out)
{
    CUmemoryPool pools[VG_COLLECT_POOLS_MAX];
    if (failure->device < 0)
        return;
    const size_t count = vg_collect_pools(failure->tables.pools, failure->device, pools);
    for (size_t i = 0; i < count; i++) {
        out->pool_reserved_bytes +=
            vg_driver_pool_value(pools[i], CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT);
        out->pool_used_bytes += vg_driver_pool_value(pools[i], CU_MEMPOOL_ATTR_USED_MEM_CURRENT);
    }
    if (!vg_driver.cuDeviceGetGraphMemAttribute)
        return;
    vg_driver.cuDeviceGetGraphMemAttribute(failure->device, CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT,
                                           &out->graph_reserved_bytes);
    vg_driver.cuDeviceGetGraphMemAttribute(failure->device, CU_GRAPH_MEM_ATTR_USED_MEM_CURRENT,
                                           &out->graph_used_bytes);
}

/* Those of the machine's list that fit, which is sorted. */
static void take_processes(const struct vg_machine_gpu *gpu, struct vg_oom_report *out)
{
    if (!gpu->known)
        return;
    out->self_bytes = gpu->self_bytes;
    out->others_bytes = gpu->others_bytes;
    for (size_t i = 0; i < gpu->process_count; i++) {
        const struct vg_machine_process *const seen = &gpu->processes[i];
        if (seen->bytes == 0)
            continue; /* it has no memory of this GPU yet */
        if (seen->bytes == VG_BYTES_UNKNOWN)
            out->others_bytes = VG_BYTES_UNKNOWN;
        if (out->process_count == VG_OOM_PROCESSES) {
            out->other_process_count++;
            continue;
        }
        out->processes[out->process_count++] = (struct vg_oom_process){
            .pid = seen->pid,
            .uid = seen->uid,
            .flags = seen->flags,
            .rank = seen->rank,
            .bytes = seen->bytes,
            .idle_bytes = seen->idle_bytes,
            .unchanged_ns = seen->unchanged_ns ? gpu->taken_ns - seen->unchanged_ns : 0,
        };
    }
}

/* Without CUDA's view of the device (no context yet), NVML's stands in. */
static void use_nvml_device(const struct vg_machine_gpu *device, struct vg_oom_report *out)
{
    if (out->device.total_bytes == VG_BYTES_UNKNOWN) {
        out->device.total_bytes = device->total_bytes;
        out->device.free_bytes = device->free_bytes;
    }
    if (!out->device.name[0])
        snprintf(out->device.name, sizeof out->device.name, "%s", device->name);
}

static void collect_other_device(const struct vg_machine_gpu *device, struct vg_oom_report *out)
{
    if (out->device_count == VG_OOM_DEVICES)
        return;
    struct vg_oom_device *const other = &out->devices[out->device_count++];
    *other = (struct vg_oom_device){ .ordinal = -1,
                                     .total_bytes = device->total_bytes,
                                     .free_bytes = device->free_bytes };
    snprintf(other->name, sizeof other->name, "%s", device->name);
    snprintf(other->uuid, sizeof other->uuid, "%.*s", (int)sizeof other->uuid - 1, device->uuid);
    snprintf(other->pci_bus_id, sizeof other->pci_bus_id, "%.*s", (int)sizeof other->pci_bus_id - 1,
             device->pci_bus_id);
}

/* The program's own numbers of the other devices; asking for them creates no context. */
static void number_other_devices(struct vg_oom_report *out)
{
    int count = 0;
    char uuid[48];
    if (!vg_driver.cuDeviceGetCount || vg_driver.cuDeviceGetCount(&count) != CUDA_SUCCESS)
        return;
    for (int ordinal = 0; ordinal < count; ordinal++) {
        vg_driver_device_uuid(ordinal, uuid, sizeof uuid);
        for (uint32_t i = 0; i < out->device_count; i++)
            if (uuid[0] && strcmp(out->devices[i].uuid, uuid) == 0)
                out->devices[i].ordinal = ordinal;
    }
}

static struct vg_registry_file *registry_file(const struct vg_failure *failure)
{
    return failure->device >= 0
               ? failure->tables.registrations[failure->device % VG_FILE_DEVICES].file
               : NULL;
}

static void ask_machine(const struct vg_failure *failure, struct vg_oom_report *out)
{
    struct vg_region region = vg_region_over(NULL, 0);
    struct vg_machine machine;
    const struct vg_machine_question question = {
        .uuid = out->device.uuid,
        .pci_bus_id = out->device.pci_bus_id,
        .file = registry_file(failure),
        .details = VG_MACHINE_RELATIONS,
        .has_context = out->live_bytes > 0,
    };
    vg_machine_measure(&question, &region, &machine);
    if (!machine.known)
        vg_warn_once(VG_FAULT_NVML, "cannot use NVML (%s): what other processes hold is unknown",
                     machine.why);
    snprintf(out->driver_version, sizeof out->driver_version, "%s", machine.driver_version);
    if (machine.asked && (machine.asked->uuid[0] || machine.asked->known)) {
        out->nvml_available = 1;
        use_nvml_device(machine.asked, out);
        take_processes(machine.asked, out);
    }
    /* Beside a MIG instance its whole GPU would be listed as another device. */
    for (size_t i = 0; !machine.is_instance && i < machine.gpu_count; i++)
        if (&machine.gpus[i] != machine.asked && machine.gpus[i].uuid[0])
            collect_other_device(&machine.gpus[i], out);
    vg_region_release(&region);
    number_other_devices(out);
}

/* What NVML told last. Opening it takes a millisecond, on a real machine tens of them. */
static struct {
    uint64_t when_ns; /* CLOCK_MONOTONIC; 0: nothing yet */
    int32_t pid, ordinal;
    uint64_t free_bytes, live_bytes; /* of then, as the driver and the tables told */
    uint64_t self_bytes, others_bytes;
    uint32_t process_count, other_process_count, device_count;
    char driver_version[sizeof((struct vg_oom_report *)0)->driver_version];
    struct vg_oom_process processes[VG_OOM_PROCESSES];
    struct vg_oom_device devices[VG_OOM_DEVICES];
} facts; /* one report at a time (emit.c) */

static void keep_facts(const struct vg_oom_report *s)
{
    facts.when_ns = s->nvml_available ? vg_clock_monotonic_ns() : 0;
    facts.pid = s->pid;
    facts.ordinal = s->device.ordinal;
    facts.free_bytes = s->device.free_bytes;
    facts.live_bytes = s->live_bytes;
    facts.self_bytes = s->self_bytes;
    facts.others_bytes = s->others_bytes;
    facts.process_count = s->process_count;
    facts.other_process_count = s->other_process_count;
    facts.device_count = s->device_count;
    memcpy(facts.driver_version, s->driver_version, sizeof facts.driver_version);
    memcpy(facts.processes, s->processes, sizeof facts.processes);
    memcpy(facts.devices, s->devices, sizeof facts.devices);
}

/* Do they still hold? A program that asks for less and less fails many times within milliseconds,
 * and where just as much is free and held as before, nothing else has changed to speak of. */
static bool facts_hold(const struct vg_oom_report *s)
{
    return facts.when_ns != 0 && vg_clock_monotonic_ns() - facts.when_ns < 1000000000 &&
           facts.pid == s->pid && facts.ordinal == s->device.ordinal && s->device.ordinal >= 0 &&
           facts.free_bytes == s->device.free_bytes && s->device.free_bytes != VG_BYTES_UNKNOWN &&
           facts.live_bytes == s->live_bytes;
}

static void use_facts(struct vg_oom_report *out)
{
    out->nvml_available = 1;
    out->self_bytes = facts.self_bytes;
    out->others_bytes = facts.others_bytes;
    out->process_count = facts.process_count;
    out->other_process_count = facts.other_process_count;
    out->device_count = facts.device_count;
    memcpy(out->driver_version, facts.driver_version, sizeof facts.driver_version);
    memcpy(out->processes, facts.processes, sizeof facts.processes);
    memcpy(out->devices, facts.devices, sizeof facts.devices);
}

static void collect_machine(const struct vg_failure *failure, struct vg_oom_report *out)
{
    if (facts_hold(out)) {
        use_facts(out);
        return;
    }
    ask_machine(failure, out);
    keep_facts(out);
}

/* The process that advice will name: the smallest that has what is missing, else the largest. Only
 * there is it worth a millisecond to ask the kernel for thousands of mappings. */
static uint32_t named_process(const struct vg_oom_report *s)
{
    const uint64_t deficit = vg_report_deficit(s);
    uint32_t named = 0; /* they are sorted, the largest first */
    for (uint32_t i = 0; i < s->process_count; i++)
        if (deficit != VG_BYTES_UNKNOWN && vg_amount_known(s->processes[i].bytes) &&
            s->processes[i].bytes >= deficit)
            named = i;
    return named;
}

static bool look_for_pytorch(const struct vg_mapping *mapping, void *argument)
{
    bool *const found = argument;
    *found = strstr(mapping->path, "/libc10_cuda") != NULL;
    return !*found;
}

static bool has_pytorch(pid_t pid)
{
    bool found = false;
    vg_maps_each(pid, look_for_pytorch, &found);
    return found;
}

static void describe_processes(struct vg_oom_report *out)
{
    const uint32_t named = named_process(out);
    for (uint32_t i = 0; i < out->process_count; i++) {
        struct vg_oom_process *const process = &out->processes[i];
        /* A pid that is not of this pid namespace: no name is better than a wrong one. */
        if (process->flags & VG_PROCESS_INVISIBLE)
            continue;
        vg_process_command(process->pid, process->command, sizeof process->command);
        if (i == named && out->processes[i].uid == out->uid && strstr(process->command, "python") &&
            has_pytorch(process->pid))
            process->flags |= VG_PROCESS_PYTORCH;
    }
}

static void collect_outer(struct vg_oom_report *out)
{
    const struct vg_refused_call call = {
        .api = out->api,
        .ordinal = out->device.ordinal,
        .uuid = out->device.uuid,
        .asked_bytes = out->asked_bytes,
        .own_bytes = vg_amount_known(out->self_bytes) ? out->self_bytes : out->live_bytes,
    };
    vg_outer_limits_collect(&call, &out->outer);
}

void vg_collect(const struct vg_failure *failure, struct vg_oom_report *out)
{
    collect_call(failure, out);
    collect_process(out);
    collect_device(failure, out);
    vg_collect_own(failure, out);
    collect_reserves(failure, out);
    if (vg_torch_runs_python(out))
        vg_checkpoint_find(&out->checkpoint);
    collect_machine(failure, out);
    describe_processes(out);
    collect_outer(out);
    const char *const path = failure->tables.recorder->path;
    vg_text_sanitize(out->recorder_path, sizeof out->recorder_path, path, strlen(path));
}
