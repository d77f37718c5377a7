#include "view/arena_text.h"

#include "base/amount.h"
#include "view/framework.h"
#include "view/line_text.h"

/* Without its pool a framework takes each array from the driver: smaller pieces, and many. */
enum { PIECES_OF_GPU = 8 };

static bool is_pool(const struct vg_run_device *device, const struct vg_run_site *site)
{
    return vg_amount_known(site->peak_bytes) && vg_amount_known(device->gpu.total_bytes) &&
           site->peak_count > 0 && site->peak_count < PIECES_OF_GPU &&
           site->peak_bytes / site->peak_count >= device->gpu.total_bytes / PIECES_OF_GPU;
}

bool vg_arena_render(const struct vg_run_device *device, struct vg_text *out)
{
    const struct vg_run_sites *const sites = &device->sites[VG_LEVEL_ALLOCATIONS];
    for (uint32_t i = 0; sites->is_known && i < sites->count; i++) {
        const struct vg_run_site *const site = &sites->entries[i];
        const struct vg_framework *const holder =
            is_pool(device, site) ? vg_framework_of_site(site) : NULL;
        if (!holder || !holder->pool[0])
            continue;
        vg_text_addf(out, "%s held %s of GPU %d at the peak in %llu piece%s", holder->name,
                     VG_AMOUNT(site->peak_bytes), device->gpu.ordinal,
                     (unsigned long long)site->peak_count, site->peak_count == 1 ? "" : "s");
        if (site->own.file[0]) {
            vg_text_add(out, ", taken at ");
            vg_line_add(out, &site->own);
        }
        vg_text_addf(out, ": a pool of its own. What it refuses by itself is not seen here: %s.",
                     holder->pool);
        return true;
    }
    return false;
}
