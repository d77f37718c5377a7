/* From an object to all that it leads to: by the collector's own visits, so through lists,
 * dictionaries, attributes, closures and whatever else refers to objects, without running anything.
 * Not through types and modules, which lead everywhere. */
#include "oom/census_work.h"

/* Nothing is left to be found? */
bool vg_census_is_done(struct vg_census_work *work)
{
    return work->wanted_count == 0 || vg_census_is_late(work);
}

static int push_object(void *object, void *argument)
{
    struct vg_census_work *const work = argument;
    if (vg_census_marks_add(&work->seen, (uintptr_t)object) &&
        vg_census_may_lead_on((uintptr_t)object))
        vg_census_list_push(&work->stack, (uintptr_t)object);
    return 0;
}

/* ---- tensors ---- */

static void note_reached(struct vg_census_work *work, uintptr_t tensor)
{
    if (vg_census_marks_has(&work->wanted, tensor))
        work->wanted_count--;
}

/* A gradient hangs on the tensor in C++ only. Its Python object may exist only as long as it is
 * looked at, so it is not walked through, but for one of a subclass, which keeps its parts as
 * attributes and so has to last. */
static void visit_gradient(struct vg_census_work *work, uintptr_t tensor)
{
    const uintptr_t gradient = vg_census_torch_get(work->python, &work->torch.grad, tensor);
    const enum vg_census_class class =
        gradient ? vg_census_class_of(work, vg_object_type(gradient)) : VG_CLASS_IGNORED;
    if (vg_census_is_tensor(class)) {
        const uintptr_t address = vg_census_torch_read(&work->torch, gradient).address;
        if (vg_census_marks_has(&work->wanted, gradient) &&
            vg_census_marks_add(&work->seen, gradient))
            work->wanted_count--;
        vg_census_count_storage(work, address, work->in_graph);
        if (class == VG_CLASS_TENSOR)
            vg_object_traverse(gradient, push_object, work);
    }
    work->python->api->drop((void *)gradient);
}

static void visit_tensor(struct vg_census_work *work, uintptr_t tensor)
{
    const struct vg_census_tensor facts = vg_census_torch_read(&work->torch, tensor);
    note_reached(work, tensor);
    vg_census_count_storage(work, facts.address, work->in_graph);
    if (!facts.has_autograd)
        return;
    const uintptr_t node = vg_census_torch_get(work->python, &work->torch.grad_fn, tensor);
    if (node && vg_census_class_of(work, vg_object_type(node)) == VG_CLASS_NODE) {
        vg_census_walk_graph(work, node);
        return;
    }
    work->python->api->drop((void *)node);
    visit_gradient(work, tensor);
}

/* ---- objects ---- */

static void drain_stack(struct vg_census_work *work, size_t base);

/* What the frames of an exception hold is counted on its own. Frames hold further tracebacks, but
 * once is enough. */
static void visit_traceback(struct vg_census_work *work, uintptr_t object)
{
    const size_t base = work->stack.count;
    vg_object_traverse(object, push_object, work);
    if (work->in_traceback)
        return;
    work->in_traceback = true;
    drain_stack(work, base);
    work->in_traceback = false;
}

static void visit_object(struct vg_census_work *work, uintptr_t object)
{
    const enum vg_census_class class = vg_census_class_of(work, vg_object_type(object));
    switch (class) {
    case VG_CLASS_IGNORED: return;
    case VG_CLASS_TRACEBACK: visit_traceback(work, object); return;
    case VG_CLASS_NODE:
        if (!work->in_graph) {
            work->python->api->take((void *)object);
            vg_census_walk_graph(work, object);
            return;
        }
        break;
    case VG_CLASS_TENSOR:
    case VG_CLASS_EXACT_TENSOR: visit_tensor(work, object); break;
    default:
        if (vg_census_is_array(class)) {
            note_reached(work, object);
            vg_census_count_array(work, class, object);
        }
    }
    vg_object_traverse(object, push_object, work);
}

static void drain_stack(struct vg_census_work *work, size_t base)
{
    while (work->stack.count > base && !vg_census_is_done(work))
        visit_object(work, vg_census_list_at(&work->stack, --work->stack.count));
    if (work->stack.count > base)
        work->stack.count = base;
}

void vg_census_reach(struct vg_census_work *work, uintptr_t object)
{
    const size_t base = work->stack.count;
    vg_census_marks_add(&work->seen, object);
    if (vg_census_may_lead_on(object))
        visit_object(work, object);
    drain_stack(work, base);
}
