#include "cli/live.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/amount.h"

struct site {
    uint64_t bytes, count;
    uint32_t stack_id;
};

struct gathering {
    struct vg_oom_report *out;
    struct site *sites; /* [stack id]; [0] for allocations without a known stack */
    size_t site_cap;
    uint16_t device;
};

static int add_slot(const struct vg_live_slot *slot, void *argument)
{
    struct gathering *const g = argument;
    if (slot->device != g->device || slot->bytes == 0)
        return 0;
    g->out->live_bytes += slot->bytes;
    g->out->live_count++;
    const unsigned kind = slot->kind < VG_OOM_KINDS ? slot->kind : VG_KIND_NONE;
    g->out->kind_bytes[kind] += slot->bytes;
    g->out->kind_count[kind]++;
    g->out->size_class_count[63 - __builtin_clzll(slot->bytes)]++;
    struct site *const site = &g->sites[slot->stack_id < g->site_cap ? slot->stack_id : 0];
    site->bytes += slot->bytes;
    site->count++;
    return 0;
}

static int larger_first(const void *a, const void *b)
{
    const struct site *const x = a, *const y = b;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? 1 : -1;
    return (x->stack_id > y->stack_id) - (x->stack_id < y->stack_id);
}

static void fill_sites(const struct gathering *g, struct vg_symbols *symbols)
{
    struct vg_oom_report *const out = g->out;
    for (size_t i = 0; i < g->site_cap; i++)
        g->sites[i].stack_id = (uint32_t)i;
    qsort(g->sites, g->site_cap, sizeof *g->sites, larger_first);
    for (size_t i = 0; i < g->site_cap && g->sites[i].count > 0; i++) {
        const struct site *const site = &g->sites[i];
        if (out->site_count == VG_OOM_SITES) {
            out->other_site_count++;
            out->other_site_bytes += site->bytes;
            out->other_site_allocations += site->count;
            continue;
        }
        struct vg_oom_site *const shown = &out->sites[out->site_count++];
        shown->bytes = site->bytes;
        shown->count = site->count;
        shown->stack_id = site->stack_id;
        vg_symbols_label(symbols, site->stack_id, shown->label, sizeof shown->label);
    }
}

int vg_live_collect(struct vg_reader *reader, struct vg_symbols *symbols, uint16_t device,
                    struct vg_oom_report *out)
{
    const struct vg_file_device *const recorded = &reader->header->devices[device];
    struct gathering g = { .out = out,
                           .site_cap = reader->stack_cap ? reader->stack_cap : 1,
                           .device = device };
    memset(out, 0, sizeof *out);
    g.sites = calloc(g.site_cap, sizeof *g.sites);
    if (!g.sites)
        return -ENOMEM;
    const int error = vg_reader_each_live(reader, add_slot, &g);
    if (!error)
        fill_sites(&g, symbols);
    free(g.sites);
    out->peak_bytes = recorded->peak_bytes;
    /* An incomplete file has fewer allocations than the process had. */
    const bool incomplete = reader->header->memory_only || reader->damage.missing_bytes > 0;
    if (incomplete && vg_amount_known(recorded->live_bytes) &&
        recorded->live_bytes > out->live_bytes)
        out->live_bytes = recorded->live_bytes;
    return error;
}
