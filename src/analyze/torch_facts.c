#include "analyze/torch_facts.h"

#include <string.h>

#include "analyze/outcome.h"
#include "base/amount.h"
#include "base/text.h"

bool vg_torch_runs_python(const struct vg_run_failure *s)
{
    bool runs = s->torch.loaded || strstr(s->process->command, "python") ||
                strstr(s->process->command, ".py");
    for (uint32_t i = 0; i < s->stack.frame_count && !runs; i++)
        runs = s->stack.frames[i].flags & VG_FRAME_PYTHON;
    return runs;
}

bool vg_torch_is_used(const struct vg_run_failure *s)
{
    return s->torch.loaded &&
           (s->torch.is_caller || s->torch.reserved_bytes > 0 || vg_torch_reserved_bytes(s) > 0);
}

uint64_t vg_torch_reserved_bytes(const struct vg_run_failure *s)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < VG_TORCH_BACKENDS; i++)
        sum += vg_amount_known(s->torch.bytes[i]) ? s->torch.bytes[i] : 0;
    return sum;
}

bool vg_torch_flushed(const struct vg_run_failure *s, uint64_t *out_bytes)
{
    /* Expandable segments take pieces of what the flush has brought before one fails. */
    const bool is_piece = strcmp(s->api, "cuMemCreate") == 0;
    for (uint32_t i = 0; i < s->action_count; i++)
        if (strcmp(s->actions[i].name, "flush") == 0) {
            *out_bytes = is_piece ? VG_BYTES_UNKNOWN : s->actions[i].recovered_bytes;
            return true;
        }
    return false;
}

/* Between the plug-in and us. */
static bool is_below_plug_in(const char *module)
{
    return vg_text_starts_with(module, "libvramguard.so") ||
           vg_text_starts_with(module, "libcuda.so") || vg_text_starts_with(module, "libcudart.so");
}

/* PyTorch's class for such allocators (torch/csrc/cuda/CUDAPluggableAllocator.cpp) lies in
 * libtorch_cuda in 2.14 and in libtorch_python, beside much else, in 2.3.1. */
static bool is_who_calls_plug_ins(const struct vg_run_frame *frame)
{
    return vg_text_starts_with(frame->module, "libtorch_cuda") ||
           (vg_text_starts_with(frame->module, "libtorch_python") &&
            strstr(frame->function, "CUDAPluggableAllocator"));
}

const char *vg_torch_plug_in(const struct vg_run_failure *s)
{
    const char *plug_in = NULL;
    for (uint32_t i = 0; i < s->stack.frame_count; i++) {
        const struct vg_run_frame *const frame = &s->stack.frames[i];
        if (frame->flags & VG_FRAME_PYTHON || !frame->module[0])
            return NULL;
        if (!plug_in && is_below_plug_in(frame->module))
            continue;
        if (plug_in && is_who_calls_plug_ins(frame))
            return plug_in;
        if (plug_in && strcmp(frame->module, plug_in) != 0)
            return NULL;
        plug_in = frame->module;
        if (vg_text_starts_with(plug_in, "libtorch") || vg_text_starts_with(plug_in, "libc10"))
            return NULL; /* PyTorch itself */
    }
    return NULL;
}

/* "expandable_segments:True", as PyTorch wants it (c10/cuda/CUDAAllocatorConfig.cpp); blanks around
 * words it takes, too. */
static bool asks_for_expandable(const char *settings)
{
    static const char key[] = "expandable_segments";
    const char *at = strstr(settings, key);
    if (!at)
        return false;
    at += sizeof key - 1;
    at += strspn(at, " :");
    return strncmp(at, "True", 4) == 0;
}

bool vg_torch_is_expandable(const struct vg_run_failure *s)
{
    return s->torch.count[VG_TORCH_EXPANDABLE] > 0 || asks_for_expandable(s->torch.settings);
}

const char *vg_torch_variable(const struct vg_run_failure *s)
{
    return strncmp(s->torch.settings, "PYTORCH_ALLOC_CONF=", 19) == 0 ? "PYTORCH_ALLOC_CONF"
                                                                      : "PYTORCH_CUDA_ALLOC_CONF";
}
