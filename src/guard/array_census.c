#include "guard/array_census.h"

#include "driver/captures.h"
#include "guard/torch_blocks.h"
#include "oom/census_arrays.h"
#include "oom/census_observer.h"
#include "unwind/python_stack.h"

/* The thread that takes the census may be late, so it is given nothing that could end: `argument`
 * is the number of the device. */
static uint16_t device_of(const void *argument)
{
    return (uint16_t)(uintptr_t)argument;
}

/* PyTorch's blocks, where it is loaded, too. */
static struct vg_blocks *current_blocks(void)
{
    struct vg_process_state *const state = vg_process_start();
    return state && state->wants_blocks ? &state->blocks : NULL;
}

static bool find_block(void *argument, uintptr_t address, struct vg_census_block *out)
{
    struct vg_blocks *const blocks = current_blocks();
    return blocks && vg_torch_blocks_find(blocks, device_of(argument), address, out);
}

static struct vg_recorder *current_recorder(void *argument)
{
    struct vg_blocks *const blocks = current_blocks();
    (void)argument;
    return blocks ? blocks->recorder : NULL;
}

static void total_blocks(void *argument, struct vg_census_amount *out)
{
    struct vg_blocks *const blocks = current_blocks();
    *out = (struct vg_census_amount){ 0 };
    if (!blocks)
        return;
    const struct vg_file_blocks totals = vg_blocks_totals(blocks, device_of(argument));
    *out = (struct vg_census_amount){ .bytes = totals.allocated_bytes,
                                      .blocks = totals.allocations - totals.frees };
}

static uint64_t count_given(void *argument)
{
    struct vg_blocks *const blocks = current_blocks();
    return blocks ? vg_blocks_totals(blocks, device_of(argument)).allocations : 0;
}

static bool is_not_capturing(void *argument)
{
    (void)argument;
    return !vg_captures_live();
}

static bool would_say_something(const struct vg_process_state *state,
                                const struct vg_failure *failure)
{
    return state->options->tensors.number == VG_TENSORS_FULL && failure->device >= 0 &&
           failure->device < VG_FILE_HOST && failure->refused_by != VG_REFUSED_BY_INJECT &&
           !failure->lacks_elsewhere;
}

/* A PyTorch without observers gives up with its mutex held, which a thread that has the GIL may
 * wait for: then the census does not come in time. */
static bool may_have_tensors(const struct vg_failure *failure)
{
    return failure->below_pytorch && vg_census_attachment() == VG_CENSUS_NOT_POSSIBLE;
}

static bool may_have_arrays(const struct vg_failure *failure)
{
    return !failure->below_pytorch && vg_census_arrays_may_exist();
}

bool vg_array_census_prepare(const struct vg_process_state *state, const struct vg_failure *failure,
                             struct vg_census_source *out)
{
    if (failure->capturing || !would_say_something(state, failure))
        return false;
    vg_python_look();
    if (!vg_python_is_found() || !(may_have_tensors(failure) || may_have_arrays(failure)))
        return false;
    *out = (struct vg_census_source){ .find_block = find_block,
                                      .total = total_blocks,
                                      .given = count_given,
                                      .may_begin = is_not_capturing,
                                      .recorder = current_recorder,
                                      .argument = (void *)(uintptr_t)failure->device,
                                      .device = failure->device,
                                      .jax_platform = "gpu" };
    return true;
}
