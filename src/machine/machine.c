#include "machine/machine.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/command_name.h"
#include "base/hashing.h"
#include "base/size.h"
#include "base/sort.h"
#include "base/text.h"
#include "machine/nvml_answer.h"
#include "os/family.h"
#include "os/process.h"

/* ---- what NVML tells ---- */

static void name_gpu(const struct vg_nvml_device *device, struct vg_machine_gpu *out)
{
    vg_text_sanitize(out->uuid, sizeof out->uuid, device->uuid, strlen(device->uuid));
    vg_text_sanitize(out->name, sizeof out->name, device->name, strlen(device->name));
    vg_text_sanitize(out->pci_bus_id, sizeof out->pci_bus_id, device->pci_bus_id,
                     strlen(device->pci_bus_id));
    out->total_bytes = device->total_bytes;
    out->free_bytes = device->free_bytes;
}

static void clear_gpu(struct vg_machine_gpu *out)
{
    *out = (struct vg_machine_gpu){ .total_bytes = VG_BYTES_UNKNOWN,
                                    .free_bytes = VG_BYTES_UNKNOWN,
                                    .self_bytes = VG_BYTES_UNKNOWN,
                                    .taken_ns = vg_clock_monotonic_ns() };
}

/* Takes NVML's list, in which this process may be. `out->processes` has room for it. */
static void take_processes(const struct vg_nvml_answer *answer, struct vg_machine_gpu *out)
{
    const pid_t self = getpid();
    out->known = answer->processes_known;
    for (size_t i = 0; i < answer->process_count; i++) {
        const struct vg_nvml_process *const seen = &answer->processes[i];
        if (seen->pid == self) {
            out->self_seen = true;
            out->self_bytes = seen->bytes;
            continue;
        }
        out->processes[out->process_count++] = (struct vg_machine_process){
            .pid = seen->pid, .uid = UINT32_MAX, .rank = -1, .bytes = seen->bytes
        };
        if (seen->bytes != VG_BYTES_UNKNOWN)
            out->others_bytes += seen->bytes;
    }
}

/* ---- what the registry tells ---- */

static struct vg_machine_process *find_process(struct vg_machine_gpu *gpu, int32_t pid)
{
    for (size_t i = 0; i < gpu->process_count; i++)
        if (gpu->processes[i].pid == pid)
            return &gpu->processes[i];
    return NULL;
}

/* `out->processes` has room for all of them. */
static void add_members(const struct vg_registry_entry *members, size_t count,
                        struct vg_machine_gpu *out)
{
    for (size_t i = 0; i < count; i++) {
        const struct vg_registry_entry *const member = &members[i];
        const int32_t pid = (int32_t)vg_process_owner_pid(member->owner);
        /* NVML's pids are those of one pid namespace, if that: they say nothing of another one's.
         */
        struct vg_machine_process *process =
            pid != VG_PROCESS_ELSEWHERE ? find_process(out, pid) : NULL;
        if (!process) { /* it has no context yet, or NVML does not know it by this pid */
            process = &out->processes[out->process_count++];
            *process = (struct vg_machine_process){ .pid = pid,
                                                    .uid = UINT32_MAX,
                                                    .rank = -1,
                                                    .bytes = out->known ? 0 : member->held_bytes };
        }
        process->flags |= VG_PROCESS_GUARDED | (member->waits ? VG_PROCESS_WAITING : 0) |
                          (member->gives_back ? VG_PROCESS_GIVES_BACK : 0);
        process->owner = member->owner;
        process->held_bytes = member->held_bytes;
        process->reserved_bytes = member->reserved_bytes;
        process->idle_bytes = member->idle_bytes;
        if (!out->known)
            out->others_bytes += member->held_bytes;
        const uint64_t has_bytes =
            process->bytes == VG_BYTES_UNKNOWN ? member->held_bytes : process->bytes;
        if (member->reserved_bytes > has_bytes)
            out->promised_bytes += member->reserved_bytes - has_bytes;
    }
}

/* ---- what /proc tells ---- */

static uint32_t flag_of_relation(enum vg_relation relation)
{
    switch (relation) {
    case VG_RELATION_PARENT: return VG_PROCESS_PARENT;
    case VG_RELATION_CHILD: return VG_PROCESS_CHILD;
    case VG_RELATION_JOB: return VG_PROCESS_JOB;
    default: return 0;
    }
}

static void relate_process(const struct vg_family *self, struct vg_machine_process *process)
{
    uid_t uid;
    if (process->flags & VG_PROCESS_INVISIBLE)
        return;
    process->flags |= flag_of_relation(vg_family_relation(self, process->pid, &process->rank));
    if (!(process->flags & VG_PROCESS_OWN_PROGRAM) && vg_family_is_orphan(process->pid))
        process->flags |= VG_PROCESS_ORPHAN;
    if (vg_process_uid(process->pid, &uid) == 0)
        process->uid = (uint32_t)uid;
}

/* Who each one is, and since when it holds what it holds. */
static void identify_processes(const struct vg_machine_question *question,
                               const struct vg_family *self, struct vg_machine_gpu *out)
{
    /* When this process has memory there and is not on the list, the list has other pids. */
    const bool foreign = out->known && !out->self_seen && question->has_context;
    for (size_t i = 0; i < out->process_count; i++) {
        struct vg_machine_process *const process = &out->processes[i];
        struct vg_process_id id;
        const bool guarded = process->flags & VG_PROCESS_GUARDED;
        if (process->pid == VG_PROCESS_ELSEWHERE) {
            process->flags |= VG_PROCESS_INVISIBLE;
            continue;
        }
        if ((foreign && !guarded) || vg_process_identify(process->pid, &id) != 0)
            process->flags |= VG_PROCESS_INVISIBLE;
        else
            process->start_ticks = id.start_ticks;
        if (process->bytes != VG_BYTES_UNKNOWN)
            process->unchanged_ns = vg_registry_note_sighting(
                question->file, process->pid, process->start_ticks, process->bytes, out->taken_ns);
        if (question->details & VG_MACHINE_RELATIONS)
            relate_process(self, process);
    }
}

/* ---- the snapshot ---- */

static int compare_weight(const void *a, const void *b)
{
    const struct vg_machine_process *const x = a, *const y = b;
    const bool x_known = x->bytes != VG_BYTES_UNKNOWN, y_known = y->bytes != VG_BYTES_UNKNOWN;
    if (x_known != y_known)
        return x_known ? -1 : 1;
    if (x->bytes != y->bytes)
        return x->bytes > y->bytes ? -1 : 1;
    return (x->pid > y->pid) - (x->pid < y->pid);
}

/* Completes the GPU in question, of which NVML has told what is in `answer`. */
static void complete_gpu(const struct vg_machine_question *question,
                         const struct vg_nvml_answer *answer, const struct vg_family *self,
                         struct vg_region *region, struct vg_machine_gpu *out)
{
    struct vg_registry_entry *members = NULL;
    size_t member_count = 0;
    if (question->file) {
        members = vg_region_array(region, VG_REGISTRY_SLOTS, sizeof *members);
        if (members)
            member_count = vg_registry_members(question->file, false, members, VG_REGISTRY_SLOTS);
    }
    out->processes =
        vg_region_array(region, answer->process_count + member_count, sizeof *out->processes);
    if (!out->processes) {
        out->known = out->known && answer->process_count + member_count == 0;
        return; /* nobody, or no memory to tell of them */
    }
    take_processes(answer, out);
    add_members(members, member_count, out);
    identify_processes(question, self, out);
    vg_sort(out->processes, out->process_count, sizeof *out->processes, compare_weight);
}

/* Asks NVML, as vg_nvml_ask, and reads meanwhile what other processes are compared by. */
static int ask_nvml(const struct vg_machine_question *question, bool all, struct vg_region *region,
                    struct vg_nvml_answer *answer, struct vg_family *self)
{
    struct vg_nvml_question *const begun =
        question->begun ? question->begun
                        : vg_nvml_begin(question->uuid, question->pci_bus_id, all);
    if (question->details & VG_MACHINE_RELATIONS)
        vg_family_read_self(self);
    return begun ? vg_nvml_end(begun, region, answer)
                 : vg_nvml_ask(question->uuid, question->pci_bus_id, all, region, answer);
}

void vg_machine_measure_gpu(const struct vg_machine_question *question, struct vg_region *region,
                            struct vg_machine_gpu *out)
{
    struct vg_nvml_answer answer;
    struct vg_family self;
    const int error = ask_nvml(question, false, region, &answer, &self);
    clear_gpu(out);
    out->slow = error == -ETIMEDOUT;
    if (answer.own_described)
        name_gpu(&answer.own_device, out);
    out->known = answer.processes_known;
    complete_gpu(question, &answer, &self, region, out);
}

struct vg_nvml_question *vg_machine_begin(const char *uuid, const char *pci_bus_id)
{
    return vg_nvml_begin(uuid, pci_bus_id, true);
}

void vg_machine_measure(const struct vg_machine_question *question, struct vg_region *region,
                        struct vg_machine *out)
{
    struct vg_nvml_answer answer;
    struct vg_family self;
    const int error = ask_nvml(question, true, region, &answer, &self);
    *out = (struct vg_machine){ .known = error == 0,
                                .slow = error == -ETIMEDOUT,
                                .is_instance = answer.own == VG_NVML_INSTANCE };
    snprintf(out->why, sizeof out->why, "%s", out->slow ? "it does not answer" : answer.why);
    vg_text_sanitize(out->driver_version, sizeof out->driver_version, answer.driver_version,
                     strlen(answer.driver_version));
    /* One more, for a GPU in question that is none of them. */
    out->gpus = vg_region_array(region, answer.device_count + 1, sizeof *out->gpus);
    if (!out->gpus)
        return;
    out->gpu_count = answer.device_count;
    for (size_t i = 0; i <= answer.device_count; i++)
        clear_gpu(&out->gpus[i]);
    for (size_t i = 0; i < answer.device_count; i++)
        name_gpu(&answer.devices[i], &out->gpus[i]);
    const bool is_listed = answer.own >= 0 && (size_t)answer.own < answer.device_count;
    out->asked = &out->gpus[is_listed ? (size_t)answer.own : answer.device_count];
    if (answer.own_described)
        name_gpu(&answer.own_device, out->asked);
    out->asked->known = answer.processes_known;
    out->asked->slow = out->slow;
    complete_gpu(question, &answer, &self, region, out->asked);
}

/* ---- questions to a snapshot ---- */

const struct vg_machine_process *vg_machine_largest(const struct vg_machine_gpu *gpu)
{
    const struct vg_machine_process *const first = gpu->processes;
    return gpu->process_count > 0 && first->bytes != VG_BYTES_UNKNOWN && first->bytes > 0 ? first
                                                                                          : NULL;
}

const struct vg_machine_process *vg_machine_find(const struct vg_machine_gpu *gpu, int32_t pid)
{
    for (size_t i = 0; i < gpu->process_count; i++)
        if (gpu->processes[i].pid == pid)
            return &gpu->processes[i];
    return NULL;
}

uint64_t vg_machine_fingerprint(const struct vg_machine_gpu *gpu,
                                const struct vg_registry_file *file)
{
    uint64_t sum = vg_hash_u64(gpu->process_count + 1);
    /* A sum, so that the order does not matter. */
    for (size_t i = 0; i < gpu->process_count; i++) {
        const struct vg_machine_process *const process = &gpu->processes[i];
        uint64_t hash = vg_hash_u64((uint64_t)process->pid << 32 ^ process->start_ticks);
        if (process->pid == VG_PROCESS_ELSEWHERE)
            hash = vg_hash_u64(process->owner ^ process->held_bytes);
        hash = vg_hash_u64(hash ^ process->bytes);
        sum += vg_hash_u64(hash ^ process->reserved_bytes);
    }
    sum += file ? vg_registry_waiting_hash(file) : 0;
    return sum ? sum : 1;
}

const char *vg_machine_command(char *out, size_t cap, int32_t pid)
{
    char command[256];
    out[0] = '\0';
    if (pid > 0 && vg_process_command(pid, command, sizeof command) == 0)
        vg_command_short(out, cap, command);
    return out;
}

const char *vg_machine_name(char *out, size_t cap, int32_t pid)
{
    char brief[64];
    if (pid == VG_PROCESS_ELSEWHERE)
        snprintf(out, cap, "%s", VG_MACHINE_ELSEWHERE);
    else if (vg_machine_command(brief, sizeof brief, pid)[0])
        snprintf(out, cap, "pid %d (%s)", pid, brief);
    else
        snprintf(out, cap, "pid %d", pid);
    return out;
}
