#include "cli/run_view.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "analyze/account.h"
#include "base/amount.h"
#include "view/render.h"

int vg_run_view_open(struct vg_run_view *view, const char *path, bool names, char *why,
                     size_t why_cap)
{
    int error = vg_reader_open(&view->reader, path, why, why_cap);
    if (error)
        return error;
    error = vg_reader_load(&view->reader);
    view->symbols = error || !names ? NULL : vg_symbols_open(&view->reader);
    if (error) {
        snprintf(why, why_cap, "%s", strerror(-error));
        vg_reader_close(&view->reader);
        return error;
    }
    const struct vg_address_names symbols =
        view->symbols ? vg_symbols_names(view->symbols) : (struct vg_address_names){ .name = NULL };
    view->region = vg_region_over(NULL, 0);
    vg_file_source_init(&view->source, &view->reader, path, &symbols);
    vg_file_source_build(&view->source, &view->region, &view->run);
    return 0;
}

void vg_run_view_close(struct vg_run_view *view)
{
    vg_region_release(&view->region);
    vg_symbols_close(view->symbols);
    vg_reader_close(&view->reader);
}

uint64_t vg_run_live_bytes(const struct vg_run *run)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < run->device_count; i++)
        if (!run->devices[i].is_host && vg_amount_known(run->devices[i].counted_bytes))
            sum += run->devices[i].counted_bytes;
    return sum;
}

uint64_t vg_run_peak_bytes(const struct vg_run *run)
{
    uint64_t peak = 0;
    for (uint32_t i = 0; i < run->device_count; i++)
        if (!run->devices[i].is_host && run->devices[i].peak_bytes > peak)
            peak = run->devices[i].peak_bytes;
    return peak;
}

void vg_run_add_devices(struct vg_text *out, const struct vg_run *run)
{
    bool any = false;
    for (uint32_t i = 0; i < run->device_count; i++) {
        if (run->devices[i].is_host)
            continue;
        vg_text_addf(out, "%s%d", any ? "," : "", run->devices[i].gpu.ordinal);
        any = true;
    }
    if (!any)
        vg_text_add(out, "-");
}

static void add_out_of_memory(struct vg_text *out, const struct vg_run *run)
{
    const struct vg_run_failure *const last =
        run->failure_count > 0 ? &run->failures[run->failure_count - 1] : NULL;
    vg_text_add(out, vg_report_kind(last ? last->refused_by : VG_REFUSED_BY_DRIVER));
    if (!last)
        return;
    if (vg_amount_known(last->asked_bytes))
        vg_text_addf(out, ": asked %s", VG_AMOUNT(last->asked_bytes));
    else
        vg_text_addf(out, " in %s", last->api);
    vg_text_addf(out, ", free %s", VG_AMOUNT(vg_report_available(last)));
}

void vg_run_add_end(struct vg_text *out, const struct vg_run *run)
{
    const struct vg_run_process *const process = &run->process;
    const uint32_t failures = run->failure_total;
    const bool survived = process->state == VG_RUN_ALIVE ||
                          (process->state == VG_RUN_EXITED && process->exit_status == 0);
    if (failures > 0 && !survived) {
        add_out_of_memory(out, run);
        return;
    }
    switch (process->state) {
    case VG_RUN_ALIVE: vg_text_add(out, "running"); break;
    case VG_RUN_EXITED: vg_text_addf(out, "exit %d", process->exit_status); break;
    case VG_RUN_GONE:
        vg_text_addf(out, "killed, %s live", VG_AMOUNT(vg_run_live_bytes(run)));
        break;
    default: vg_text_addf(out, "unknown, ran on %s", process->host); break;
    }
    if (run->spill_peak_bytes > 0)
        vg_text_addf(out, ", spilled %s", VG_AMOUNT(run->spill_peak_bytes));
    if (run->rescue_total > 0)
        vg_text_addf(out, ", rescued %u time%s", run->rescue_total,
                     run->rescue_total == 1 ? "" : "s");
    if (failures > 0)
        vg_text_addf(out, ", survived %u failure%s", failures, failures == 1 ? "" : "s");
}
