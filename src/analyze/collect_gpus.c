#include "analyze/collect_gpus.h"

#include <string.h>
#include <unistd.h>

#include "analyze/account.h"
#include "base/amount.h"
#include "base/clock.h"
#include "base/log.h"
#include "driver/driver.h"
#include "machine/machine.h"
#include "os/maps.h"
#include "os/process.h"
#include "shared/reclaim_slot.h"

enum { COMMAND_CAP = 1024, IDLE_ANSWER_MS = 20, FACTS_HOLD_NS = 1000000000 };

/* What the machine was like when it was last looked at. Opening NVML takes a millisecond, on a real
 * machine tens of them. One report is made at a time (emit.c). */
static struct {
    uint64_t when_ns; /* CLOCK_MONOTONIC; 0: nothing yet */
    int32_t pid, ordinal;
    uint64_t free_bytes, live_bytes; /* of then, as the driver and the tables told */
    struct vg_region region;         /* what `machine` lies in */
    struct vg_machine machine;
    struct vg_nvml_question *begun; /* by process `begun_pid`: not by a parent */
    int32_t begun_pid;
} facts;

/* ---- asking ---- */

static struct vg_registry_file *registry_file(const struct vg_failure *failure)
{
    return failure->device >= 0
               ? failure->tables.registrations[failure->device % VG_FILE_DEVICES].file
               : NULL;
}

/* Does NVML know the failing device? */
static bool knows_device(void)
{
    const struct vg_machine_gpu *const asked = facts.machine.asked;
    return asked && (asked->uuid[0] || asked->known);
}

static void ask_machine(const struct vg_failure *failure, const struct vg_run_failure *f)
{
    const struct vg_machine_question question = {
        .uuid = f->device.gpu.uuid,
        .pci_bus_id = f->device.gpu.pci_bus_id,
        .file = registry_file(failure),
        .details = VG_MACHINE_RELATIONS,
        .has_context = f->device.live_bytes > 0,
        .begun = facts.begun_pid == f->process->pid ? facts.begun : NULL,
    };
    facts.begun = NULL;
    if (facts.pid == f->process->pid)
        vg_region_release(&facts.region);
    else
        facts.region = vg_region_over(NULL, 0); /* a parent's, or none */
    vg_registry_request_idle(question.file, IDLE_ANSWER_MS);
    vg_machine_measure(&question, &facts.region, &facts.machine);
    if (!facts.machine.known)
        vg_warn_once(VG_FAULT_NVML, "cannot use NVML (%s): what other processes hold is unknown",
                     facts.machine.why);
    facts.when_ns = knows_device() ? vg_clock_monotonic_ns() : 0;
    facts.pid = f->process->pid;
    facts.ordinal = f->device.gpu.ordinal;
    facts.free_bytes = f->device.gpu.free_bytes;
    facts.live_bytes = f->device.live_bytes;
}

static bool are_fresh(int32_t pid)
{
    return facts.when_ns != 0 && vg_clock_monotonic_ns() - facts.when_ns < FACTS_HOLD_NS &&
           facts.pid == pid;
}

/* Do they still hold? A program that asks for less and less fails many times within milliseconds,
 * and where just as much is free and held as before, nothing else has changed to speak of. */
static bool facts_hold(const struct vg_run_failure *f)
{
    const struct vg_run_gpu *const gpu = &f->device.gpu;
    return are_fresh(f->process->pid) && facts.ordinal == gpu->ordinal && gpu->ordinal >= 0 &&
           facts.free_bytes == gpu->free_bytes && gpu->free_bytes != VG_BYTES_UNKNOWN &&
           facts.live_bytes == f->device.live_bytes;
}

/* ---- the GPUs ---- */

/* Without CUDA's view of the device (no context yet), NVML's stands in. */
static void use_machine_gpu(struct vg_region *region, const struct vg_machine_gpu *seen,
                            struct vg_run_gpu *out)
{
    if (out->total_bytes == VG_BYTES_UNKNOWN) {
        out->total_bytes = seen->total_bytes;
        out->free_bytes = seen->free_bytes;
    }
    if (!out->name[0])
        out->name = vg_region_string(region, seen->name);
}

/* The program's own numbers of the other devices; asking for them creates no context. */
static void number_gpus(struct vg_run_gpu *gpus, uint32_t gpu_count)
{
    int count = 0;
    char uuid[48];
    if (!vg_driver.cuDeviceGetCount || vg_driver.cuDeviceGetCount(&count) != CUDA_SUCCESS)
        return;
    for (int ordinal = 0; ordinal < count; ordinal++) {
        vg_driver_device_uuid(ordinal, uuid, sizeof uuid);
        for (uint32_t i = 0; i < gpu_count; i++)
            if (uuid[0] && strcmp(gpus[i].uuid, uuid) == 0)
                gpus[i].ordinal = ordinal;
    }
}

/* Beside a MIG instance its whole GPU would be listed as another device. */
static void take_gpus(struct vg_region *region, struct vg_run_failure *out)
{
    const struct vg_machine *const machine = &facts.machine;
    struct vg_run_gpu *const gpus =
        vg_region_array(region, machine->is_instance ? 0 : machine->gpu_count, sizeof *gpus);
    out->other_gpus = gpus;
    out->outer.is_instance = machine->is_instance;
    for (size_t i = 0; gpus && i < machine->gpu_count; i++) {
        const struct vg_machine_gpu *const seen = &machine->gpus[i];
        if (seen != machine->asked && seen->uuid[0])
            gpus[out->other_gpu_count++] =
                (struct vg_run_gpu){ .ordinal = -1,
                                     .total_bytes = seen->total_bytes,
                                     .free_bytes = seen->free_bytes,
                                     .name = vg_region_string(region, seen->name),
                                     .uuid = vg_region_string(region, seen->uuid),
                                     .pci_bus_id = vg_region_string(region, seen->pci_bus_id) };
    }
    if (gpus)
        number_gpus(gpus, out->other_gpu_count);
}

/* ---- the other processes ---- */

/* The process that advice will name: the smallest that has what is missing, else the largest. Only
 * there is it worth a millisecond to ask the kernel for thousands of mappings. */
static uint32_t index_of_named(const struct vg_run_failure *f)
{
    const uint64_t deficit = vg_report_deficit(f);
    uint32_t named = 0; /* they are sorted, the largest first */
    for (uint32_t i = 0; i < f->device.process_count; i++)
        if (deficit != VG_BYTES_UNKNOWN && vg_amount_known(f->device.processes[i].bytes) &&
            f->device.processes[i].bytes >= deficit)
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

static void name_processes(struct vg_region *region, const struct vg_run_failure *f,
                           struct vg_run_other *others)
{
    const uint32_t named = index_of_named(f);
    char command[COMMAND_CAP];
    for (uint32_t i = 0; i < f->device.process_count; i++) {
        struct vg_run_other *const other = &others[i];
        /* A pid that is not of this pid namespace: no name is better than a wrong one. */
        if (other->flags & VG_PROCESS_INVISIBLE)
            continue;
        vg_process_command(other->pid, command, sizeof command);
        other->command = vg_region_string(region, command);
        if (i == named && other->uid == f->process->uid && strstr(command, "python") &&
            has_pytorch(other->pid))
            other->flags |= VG_PROCESS_PYTORCH;
    }
}

static struct vg_run_other other_of(const struct vg_machine_gpu *gpu,
                                    const struct vg_machine_process *seen)
{
    return (struct vg_run_other){
        .pid = seen->pid,
        .uid = seen->uid,
        .flags = seen->flags,
        .rank = seen->rank,
        .bytes = seen->bytes,
        .idle_bytes = seen->idle_bytes,
        .unchanged_ns = seen->unchanged_ns ? gpu->taken_ns - seen->unchanged_ns : 0,
        .command = "",
        .user = "",
        .job = "",
        .container = "",
    };
}

static void take_processes(struct vg_region *region, const struct vg_machine_gpu *gpu,
                           struct vg_run_failure *out)
{
    struct vg_run_other *const others = vg_region_array(region, gpu->process_count, sizeof *others);
    out->device.self_bytes = gpu->self_bytes;
    out->device.others_bytes = gpu->others_bytes;
    out->device.processes = others;
    for (size_t i = 0; i < gpu->process_count; i++) {
        const struct vg_machine_process *const seen = &gpu->processes[i];
        if (seen->bytes == 0)
            continue; /* it has no memory of this GPU yet */
        if (seen->bytes == VG_BYTES_UNKNOWN)
            out->device.others_bytes = VG_BYTES_UNKNOWN;
        if (others)
            others[out->device.process_count++] = other_of(gpu, seen);
        else
            out->device.rest_process_count++;
    }
    if (others)
        name_processes(region, out, others);
}

void vg_collect_gpus_begin(const struct vg_run_gpu *gpu)
{
    const int32_t pid = (int32_t)getpid();
    if (are_fresh(pid))
        return;
    facts.begun = vg_machine_begin(gpu->uuid, gpu->pci_bus_id);
    facts.begun_pid = pid;
}

void vg_collect_gpus(const struct vg_failure *failure, struct vg_region *region,
                     struct vg_run_failure *out)
{
    if (facts.begun || !facts_hold(out))
        ask_machine(failure, out);
    const struct vg_machine_gpu *const asked = facts.machine.asked;
    out->driver_version = vg_region_string(region, facts.machine.driver_version);
    out->device.others_known = knows_device();
    if (out->device.others_known)
        use_machine_gpu(region, asked, &out->device.gpu);
    if (out->device.others_known && asked->known)
        take_processes(region, asked, out);
    take_gpus(region, out);
}
