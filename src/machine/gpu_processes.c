#include "machine/gpu_processes.h"

#include <stdio.h>
#include <unistd.h>

#include "base/command_name.h"
#include "base/size.h"
#include "driver/nvml.h"
#include "os/process.h"

/* Its index, `in->count` when it is not there. */
static size_t index_of(const struct vg_gpu_processes *in, int32_t pid)
{
    size_t i = 0;
    while (i < in->count && in->list[i].pid != pid)
        i++;
    return i;
}

static struct vg_gpu_process *add_process(struct vg_gpu_processes *to, int32_t pid, uint64_t bytes)
{
    if (to->count == VG_GPU_PROCESSES_MAX)
        return NULL;
    to->list[to->count] = (struct vg_gpu_process){ .pid = pid, .bytes = bytes };
    return &to->list[to->count++];
}

static void ask_nvml(const char *uuid, struct vg_gpu_processes *out)
{
    struct vg_nvml nvml;
    struct vg_nvml_device device;
    struct vg_nvml_process list[VG_GPU_PROCESSES_MAX];
    char why[160];
    if (vg_nvml_open(&nvml, why, sizeof why) != 0)
        return;
    const int index = vg_nvml_find(&nvml, uuid, "");
    int count = -1;
    if (index >= 0) {
        /* In this order what a process holds that ends meanwhile is seen twice rather than never.
         */
        count = vg_nvml_processes(&nvml, (unsigned)index, list, VG_GPU_PROCESSES_MAX);
        if (vg_nvml_describe_device(&nvml, (unsigned)index, &device) == 0) {
            out->total_bytes = device.total_bytes;
            out->free_bytes = device.free_bytes;
        }
    }
    vg_nvml_close(&nvml);
    out->known = count >= 0;
    for (int i = 0; i < count && i < VG_GPU_PROCESSES_MAX; i++) {
        if (list[i].pid == (int32_t)getpid()) {
            out->self_seen = true;
            continue;
        }
        add_process(out, list[i].pid, list[i].bytes);
        if (list[i].bytes != VG_BYTES_UNKNOWN)
            out->others_bytes += list[i].bytes;
    }
}

static void ask_registry(const struct vg_registry_file *file, struct vg_gpu_processes *out)
{
    struct vg_registry_entry entries[VG_GPU_PROCESSES_MAX];
    const size_t count = vg_registry_members(file, false, entries, VG_GPU_PROCESSES_MAX);
    for (size_t i = 0; i < count; i++) {
        const int32_t pid = (int32_t)vg_process_owner_pid(entries[i].owner);
        const size_t at = index_of(out, pid);
        struct vg_gpu_process *neighbour = &out->list[at];
        if (at == out->count) /* it has no context yet, or NVML does not know it by this pid */
            neighbour = add_process(out, pid, out->known ? 0 : entries[i].held_bytes);
        if (!neighbour)
            continue;
        neighbour->guarded = true;
        if (!out->known)
            out->others_bytes += entries[i].held_bytes;
        const uint64_t held_bytes =
            neighbour->bytes == VG_BYTES_UNKNOWN ? entries[i].held_bytes : neighbour->bytes;
        if (entries[i].reserved_bytes > held_bytes)
            out->promised_bytes += entries[i].reserved_bytes - held_bytes;
    }
}

void vg_gpu_processes_measure(const char *uuid, const struct vg_registry_file *file,
                              struct vg_gpu_processes *out)
{
    out->known = out->self_seen = false;
    out->total_bytes = out->free_bytes = VG_BYTES_UNKNOWN;
    out->others_bytes = out->promised_bytes = 0;
    out->count = 0;
    ask_nvml(uuid, out);
    ask_registry(file, out);
}

const struct vg_gpu_process *vg_gpu_processes_largest(const struct vg_gpu_processes *neighbours)
{
    const struct vg_gpu_process *best = NULL;
    for (size_t i = 0; i < neighbours->count; i++) {
        const struct vg_gpu_process *const one = &neighbours->list[i];
        if (one->bytes != VG_BYTES_UNKNOWN && one->bytes > (best ? best->bytes : 0))
            best = one;
    }
    return best;
}

const struct vg_gpu_process *vg_gpu_processes_find(const struct vg_gpu_processes *neighbours,
                                                   int32_t pid)
{
    const size_t at = index_of(neighbours, pid);
    return at < neighbours->count ? &neighbours->list[at] : NULL;
}

const char *vg_gpu_processes_command(char *out, size_t cap, int32_t pid)
{
    char command[256];
    out[0] = '\0';
    if (vg_process_command(pid, command, sizeof command) == 0)
        vg_command_short(out, cap, command);
    return out;
}

const char *vg_gpu_processes_name(char *out, size_t cap, int32_t pid)
{
    char brief[64];
    if (vg_gpu_processes_command(brief, sizeof brief, pid)[0])
        snprintf(out, cap, "pid %d (%s)", pid, brief);
    else
        snprintf(out, cap, "pid %d", pid);
    return out;
}
