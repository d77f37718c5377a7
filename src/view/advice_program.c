#include "view/advice_program.h"

#include <string.h>

#include "analyze/account.h"
#include "analyze/outcome.h"
#include "analyze/torch_facts.h"
#include "base/amount.h"
#include "machine/machine.h"
#include "view/advice_text.h"

/* Those of the others that have any of `flags`. */
struct group {
    uint64_t bytes;
    uint32_t count;
    const struct vg_run_other *largest, *smallest; /* NULL: there are none */
};

static struct group find_group(const struct vg_run_failure *s, uint32_t flags)
{
    struct group group = { .bytes = 0 };
    for (uint32_t i = 0; i < s->device.process_count; i++) {
        const struct vg_run_other *const one = &s->device.processes[i];
        if (!(one->flags & flags) || !vg_amount_known(one->bytes) || one->bytes == 0)
            continue;
        group.bytes += one->bytes;
        group.count++;
        if (!group.largest || one->bytes > group.largest->bytes)
            group.largest = one;
        if (!group.smallest || one->bytes < group.smallest->bytes)
            group.smallest = one;
    }
    return group;
}

/* ---- the own program ---- */

/* Calls that name no amount make contexts and the like. */
#define CONTEXT_BYTES VG_GIB

static bool own_program_applies(const struct vg_run_failure *s)
{
    uint64_t deficit;
    const struct group group = find_group(s, VG_PROCESS_OWN_PROGRAM);
    if (!group.largest)
        return false;
    if (!vg_amount_known(s->asked_bytes))
        return vg_amount_known(s->device.gpu.free_bytes) &&
               s->device.gpu.free_bytes < CONTEXT_BYTES;
    return vg_advice_lacks_memory(s, &deficit) && group.bytes >= deficit;
}

/* Ranks of a distributed job have a GPU each, as a rule; workers of one program share it. */
static bool is_rank(const struct vg_run_other *process)
{
    return (process->flags & VG_PROCESS_JOB) && process->rank >= 0;
}

static void own_program_cause(const struct vg_run_failure *s, struct vg_text *out)
{
    const struct group group = find_group(s, VG_PROCESS_OWN_PROGRAM);
    const char *const what = is_rank(group.largest) ? "rank" : "process";
    if (group.count > 1) {
        vg_text_addf(out, "%u other %s%s of this job hold %s of this GPU together, the most of it ",
                     group.count, what, is_rank(group.largest) ? "s" : "es",
                     VG_AMOUNT(group.bytes));
        vg_advice_add_process(out, s, group.largest);
        vg_text_addf(out, " with %s", VG_AMOUNT(group.largest->bytes));
    } else {
        vg_advice_add_process(out, s, group.largest);
        vg_text_addf(out, ", %s, holds %s",
                     group.largest->flags & VG_PROCESS_PARENT  ? "which started this process"
                     : group.largest->flags & VG_PROCESS_CHILD ? "which this process started"
                                                               : "of the same job",
                     VG_AMOUNT(group.bytes));
    }
    vg_text_add(out, "; without that this would fit, but it does not come free while this waits.");
}

static void own_program_advice(const struct vg_run_failure *s, struct vg_text *out)
{
    const struct group group = find_group(s, VG_PROCESS_OWN_PROGRAM);
    if (is_rank(group.largest) && s->torch.loaded)
        vg_text_add(
            out,
            "give each rank its own GPU: torch.cuda.set_device(local_rank) before anything "
            "uses CUDA, and torch.load(..., map_location=\"cpu\"), which else loads onto the "
            "GPU that the file was saved from");
    else if (is_rank(group.largest))
        vg_text_add(out, "give each rank its own GPU, for example by CUDA_VISIBLE_DEVICES");
    else
        vg_text_add(out,
                    "use CUDA in fewer processes: each has a context of some hundred MiB; let "
                    "workers prepare data on the CPU, and the main process move it to the GPU");
}

const struct vg_advice_row vg_advice_own_program = { "own-program", own_program_applies,
                                                     own_program_cause, own_program_advice };

/* ---- a context each ---- */

/* Others of the program hold no more than contexts take, and this one's does not fit. */
static bool worker_contexts_applies(const struct vg_run_failure *s)
{
    const struct group workers = find_group(s, VG_PROCESS_JOB | VG_PROCESS_CHILD);
    return !vg_amount_known(s->asked_bytes) && own_program_applies(s) && workers.count > 1 &&
           workers.largest->bytes < CONTEXT_BYTES && !is_rank(workers.largest);
}

static void worker_contexts_cause(const struct vg_run_failure *s, struct vg_text *out)
{
    const struct group workers = find_group(s, VG_PROCESS_JOB | VG_PROCESS_CHILD);
    const struct group parent = find_group(s, VG_PROCESS_PARENT);
    vg_text_addf(out,
                 "a context on the GPU takes some hundred MiB, and %s are free: %u other "
                 "processes of this program hold ",
                 VG_AMOUNT(s->device.gpu.free_bytes), workers.count);
    if (workers.smallest->bytes != workers.largest->bytes)
        vg_text_addf(out, "%s to ", VG_AMOUNT(workers.smallest->bytes));
    vg_text_addf(out, "%s each, %s together", VG_AMOUNT(workers.largest->bytes),
                 VG_AMOUNT(workers.bytes));
    if (parent.largest) {
        vg_text_add(out, "; ");
        vg_advice_add_process(out, s, parent.largest);
        vg_text_addf(out, ", which started this process, holds %s", VG_AMOUNT(parent.bytes));
    }
    vg_text_add(out, ".");
}

static void worker_contexts_advice(const struct vg_run_failure *s, struct vg_text *out)
{
    vg_text_add(out,
                "start fewer of them, or let them prepare data on the CPU and the main "
                "process move it to the GPU");
    if (s->torch.loaded)
        vg_text_add(out, " (a DataLoader's num_workers and pin_memory=True)");
}

const struct vg_advice_row vg_advice_worker_contexts = { "worker-contexts", worker_contexts_applies,
                                                         worker_contexts_cause,
                                                         worker_contexts_advice };

/* ---- left behind ---- */

static bool orphan_applies(const struct vg_run_failure *s)
{
    uint64_t deficit;
    const struct group group = find_group(s, VG_PROCESS_ORPHAN);
    return vg_advice_lacks_memory(s, &deficit) && group.largest && group.largest->bytes >= deficit;
}

static void orphan_cause(const struct vg_run_failure *s, struct vg_text *out)
{
    const struct group group = find_group(s, VG_PROCESS_ORPHAN);
    vg_advice_add_process(out, s, group.largest);
    vg_text_addf(out,
                 " holds %s, and the program that started it has ended; without it this would fit.",
                 VG_AMOUNT(group.largest->bytes));
}

static void orphan_advice(const struct vg_run_failure *s, struct vg_text *out)
{
    const struct group group = find_group(s, VG_PROCESS_ORPHAN);
    vg_text_addf(out, "end it if nobody needs it any more: kill %d", group.largest->pid);
    vg_advice_add_other_gpu(out, s);
}

const struct vg_advice_row vg_advice_orphan = { "orphan", orphan_applies, orphan_cause,
                                                orphan_advice };

/* ---- unused, but kept ---- */

/* The neighbour that keeps the most unused; NULL when none has said that it does. */
static const struct vg_run_other *idle_neighbour(const struct vg_run_failure *s)
{
    const struct vg_run_other *best = NULL;
    for (uint32_t i = 0; i < s->device.process_count; i++) {
        const struct vg_run_other *const one = &s->device.processes[i];
        if (vg_amount_known(one->idle_bytes) && one->idle_bytes > (best ? best->idle_bytes : 0))
            best = one;
    }
    return best;
}

static bool idle_neighbour_applies(const struct vg_run_failure *s)
{
    uint64_t deficit;
    const struct vg_run_other *const one = idle_neighbour(s);
    return vg_advice_lacks_memory(s, &deficit) && one && one->idle_bytes >= deficit;
}

static void idle_neighbour_cause(const struct vg_run_failure *s, struct vg_text *out)
{
    const struct vg_run_other *const one = idle_neighbour(s);
    vg_advice_add_process(out, s, one);
    vg_text_addf(out,
                 " keeps %s in memory pools that it does not use now; with that this would fit.",
                 VG_AMOUNT(one->idle_bytes));
}

static bool has_waited(const struct vg_run_failure *s)
{
    for (uint32_t i = 0; i < s->action_count; i++)
        if (strcmp(s->actions[i].name, "wait") == 0)
            return true;
    return false;
}

static void idle_neighbour_advice(const struct vg_run_failure *s, struct vg_text *out)
{
    if (!has_waited(s)) /* who waits asks for it */
        vg_text_add(out, "have it asked to give that back: VRAMGUARD_POLICY=trim,wait; or ");
    vg_text_add(out,
                "in that program lower the pool's release threshold, or trim it between "
                "phases: cudaMemPoolTrimTo");
}

const struct vg_advice_row vg_advice_idle_neighbour = { "idle-neighbour", idle_neighbour_applies,
                                                        idle_neighbour_cause,
                                                        idle_neighbour_advice };
