#include "guard/array_census.h"

#include "guard/census_source.h"
#include "oom/census_arrays.h"
#include "oom/census_observer.h"
#include "unwind/python_stack.h"

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
    vg_census_source_init(out, failure->device);
    return true;
}
