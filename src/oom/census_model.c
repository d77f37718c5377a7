/* Models and optimizers: whose parameters, gradients, states and buffers the storages are. Of a
 * torch.nn.Module only its own dictionaries are read, never its attributes. */
#include <string.h>

#include "base/text.h"
#include "oom/census_work.h"

enum {
    DEPTH_MAX = 64,  /* of modules in modules, which may go round */
    STATE_DEPTH = 4, /* of containers in an optimizer's state */
    OUTERMOST_MAX = VG_CENSUS_MODULES / 2,
};

struct vg_census_model *vg_census_model_number(const struct vg_census_work *work, uint32_t number)
{
    return (struct vg_census_model *)work->modules.items + number;
}

uint32_t vg_census_outermost(const struct vg_census_work *work, uint32_t number)
{
    for (int depth = 0; depth < DEPTH_MAX; depth++) {
        const uint32_t parent = vg_census_model_number(work, number)->parent;
        if (parent == VG_CENSUS_NO_MODULE)
            break;
        number = parent;
    }
    return number;
}

/* ---- claiming tensors ---- */

struct claim {
    struct vg_census_work *work;
    enum vg_census_kind kind;
    uint32_t module;
    uint32_t depth; /* of containers that may still be entered */
};

static int claim_object(void *object, void *argument);

static void claim_parts(const struct claim *claim, uintptr_t object)
{
    struct claim inner = *claim;
    if (inner.depth == 0)
        return;
    inner.depth--;
    vg_object_traverse(object, claim_object, &inner);
}

/* A parameter of a module that lies in no live block: in host memory, mostly. */
static void count_elsewhere(const struct claim *claim, uintptr_t parameter)
{
    struct vg_census_work *const work = claim->work;
    const uintptr_t type = vg_object_type(parameter);
    if (claim->kind == VG_CENSUS_PARAMETER && claim->module != VG_CENSUS_NO_MODULE &&
        vg_census_class_of(work, type) == VG_CLASS_EXACT_TENSOR &&
        vg_census_marks_add(&work->elsewhere, parameter))
        vg_census_model_number(work, vg_census_outermost(work, claim->module))->elsewhere_bytes +=
            vg_census_numbers_bytes(work, parameter);
}

static void claim_tensor(const struct claim *claim, uintptr_t tensor)
{
    struct vg_census_work *const work = claim->work;
    const uintptr_t address = vg_census_torch_read(&work->torch, tensor).address;
    struct vg_census_storage *const storage = vg_census_storage_at(work, address);
    if (storage && storage->kind == VG_CENSUS_OTHER) {
        storage->kind = (uint8_t)claim->kind;
        storage->module = claim->module;
    }
    if (storage)
        return;
    count_elsewhere(claim, tensor);
    /* One of a subclass may stand for others, as a DTensor for its local one. */
    claim_parts(claim, tensor);
}

static int claim_object(void *object, void *argument)
{
    const struct claim *const claim = argument;
    const uintptr_t type = vg_object_type((uintptr_t)object);
    const uint64_t containers = VG_TYPE_IS_DICT | VG_TYPE_IS_LIST | VG_TYPE_IS_TUPLE;
    switch (vg_census_class_of(claim->work, type)) {
    case VG_CLASS_TENSOR:
    case VG_CLASS_EXACT_TENSOR: claim_tensor(claim, (uintptr_t)object); break;
    case VG_CLASS_IGNORED: break;
    default:
        if (vg_type_flags(type) & containers)
            claim_parts(claim, (uintptr_t)object);
    }
    return 0;
}

/* All values of the dictionary that the module keeps under `name`. */
static void claim_dict(struct vg_census_work *work, uint32_t module, const char *name,
                       enum vg_census_kind kind)
{
    struct claim claim = { .work = work, .kind = kind, .module = module, .depth = 1 };
    const uintptr_t own = vg_census_model_number(work, module)->dict;
    const uintptr_t dict = own ? vg_census_dict_find(work->python, own, name) : 0;
    intptr_t position = 0;
    void *key, *value;
    if (!dict || !(vg_type_flags(vg_object_type(dict)) & VG_TYPE_IS_DICT))
        return;
    while (work->python->next_item((void *)dict, &position, &key, &value))
        claim_object(value, &claim);
}

/* ---- modules ---- */

static void number_models(struct vg_census_work *work)
{
    for (size_t i = 0; i < work->models.count && !vg_census_is_late(work); i++) {
        const uintptr_t object = vg_census_list_at(&work->models, i);
        bool is_new;
        struct vg_census_model *const model = vg_census_list_add(&work->modules);
        if (!model || !vg_census_map_put(&work->model_of, object, work->modules.count - 1, &is_new))
            return;
        model->object = object;
        model->parent = VG_CENSUS_NO_MODULE;
        model->dict = vg_census_instance_dict(work->python, object);
    }
}

static void adopt_children(struct vg_census_work *work, uint32_t parent)
{
    const uintptr_t own = vg_census_model_number(work, parent)->dict;
    const uintptr_t dict = own ? vg_census_dict_find(work->python, own, "_modules") : 0;
    intptr_t position = 0;
    void *name, *child;
    if (!dict || !(vg_type_flags(vg_object_type(dict)) & VG_TYPE_IS_DICT))
        return;
    while (work->python->next_item((void *)dict, &position, &name, &child)) {
        const uint64_t *const number = vg_census_map_get(&work->model_of, (uintptr_t)child);
        struct vg_census_model *const model =
            number ? vg_census_model_number(work, (uint32_t)*number) : NULL;
        if (!model || model->parent != VG_CENSUS_NO_MODULE || *number == parent)
            continue;
        model->parent = parent;
        model->name = (uintptr_t)name;
    }
}

/* ---- gradients and optimizers ---- */

/* Whose gradient it is decides about the module. */
static void claim_gradient(struct vg_census_work *work, uintptr_t leaf)
{
    const uintptr_t gradient = vg_census_torch_get(work->python, &work->torch.grad, leaf);
    if (gradient && gradient != (uintptr_t)work->python->api->none) {
        const struct vg_census_storage *const owner = vg_census_storage_of(work, leaf);
        struct claim claim = { .work = work, .kind = VG_CENSUS_GRADIENT, .depth = 1 };
        claim.module = owner ? owner->module : VG_CENSUS_NO_MODULE;
        claim_object((void *)gradient, &claim);
    }
    work->python->api->drop((void *)gradient);
}

/* `state` is a dictionary from parameters to what is kept for each. */
static void claim_state(struct vg_census_work *work, uintptr_t optimizer)
{
    const uintptr_t own = vg_census_instance_dict(work->python, optimizer);
    const uintptr_t state = own ? vg_census_dict_find(work->python, own, "state") : 0;
    intptr_t position = 0;
    void *key, *value;
    if (!state || !(vg_type_flags(vg_object_type(state)) & VG_TYPE_IS_DICT))
        return;
    while (work->python->next_item((void *)state, &position, &key, &value)) {
        struct claim claim = { .work = work,
                               .kind = VG_CENSUS_OPTIMIZER,
                               .module = VG_CENSUS_NO_MODULE,
                               .depth = STATE_DEPTH };
        const enum vg_census_class class = vg_census_class_of(work, vg_object_type((uintptr_t)key));
        if (vg_census_is_tensor(class)) {
            const struct vg_census_storage *const owner =
                vg_census_storage_of(work, (uintptr_t)key);
            claim.module = owner ? owner->module : VG_CENSUS_NO_MODULE;
        }
        claim_object(value, &claim);
    }
}

void vg_census_claim_models(struct vg_census_work *work)
{
    struct claim alone = { .work = work,
                           .kind = VG_CENSUS_PARAMETER,
                           .module = VG_CENSUS_NO_MODULE };
    number_models(work);
    for (uint32_t i = 0; i < work->modules.count && !vg_census_is_late(work); i++)
        adopt_children(work, i);
    for (uint32_t i = 0; i < work->modules.count && !vg_census_is_late(work); i++)
        claim_dict(work, i, "_parameters", VG_CENSUS_PARAMETER);
    for (uint32_t i = 0; i < work->modules.count && !vg_census_is_late(work); i++)
        claim_dict(work, i, "_buffers", VG_CENSUS_BUFFER);
    for (size_t i = 0; i < work->leaves.count && !vg_census_is_late(work); i++) {
        const uintptr_t leaf = vg_census_list_at(&work->leaves, i);
        if (work->torch.parameter && vg_object_type(leaf) == work->torch.parameter)
            claim_tensor(&alone, leaf);
        claim_gradient(work, leaf);
    }
    for (size_t i = 0; i < work->optimizers.count && !vg_census_is_late(work); i++)
        claim_state(work, vg_census_list_at(&work->optimizers, i));
}

/* ---- into the result ---- */

/* Adds each storage to its module and to all those around it. */
static void sum_modules(struct vg_census_work *work)
{
    for (size_t i = 0; i < work->storages.count; i++) {
        const struct vg_census_storage *const storage = vg_census_storage_number(work, i);
        uint32_t module = storage->module;
        if (storage->kind >= VG_CENSUS_MODEL_KINDS)
            continue;
        for (int depth = 0; module != VG_CENSUS_NO_MODULE && depth < DEPTH_MAX; depth++) {
            struct vg_census_model *const model = vg_census_model_number(work, module);
            vg_census_amount_add(&model->amount[storage->kind], storage->bytes);
            model->bytes += storage->bytes;
            module = model->parent;
        }
    }
}

/* "Net.encoder.layer": the outermost's class, then names; of one too long, the end. */
static void write_path(const struct vg_census_work *work, uint32_t module,
                       struct vg_census_module *out)
{
    char part[VG_CENSUS_PATH_CAP], path[VG_CENSUS_PATH_CAP] = "";
    for (int depth = 0; depth < DEPTH_MAX; depth++) {
        const struct vg_census_model *const model = vg_census_model_number(work, module);
        const bool is_outermost = model->parent == VG_CENSUS_NO_MODULE;
        if (is_outermost)
            vg_census_type_name(vg_object_type(model->object), part, sizeof part);
        else
            vg_census_str_write(work->python, model->name, part, sizeof part);
        vg_census_path_prepend(path, sizeof path, part, depth == 0 ? "" : ".");
        if (is_outermost)
            break;
        module = model->parent;
        out->depth++;
    }
    memcpy(out->path, path, sizeof out->path);
}

/* The module with the most bytes that was not written yet. */
static struct vg_census_model *largest_module(const struct vg_census_work *work, bool outermost)
{
    struct vg_census_model *largest = NULL;
    for (uint32_t i = 0; i < work->modules.count; i++) {
        struct vg_census_model *const model = vg_census_model_number(work, i);
        if (!model->is_written && (model->parent == VG_CENSUS_NO_MODULE || !outermost) &&
            model->bytes > (largest ? largest->bytes : 0))
            largest = model;
    }
    return largest;
}

void vg_census_write_modules(struct vg_census_work *work)
{
    struct vg_census *const out = work->out;
    bool outermost = true;
    sum_modules(work);
    while (out->module_count < VG_CENSUS_MODULES) {
        struct vg_census_model *const model = outermost && out->module_count == OUTERMOST_MAX
                                                  ? NULL
                                                  : largest_module(work, outermost);
        if (!model && !outermost)
            break;
        if (!model) {
            outermost = false;
            continue;
        }
        out->elsewhere_bytes[out->module_count] = model->elsewhere_bytes;
        struct vg_census_module *const written = &out->modules[out->module_count++];
        const uint32_t number = (uint32_t)(model - vg_census_model_number(work, 0));
        model->is_written = true;
        written->id = number;
        written->parent_id = model->parent == VG_CENSUS_NO_MODULE ? number : model->parent;
        memcpy(written->amount, model->amount, sizeof written->amount);
        write_path(work, number, written);
    }
}
