#include "view/advice_outer.h"

#include <string.h>

#include "base/amount.h"
#include "view/advice_text.h"

/* The driver had what was asked for, so it was refused for another reason. */
static bool enough_is_free(const struct vg_run_failure *s)
{
    return vg_amount_known(s->asked_bytes) && vg_amount_known(s->device.gpu.free_bytes) &&
           s->device.gpu.free_bytes >= s->asked_bytes;
}

/* ---- host memory ---- */

static bool host_applies(const struct vg_run_failure *s)
{
    return s->outer.host_call != 0;
}

static void host_cause(const struct vg_run_failure *s, struct vg_text *out)
{
    const struct vg_host_limits *const host = &s->outer.host;
    vg_text_add(out, "this call takes memory of the host, not of the GPU. ");
    switch ((enum vg_host_shortage)s->outer.host_shortage) {
    case VG_HOST_SHORTAGE_ADDRESS:
        vg_text_addf(out, "`ulimit -v` allows the process %s of address space; it uses %s.",
                     VG_AMOUNT(host->address_limit_bytes), VG_AMOUNT(host->address_bytes));
        break;
    case VG_HOST_SHORTAGE_CGROUP:
        vg_text_addf(out, "The limit of its control group leaves %s.",
                     VG_AMOUNT(host->cgroup_room_bytes));
        break;
    case VG_HOST_SHORTAGE_MEMORY:
        vg_text_addf(out, "The host has %s of %s available.", VG_AMOUNT(host->available_bytes),
                     VG_AMOUNT(host->total_bytes));
        break;
    case VG_HOST_SHORTAGE_LOCKED:
        vg_text_addf(out,
                     "Perhaps because of `ulimit -l`: it lets the process lock %s, and %s are "
                     "locked.",
                     VG_AMOUNT(host->locked_limit_bytes), VG_AMOUNT(host->locked_bytes));
        break;
    default:
        vg_text_addf(out, "The host has %s of %s available; what refused it is not known.",
                     VG_AMOUNT(host->available_bytes), VG_AMOUNT(host->total_bytes));
        break;
    }
}

static void host_advice(const struct vg_run_failure *s, struct vg_text *out)
{
    switch ((enum vg_host_shortage)s->outer.host_shortage) {
    case VG_HOST_SHORTAGE_ADDRESS:
        vg_text_add(out, "raise `ulimit -v`, or pin less host memory");
        break;
    case VG_HOST_SHORTAGE_CGROUP:
        vg_text_add(out, "raise the memory limit of the container or job, or pin less host memory");
        break;
    case VG_HOST_SHORTAGE_LOCKED:
        vg_text_add(out, "raise `ulimit -l`, or pin less host memory");
        break;
    default: vg_text_add(out, "pin less host memory, or free memory of the host"); break;
    }
    if (s->torch.loaded)
        vg_text_add(out, "; of PyTorch's loaders: pin_memory=False");
}

const struct vg_advice_row vg_advice_host_memory = { "host-memory", host_applies, host_cause,
                                                     host_advice };

/* ---- MPS ---- */

static bool mps_applies(const struct vg_run_failure *s)
{
    return s->outer.mps_explains != 0 && enough_is_free(s);
}

static void mps_cause(const struct vg_run_failure *s, struct vg_text *out)
{
    const struct vg_report_account a = vg_advice_account(s);
    vg_text_addf(out,
                 "%s are free, but CUDA_MPS_PINNED_DEVICE_MEM_LIMIT=%s allows this process %s of "
                 "this GPU; it holds %s and asked for %s.",
                 VG_AMOUNT(s->device.gpu.free_bytes), s->outer.mps_text,
                 VG_AMOUNT(s->outer.mps_bytes),
                 VG_AMOUNT(vg_advice_or_zero(a.tracked_bytes) + a.kept_bytes +
                           vg_advice_or_zero(a.context_bytes)),
                 VG_AMOUNT(s->asked_bytes));
}

static void mps_advice(const struct vg_run_failure *s, struct vg_text *out)
{
    (void)s;
    vg_text_add(out, "raise CUDA_MPS_PINNED_DEVICE_MEM_LIMIT where it is set, or allocate less");
}

const struct vg_advice_row vg_advice_mps_limit = { "mps-limit", mps_applies, mps_cause,
                                                   mps_advice };

/* ---- addresses ---- */

static bool address_applies(const struct vg_run_failure *s)
{
    return s->outer.lacks_address != 0 && enough_is_free(s);
}

static void address_cause(const struct vg_run_failure *s, struct vg_text *out)
{
    vg_text_addf(out,
                 "%s are free, but `ulimit -v` allows the process %s of address space, of which "
                 "it uses %s: too little is left for %s.",
                 VG_AMOUNT(s->device.gpu.free_bytes), VG_AMOUNT(s->outer.host.address_limit_bytes),
                 VG_AMOUNT(s->outer.host.address_bytes), VG_AMOUNT(s->asked_bytes));
}

static void address_advice(const struct vg_run_failure *s, struct vg_text *out)
{
    (void)s;
    vg_text_add(out, "raise the limit where the program is started: ulimit -v unlimited");
}

const struct vg_advice_row vg_advice_address_space = { "address-space", address_applies,
                                                       address_cause, address_advice };

/* ---- addresses without memory ---- */

static bool reservation_applies(const struct vg_run_failure *s)
{
    return strcmp(s->api, "cuMemAddressReserve") == 0;
}

static void reservation_cause(const struct vg_run_failure *s, struct vg_text *out)
{
    const struct vg_host_limits *const host = &s->outer.host;
    vg_text_add(out, "this call takes addresses and no memory of the GPU. ");
    if (vg_amount_known(host->address_limit_bytes))
        vg_text_addf(out, "`ulimit -v` allows the process %s of address space; it uses %s.",
                     VG_AMOUNT(host->address_limit_bytes), VG_AMOUNT(host->address_bytes));
    else
        vg_text_add(out, "The driver found none that were asked for.");
}

static void reservation_advice(const struct vg_run_failure *s, struct vg_text *out)
{
    vg_text_add(out, vg_amount_known(s->outer.host.address_limit_bytes)
                         ? "raise the limit where the program is started: ulimit -v unlimited"
                         : "reserve fewer addresses, or free some that are reserved");
}

const struct vg_advice_row vg_advice_reservation = { "reservation", reservation_applies,
                                                     reservation_cause, reservation_advice };

/* ---- another interposer ---- */

static bool interposer_applies(const struct vg_run_failure *s)
{
    return s->outer.interposer[0] != '\0' && enough_is_free(s) &&
           s->refused_by == VG_REFUSED_BY_DRIVER;
}

static void interposer_cause(const struct vg_run_failure *s, struct vg_text *out)
{
    vg_text_addf(out,
                 "%s are free, enough for the %s asked for. %s, which is preloaded too, gets this "
                 "call before the driver does, and may have refused it.",
                 VG_AMOUNT(s->device.gpu.free_bytes), VG_AMOUNT(s->asked_bytes),
                 s->outer.interposer);
}

static void interposer_advice(const struct vg_run_failure *s, struct vg_text *out)
{
    vg_text_addf(out, "look at the limits that %s sets, or run without it", s->outer.interposer);
}

const struct vg_advice_row vg_advice_interposer = { "interposer", interposer_applies,
                                                    interposer_cause, interposer_advice };

/* ---- a library that goes past us ---- */

static bool bypass_applies(const struct vg_run_failure *s)
{
    const struct vg_report_account a = vg_advice_account(s);
    uint64_t deficit;
    return s->outer.bypass[0] != '\0' && vg_advice_lacks_memory(s, &deficit) &&
           vg_amount_known(a.context_bytes) && a.context_bytes >= deficit &&
           a.context_bytes > vg_advice_or_zero(a.tracked_bytes);
}

static void bypass_cause(const struct vg_run_failure *s, struct vg_text *out)
{
    const struct vg_report_account a = vg_advice_account(s);
    vg_text_addf(out,
                 "this process holds %s that vramguard has not seen allocated. %s goes past it to "
                 "the driver, so its memory is among that, beside contexts and libraries.",
                 VG_AMOUNT(a.context_bytes), s->outer.bypass);
}

static void bypass_advice(const struct vg_run_failure *s, struct vg_text *out)
{
    vg_text_addf(out, "let %s take less, or give it a limit of its own", s->outer.bypass);
}

const struct vg_advice_row vg_advice_bypass = { "bypass", bypass_applies, bypass_cause,
                                                bypass_advice };
