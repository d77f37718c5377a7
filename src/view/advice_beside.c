#include "view/advice_beside.h"

#include "analyze/account.h"
#include "analyze/torch_facts.h"
#include "base/amount.h"
#include "view/framework.h"
#include "view/line_text.h"

static uint64_t missing_bytes(const struct vg_run_failure *f)
{
    const uint64_t deficit = vg_report_deficit(f);
    return deficit == VG_BYTES_UNKNOWN ? 0 : deficit;
}

/* The largest site of the driver's allocations that is not PyTorch's, if it is what is missing and
 * holds as much as PyTorch does. */
static const struct vg_run_site *site_beside(const struct vg_run_failure *f)
{
    const struct vg_run_sites *const sites = &f->device.sites[VG_LEVEL_ALLOCATIONS];
    const uint64_t missing = missing_bytes(f);
    for (uint32_t i = 0; missing > 0 && sites->is_known && i < sites->count; i++) {
        const struct vg_run_site *const site = &sites->entries[i];
        if (site->owner != VG_OWNER_OTHER)
            continue;
        return site->live_bytes >= missing && site->live_bytes >= f->torch.reserved_bytes ? site
                                                                                          : NULL;
    }
    return NULL;
}

/* With its caller: what allocates is often a helper of the program's. */
static void add_place(struct vg_text *out, const struct vg_run_site *site)
{
    if (site->own.file[0] && site->caller.file[0]) {
        vg_line_add(out, &site->caller);
        vg_text_add(out, " > ");
    }
    vg_line_add_site(out, site);
}

/* ---- another framework's pool in the same process ---- */

static const struct vg_framework *other_framework(const struct vg_run_failure *f)
{
    const struct vg_run_site *const site = site_beside(f);
    const struct vg_framework *const holder = site ? vg_framework_of_site(site) : NULL;
    return holder != vg_framework_of_call(f) ? holder : NULL;
}

static bool other_arena_applies(const struct vg_run_failure *f)
{
    return other_framework(f) != NULL;
}

static void other_arena_why(const struct vg_run_failure *f, struct vg_text *out)
{
    const struct vg_run_site *const site = site_beside(f);
    vg_text_addf(out, "%s in this same process holds %s", other_framework(f)->name,
                 VG_AMOUNT(site->live_bytes));
    if (site->own.file[0]) {
        vg_text_add(out, ", taken at ");
        add_place(out, site);
    }
    vg_text_add(out, ".");
}

static void other_arena_advice(const struct vg_run_failure *f, struct vg_text *out)
{
    vg_text_add(out, other_framework(f)->advice);
}

/* ---- memory beside PyTorch's ---- */

static bool beside_torch_applies(const struct vg_run_failure *f)
{
    return vg_torch_is_used(f) && site_beside(f) != NULL;
}

static void beside_torch_why(const struct vg_run_failure *f, struct vg_text *out)
{
    const struct vg_run_site *const site = site_beside(f);
    add_place(out, site);
    vg_text_addf(out, " holds %s of this GPU that is not PyTorch's", VG_AMOUNT(site->live_bytes));
    if (f->torch.reserved_bytes > 0 && vg_amount_known(f->torch.reserved_bytes))
        vg_text_addf(out, "; PyTorch has reserved %s", VG_AMOUNT(f->torch.reserved_bytes));
    vg_text_add(out, ".");
}

static void beside_torch_advice(const struct vg_run_failure *f, struct vg_text *out)
{
    (void)f;
    vg_text_add(out, "free it there before PyTorch needs the memory, or allocate less of it");
}

const struct vg_advice_row vg_advice_other_arena = { "other-arena", other_arena_applies,
                                                     other_arena_why, other_arena_advice };
const struct vg_advice_row vg_advice_beside_torch = { "beside-pytorch", beside_torch_applies,
                                                      beside_torch_why, beside_torch_advice };
