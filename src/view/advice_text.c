#include "view/advice_text.h"

#include <string.h>

#include "analyze/label.h"
#include "analyze/torch_facts.h"
#include "analyze/visible_devices.h"
#include "base/command_name.h"
#include "view/wrap.h"

enum { GPUS_MAX = 64, COMMAND_CAP = 256, COMMAND_WIDTH = 48, LABEL_WIDTH = 120 };

const char *vg_advice_whole_gpu(const struct vg_run_failure *s)
{
    return s->outer.is_instance ? "this MIG instance" : "the whole GPU";
}

struct vg_report_account vg_advice_account(const struct vg_run_failure *s)
{
    struct vg_report_account account;
    vg_report_account_compute(s, &account);
    return account;
}

uint64_t vg_advice_or_zero(uint64_t bytes)
{
    return vg_amount_known(bytes) ? bytes : 0;
}

bool vg_advice_lacks_memory(const struct vg_run_failure *s, uint64_t *out_deficit)
{
    const uint64_t deficit = vg_report_deficit(s);
    *out_deficit = deficit;
    return deficit != VG_BYTES_UNKNOWN && deficit > 0;
}

void vg_advice_add_process(struct vg_text *out, const struct vg_run_failure *s,
                           const struct vg_run_other *process)
{
    char command[COMMAND_CAP], cut[COMMAND_WIDTH * 4 + 1];
    if (process->pid == VG_PROCESS_ELSEWHERE) {
        vg_text_add(out, VG_MACHINE_ELSEWHERE);
        return;
    }
    vg_text_addf(out, "pid %d (", process->pid);
    if (process->flags & VG_PROCESS_INVISIBLE) {
        vg_text_add(out, "of another container or host, not visible here");
    } else {
        vg_command_short(command, sizeof command, process->command);
        vg_wrap_cut(cut, sizeof cut, command, COMMAND_WIDTH);
        vg_text_add(out, cut[0] ? cut : "command unknown");
        if (process->uid != UINT32_MAX && process->uid != s->process->uid)
            vg_text_addf(out, ", uid %u", process->uid);
    }
    vg_text_add(out, ")");
}

const struct vg_run_other *vg_advice_largest_process(const struct vg_run_failure *s)
{
    const struct vg_run_other *best = NULL;
    const struct vg_report_account a = vg_advice_account(s);
    for (uint32_t i = 0; i < s->device.process_count; i++) {
        const struct vg_run_other *const p = &s->device.processes[i];
        if ((int32_t)i != a.self_process && vg_amount_known(p->bytes) && p->bytes > 0 &&
            (!best || p->bytes > best->bytes))
            best = p;
    }
    return best;
}

/* What is to be typed, where the program was started. */
static void add_selection(struct vg_text *out, const struct vg_run_failure *s,
                          const struct vg_run_gpu *device)
{
    struct vg_visible_device devices[GPUS_MAX + 1];
    char value[VG_VISIBLE_VALUE_CAP];
    size_t count = 0, wanted = 0;
    devices[count++] = (struct vg_visible_device){ s->device.gpu.ordinal, s->device.gpu.uuid };
    for (uint32_t i = 0; i < s->other_gpu_count && i < GPUS_MAX; i++) {
        if (&s->other_gpus[i] == device)
            wanted = count;
        devices[count++] =
            (struct vg_visible_device){ s->other_gpus[i].ordinal, s->other_gpus[i].uuid };
    }
    if (wanted > 0 && vg_visible_device_value(s->outer.has_visible ? s->outer.visible : NULL,
                                              devices, count, wanted, value) == 0)
        vg_text_addf(out, ": CUDA_VISIBLE_DEVICES=%s", value);
}

static void add_gpu(struct vg_text *out, const struct vg_run_failure *s, uint64_t minimum_total)
{
    const struct vg_run_gpu *best = NULL;
    uint64_t needed = vg_amount_known(s->asked_bytes) ? s->asked_bytes : VG_GIB;
    if (vg_amount_known(s->device.self_bytes) && s->device.self_bytes > s->device.live_bytes)
        needed += s->device.self_bytes;
    else if (vg_amount_known(s->device.live_bytes))
        needed += s->device.live_bytes;
    for (uint32_t i = 0; i < s->other_gpu_count; i++) {
        const struct vg_run_gpu *const d = &s->other_gpus[i];
        if (vg_amount_known(d->free_bytes) && d->free_bytes >= needed &&
            vg_amount_known(d->total_bytes) && d->total_bytes >= minimum_total &&
            (!best || d->free_bytes > best->free_bytes))
            best = d;
    }
    if (!best)
        return;
    char amount[VG_SIZE_TEXT_CAP];
    vg_text_add(out, "; or ");
    if (best->ordinal >= 0)
        vg_text_addf(out, "GPU %d", best->ordinal);
    else
        vg_text_addf(out, "the GPU %s", best->name[0] ? best->name : best->pci_bus_id);
    vg_text_addf(out, ", which has %s free", vg_amount_format(amount, best->free_bytes));
    add_selection(out, s, best);
}

void vg_advice_add_other_gpu(struct vg_text *out, const struct vg_run_failure *s)
{
    add_gpu(out, s, 0);
}

void vg_advice_add_larger_gpu(struct vg_text *out, const struct vg_run_failure *s)
{
    if (vg_amount_known(s->device.gpu.total_bytes))
        add_gpu(out, s, s->device.gpu.total_bytes + 1);
}

void vg_advice_add_framework(struct vg_text *out, const struct vg_run_other *process)
{
    if (!process)
        return;
    if (strstr(process->command, "vllm"))
        vg_text_add(out, "; or start vLLM there with a lower --gpu-memory-utilization");
    else if (strstr(process->command, "jax"))
        vg_text_add(out, "; or start JAX there with XLA_PYTHON_CLIENT_PREALLOCATE=false");
    else if (process->flags & VG_PROCESS_PYTORCH)
        vg_text_addf(out,
                     "; or have PyTorch there give back what it caches: "
                     "torch.cuda.empty_cache()%s",
                     process->flags & VG_PROCESS_GUARDED
                         ? ""
                         : " (under vramguard it does when asked by this process)");
}

void vg_advice_add_expandable(struct vg_text *out, const struct vg_run_failure *s)
{
    static const char setting[] = "expandable_segments:True";
    /* An older PyTorch does not start with a setting that it does not know. */
    if (s->torch.settings[0])
        vg_text_addf(out, "add %s to %s (from PyTorch 2.1 on)", setting, vg_torch_variable(s));
    else
        vg_text_addf(out,
                     "PYTORCH_CUDA_ALLOC_CONF=%s (or PYTORCH_ALLOC_CONF in recent PyTorch; none "
                     "before 2.1 has it)",
                     setting);
}

void vg_advice_add_label(struct vg_text *out, const char *label)
{
    char fitted[VG_LABEL_CAP];
    vg_label_fit(fitted, sizeof fitted, label, LABEL_WIDTH);
    vg_text_add(out, fitted);
}
