#include "view/advice_context.h"

#include <string.h>

#include "analyze/torch_facts.h"
#include "base/amount.h"
#include "view/advice_text.h"

enum { REST_CAP = 512 };

static void add_holder(const struct vg_run_failure *s, struct vg_text *out)
{
    const struct vg_run_other *const largest = vg_advice_largest_process(s);
    vg_text_addf(out, "%s are free", VG_AMOUNT(s->device.gpu.free_bytes));
    if (largest) {
        vg_text_add(out, "; ");
        vg_advice_add_process(out, s, largest);
        vg_text_addf(out, " holds %s", VG_AMOUNT(largest->bytes));
    }
    vg_text_add(out, ".");
}

/* What can be done about the others first: to leave room is for who starts them. */
static void add_ways(const struct vg_run_failure *s, struct vg_text *out)
{
    static const char or_else[] = "; or ";
    char data[REST_CAP];
    struct vg_text rest = vg_text_over(data, sizeof data);
    vg_advice_add_framework(&rest, vg_advice_largest_process(s));
    vg_advice_add_other_gpu(&rest, s);
    const size_t skipped = vg_text_starts_with(data, or_else) ? sizeof or_else - 1 : 0;
    vg_text_add(out, data + skipped);
    vg_text_add(out, skipped ? or_else : "");
    vg_text_add(out, "leave 0.5 to 1 GiB of the GPU free for contexts, modules and libraries");
}

/* ---- pinning ---- */

/* Functions of the runtime that pin host memory. As all of it, they make the primary context of the
 * thread's current device first when there is none (CUDA Runtime API, "Initialization"). */
static const char *pinning_function(const struct vg_run_failure *s)
{
    static const char *const functions[] = { "cudaHostAlloc", "cudaMallocHost",
                                             "cudaHostRegister" };
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++)
        if (strstr(s->where, functions[i]))
            return functions[i];
    return NULL;
}

static bool pinning_applies(const struct vg_run_failure *s)
{
    return vg_advice_headroom.applies(s) && pinning_function(s) &&
           (strcmp(s->api, "cuDevicePrimaryCtxRetain") == 0 ||
            strncmp(s->api, "cuCtxCreate", 11) == 0);
}

static void pinning_cause(const struct vg_run_failure *s, struct vg_text *out)
{
    vg_text_addf(
        out,
        "%s pins host memory; for that it makes a context on the thread's current GPU, which "
        "takes some hundred MiB there, and ",
        pinning_function(s));
    add_holder(s, out);
}

static void pinning_advice(const struct vg_run_failure *s, struct vg_text *out)
{
    vg_text_addf(out,
                 "if the program is to use another GPU, choose it before memory is pinned: %s; or ",
                 s->torch.loaded ? "torch.cuda.set_device()" : "cudaSetDevice()");
    add_ways(s, out);
}

/* ---- any other ---- */

static bool headroom_applies(const struct vg_run_failure *s)
{
    return !vg_amount_known(s->asked_bytes) && vg_amount_known(s->device.gpu.free_bytes);
}

static void headroom_cause(const struct vg_run_failure *s, struct vg_text *out)
{
    vg_text_addf(out, "%s needs memory on the GPU, some hundred MiB for a context, and ",
                 s->api[0] ? s->api : "the call");
    add_holder(s, out);
}

const struct vg_advice_row vg_advice_pinning = { "pinning-context", pinning_applies, pinning_cause,
                                                 pinning_advice };
const struct vg_advice_row vg_advice_headroom = { "no-headroom", headroom_applies, headroom_cause,
                                                  add_ways };
