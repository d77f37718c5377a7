#include "view/advice_graphs.h"

#include "base/amount.h"
#include "view/advice_blocks.h"
#include "view/advice_text.h"

/* ---- PyTorch's private pools ---- */

/* PyTorch gives back the memory of a private pool when the last graph that was captured into it is
 * gone (PyTorch, notes on CUDA semantics, "Graph memory management"). */
static bool pools_applies(const struct vg_run_failure *f)
{
    const uint64_t bytes = f->torch.graph_bytes;
    return f->torch.tells_blocks && bytes > 0 && vg_advice_missing_bytes(f) > 0 &&
           bytes >= vg_advice_missing_bytes(f) && bytes > f->torch.reserved_bytes / 2 &&
           vg_advice_outweighs_others(f, bytes);
}

static void pools_why(const struct vg_run_failure *f, struct vg_text *out)
{
    const uint32_t count = f->torch.graph_count;
    vg_text_addf(out,
                 "the private pools of CUDA graphs hold %s of PyTorch's %s: %u capture%s took it, "
                 "and it stays until the graph%s deleted.",
                 VG_AMOUNT(f->torch.graph_bytes), VG_AMOUNT(f->torch.reserved_bytes), count,
                 count == 1 ? "" : "s", count == 1 ? " is" : "s are");
}

/* One pool for several graphs: "it's also safe to share a memory pool across separate graphs" that
 * do not depend on each other's outputs and never run at the same time (PyTorch, notes on CUDA
 * semantics, "Sharing memory across captures"). */
static void pools_advice(const struct vg_run_failure *f, struct vg_text *out)
{
    if (f->torch.graph_count > 1 && f->torch.graph_reuser_count == 0)
        vg_text_add(out,
                    "one pool for graphs that never run at the same time: torch.cuda.graph(g, "
                    "pool=first.pool()), the largest captured first; ");
    else if (f->torch.graph_count > 1)
        vg_text_add(out, "capture the largest first, so that the others fit into its memory; ");
    vg_text_add(out,
                "capture fewer or smaller sizes; delete graphs that are not replayed any more");
}

/* ---- memory of graphs themselves ---- */

static bool memory_applies(const struct vg_run_failure *f)
{
    uint64_t deficit;
    const uint64_t bytes = vg_advice_or_zero(f->device.graph_used_bytes);
    return vg_advice_lacks_memory(f, &deficit) && bytes >= deficit &&
           bytes > vg_advice_or_zero(f->device.live_bytes) && vg_advice_outweighs_others(f, bytes);
}

static void memory_why(const struct vg_run_failure *f, struct vg_text *out)
{
    vg_text_addf(out,
                 "allocations that CUDA graphs of this process have made by themselves hold %s.",
                 VG_AMOUNT(f->device.graph_used_bytes));
}

static void memory_advice(const struct vg_run_failure *f, struct vg_text *out)
{
    (void)f;
    vg_text_add(out,
                "have each graph free what it allocates (cudaFreeAsync within the capture), and "
                "destroy graphs that are not launched any more (cudaGraphExecDestroy)");
}

const struct vg_advice_row vg_advice_graph_pools = { "graph-pools", pools_applies, pools_why,
                                                     pools_advice };
const struct vg_advice_row vg_advice_graph_memory = { "graph-memory", memory_applies, memory_why,
                                                      memory_advice };
