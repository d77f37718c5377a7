#include "view/advice_waste.h"

#include "analyze/holder.h"
#include "base/size.h"
#include "view/advice_blocks.h"
#include "view/advice_graphs.h"

static uint64_t traceback_bytes(const struct vg_run_failure *f)
{
    const struct vg_census_variable *const variable =
        vg_holder_of_traceback(f, vg_advice_missing_bytes(f));
    return variable ? variable->traceback.bytes : 0;
}

static uint64_t garbage_bytes(const struct vg_run_failure *f)
{
    const struct vg_census *const census = vg_holder_census(f);
    return census ? census->garbage.bytes : 0;
}

static uint64_t results_bytes(const struct vg_run_failure *f, enum vg_holder_results wanted)
{
    const struct vg_census_variable *const variable =
        vg_holder_of_results(f, wanted, vg_advice_missing_bytes(f));
    return variable ? vg_holder_kept_bytes(variable) : 0;
}

static uint64_t graphs_bytes(const struct vg_run_failure *f)
{
    return results_bytes(f, VG_RESULTS_WITH_GRAPHS);
}

static uint64_t growing_bytes(const struct vg_run_failure *f)
{
    return results_bytes(f, VG_RESULTS_GROWING);
}

static uint64_t chain_bytes(const struct vg_run_failure *f)
{
    uint32_t uses;
    const struct vg_census_variable *const variable =
        vg_holder_of_chain(f, vg_advice_missing_bytes(f), &uses);
    return variable ? variable->graph.bytes : 0;
}

static uint64_t pool_bytes(const struct vg_run_failure *f)
{
    return f->torch.graph_bytes;
}

/* In the order of the table of causes. */
static const struct {
    const struct vg_advice_row *row;
    uint64_t (*bytes)(const struct vg_run_failure *f);
} wastes[] = {
    { &vg_advice_traceback, traceback_bytes }, { &vg_advice_garbage, garbage_bytes },
    { &vg_advice_kept_graphs, graphs_bytes },  { &vg_advice_graph_pools, pool_bytes },
    { &vg_advice_chained_graph, chain_bytes }, { &vg_advice_kept_results, growing_bytes },
};

enum { WASTES = sizeof wastes / sizeof wastes[0] };

const struct vg_advice_row *vg_advice_largest_waste(const struct vg_advice_row *row,
                                                    const struct vg_run_failure *f)
{
    uint64_t most_bytes = 0;
    size_t i = 0;
    while (i < WASTES && wastes[i].row != row)
        i++;
    for (; i < WASTES; i++) {
        const uint64_t bytes = wastes[i].row->applies(f) ? wastes[i].bytes(f) : 0;
        if (bytes > most_bytes) {
            most_bytes = bytes;
            row = wastes[i].row;
        }
    }
    return row;
}

bool vg_advice_add_of_tensors(const struct vg_run_failure *f, const char *before,
                              struct vg_text *out)
{
    static const struct vg_advice_row *const rows[] = {
        &vg_advice_traceback,     &vg_advice_garbage,     &vg_advice_kept_graphs,
        &vg_advice_chained_graph, &vg_advice_evaluation,  &vg_advice_kept_results,
        &vg_advice_kept_models,   &vg_advice_model_twice, &vg_advice_optimizer,
        &vg_advice_growing_line,  &vg_advice_activations, &vg_advice_parameters,
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i]->applies(f)) {
            vg_text_add(out, before);
            vg_advice_largest_waste(rows[i], f)->advice(f, out);
            return true;
        }
    return false;
}
