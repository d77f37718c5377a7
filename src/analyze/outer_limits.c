#include "analyze/outer_limits.h"

#include <stdlib.h>
#include <string.h>

#include "analyze/mps_limit.h"
#include "base/size.h"
#include "base/text.h"
#include "driver/bypass.h"
#include "driver/chain.h"

static void copy_text(char *out, size_t cap, const char *text)
{
    vg_text_sanitize(out, cap, text, strlen(text));
}

static const char *interposer_of(const char *api)
{
    for (int id = 0; id < VG_FN_COUNT; id++)
        if (strcmp(vg_functions[id].symbol, api) == 0)
            return vg_chain_name((enum vg_function_id)id);
    return "";
}

static void collect_mps(const struct vg_refused_call *call, struct vg_outer_limits *out)
{
    const char *const text = getenv("CUDA_MPS_PINNED_DEVICE_MEM_LIMIT");
    out->mps_bytes = VG_BYTES_UNKNOWN;
    if (!text || call->ordinal < 0)
        return;
    copy_text(out->mps_text, sizeof out->mps_text, text);
    if (vg_mps_limit_parse(text, call->ordinal, call->uuid, &out->mps_bytes) == 0)
        out->mps_explains =
            vg_mps_limit_explains(out->mps_bytes, call->own_bytes, call->asked_bytes);
}

void vg_outer_limits_collect(const struct vg_refused_call *call, struct vg_outer_limits *out)
{
    const char *const visible = getenv("CUDA_VISIBLE_DEVICES");
    memset(out, 0, sizeof *out);
    vg_host_limits_read(&out->host);
    out->host_call = vg_host_call(call->api);
    if (out->host_call)
        out->host_shortage = (uint32_t)vg_host_shortage_of(&out->host, call->asked_bytes,
                                                           vg_host_call_registers(call->api));
    out->lacks_address = vg_host_lacks_address_space(&out->host, call->asked_bytes);
    collect_mps(call, out);
    out->is_instance = call->is_instance;
    out->has_visible = visible != NULL;
    if (visible && strlen(visible) < sizeof out->visible) /* half of it would say another thing */
        copy_text(out->visible, sizeof out->visible, visible);
    copy_text(out->interposer, sizeof out->interposer, interposer_of(call->api));
    if (call->unseen_may_lack) /* milliseconds, where hundreds of libraries are loaded */
        vg_bypass_check_all(false);
    copy_text(out->bypass, sizeof out->bypass, vg_bypass_name(0));
}
