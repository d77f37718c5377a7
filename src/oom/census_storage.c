/* The live blocks that tensors lie in, each counted once, and what they are. */
#include <string.h>

#include "oom/census_work.h"

#define NOT_LIVE UINT64_MAX

struct vg_census_storage *vg_census_storage_number(const struct vg_census_work *work, size_t number)
{
    return (struct vg_census_storage *)work->storages.items + number;
}

struct vg_census_storage *vg_census_storage_at(struct vg_census_work *work, uintptr_t address)
{
    bool is_new;
    struct vg_census_block block = { .eighth = VG_CENSUS_EIGHTHS };
    const uint64_t *const known = vg_census_map_get(&work->storage_of, address);
    if (known)
        return *known == NOT_LIVE ? NULL : vg_census_storage_number(work, *known);
    if (!address)
        return NULL;
    const bool is_live = work->source->find_block(work->source->argument, address, &block);
    uint64_t *const number = vg_census_map_put(&work->storage_of, address, NOT_LIVE, &is_new);
    struct vg_census_storage *const storage =
        is_live && number ? vg_census_list_add(&work->storages) : NULL;
    if (!storage)
        return NULL;
    *number = work->storages.count - 1;
    storage->bytes = block.bytes;
    storage->stack_id = block.stack_id;
    storage->number = block.number;
    storage->passes = block.passes;
    storage->monotonic_ns = block.monotonic_ns;
    storage->eighth = (uint8_t)block.eighth;
    storage->is_of_backward = block.is_of_backward;
    storage->kind = VG_CENSUS_OTHER;
    storage->module = VG_CENSUS_NO_MODULE;
    return storage;
}

struct search {
    struct vg_census_work *work;
    struct vg_census_storage *found;
};

static int find_storage(void *object, void *argument)
{
    struct search *const search = argument;
    if (vg_census_is_tensor(vg_census_class_of(search->work, vg_object_type((uintptr_t)object))))
        search->found = vg_census_storage_at(
            search->work, vg_census_torch_read(&search->work->torch, (uintptr_t)object).address);
    return search->found != NULL;
}

struct vg_census_storage *vg_census_storage_of(struct vg_census_work *work, uintptr_t tensor)
{
    struct search search = { .work = work };
    if (!find_storage((void *)tensor, &search))
        vg_object_traverse(tensor, find_storage, &search);
    return search.found;
}

/* Memory of another library's, which its array tells the size of. */
static struct vg_census_storage *
array_storage(struct vg_census_work *work, enum vg_census_array_library library, uintptr_t array)
{
    bool is_new;
    uintptr_t key;
    uint64_t bytes;
    if (!vg_census_arrays_read(work->python, &work->arrays, library, array, &key, &bytes))
        return NULL;
    uint64_t *const number =
        vg_census_map_put(&work->storage_of, key, work->storages.count, &is_new);
    if (!number || !is_new)
        return number && *number != NOT_LIVE ? vg_census_storage_number(work, *number) : NULL;
    struct vg_census_storage *const storage = vg_census_list_add(&work->storages);
    if (!storage) {
        *number = NOT_LIVE;
        return NULL;
    }
    storage->bytes = bytes;
    storage->tensor = array;
    storage->kind = (uint8_t)(VG_CENSUS_KINDS + library);
    storage->module = VG_CENSUS_NO_MODULE;
    return storage;
}

/* How many elements an array has; 0: unknown. */
static uint64_t count_elements(struct vg_census_work *work, enum vg_census_array_library library,
                               uintptr_t array)
{
    struct vg_census_shape shape;
    if (!vg_census_arrays_describe(work->python, &work->arrays, library, array, &shape))
        return 0;
    return vg_census_shape_elements(&shape);
}

/* Of arrays that share memory the largest tells what it looks like: others are parts of it. */
static void choose_array(struct vg_census_work *work, struct vg_census_storage *storage,
                         uintptr_t array)
{
    const enum vg_census_array_library library = storage->kind - VG_CENSUS_KINDS;
    if (storage->tensor != array && storage->kind >= VG_CENSUS_KINDS &&
        count_elements(work, library, array) > count_elements(work, library, storage->tensor))
        storage->tensor = array;
}

static void measure_arrays(struct vg_census_work *work)
{
    for (size_t i = 0; i < work->others.count && !vg_census_is_late(work); i++) {
        const uintptr_t array = vg_census_list_at(&work->others, i);
        const enum vg_census_class class = vg_census_class_of(work, vg_object_type(array));
        struct vg_census_storage *const storage =
            array_storage(work, class - VG_CLASS_ARRAY, array);
        if (!storage)
            continue;
        choose_array(work, storage, array);
        if (vg_census_marks_add(&work->wanted, array))
            work->wanted_count++;
    }
}

/* Does a graph begin at the tensor? */
static bool begins_graph(struct vg_census_work *work, uintptr_t tensor)
{
    const uintptr_t node = vg_census_torch_get(work->python, &work->torch.grad_fn, tensor);
    const bool begins = node && node != (uintptr_t)work->python->api->none;
    work->python->api->drop((void *)node);
    return begins;
}

void vg_census_measure_tensors(struct vg_census_work *work)
{
    for (size_t i = 0; i < work->tensors.count && !vg_census_is_late(work); i++) {
        const uintptr_t tensor = vg_census_list_at(&work->tensors, i);
        const struct vg_census_tensor facts = vg_census_torch_read(&work->torch, tensor);
        struct vg_census_storage *const storage = vg_census_storage_at(work, facts.address);
        const bool has_graph = facts.has_autograd && begins_graph(work, tensor);
        if (!storage)
            work->out->elsewhere_tensors++;
        else if (!storage->tensor)
            storage->tensor = tensor;
        if (facts.has_autograd && !has_graph)
            vg_census_list_push(&work->leaves, tensor);
        if ((storage || has_graph) && vg_census_marks_add(&work->wanted, tensor))
            work->wanted_count++;
    }
    measure_arrays(work);
}

/* ---- counting for variables ---- */

void vg_census_amount_add(struct vg_census_amount *amount, uint64_t bytes)
{
    amount->bytes += bytes;
    amount->blocks++;
}

void vg_census_amount_subtract(struct vg_census_amount *from, const struct vg_census_amount *what)
{
    from->bytes -= what->bytes;
    from->blocks -= what->blocks;
}

static void count_for_row(struct vg_census_work *work, struct vg_census_storage *storage,
                          bool is_saved)
{
    struct vg_census_row *const row = vg_census_row_number(work, work->row);
    storage->is_attributed = true;
    if (storage->kind >= VG_CENSUS_KINDS) {
        vg_census_amount_add(&row->arrays[storage->kind - VG_CENSUS_KINDS], storage->bytes);
        if (work->in_traceback)
            vg_census_amount_add(&row->array_traceback, storage->bytes);
        return;
    }
    storage->row = work->row;
    storage->is_row_graph = is_saved;
    storage->is_in_traceback = work->in_traceback;
    vg_census_amount_add(is_saved ? &row->graph : &row->direct, storage->bytes);
    if (!is_saved && storage->kind < VG_CENSUS_MODEL_KINDS)
        vg_census_amount_add(&row->model, storage->bytes);
    if (work->in_traceback)
        vg_census_amount_add(&row->traceback, storage->bytes);
}

static void count_storage(struct vg_census_work *work, struct vg_census_storage *storage,
                          bool is_saved)
{
    if (!storage)
        return;
    storage->is_saved |= is_saved;
    if (work->row == VG_CENSUS_NO_ROW)
        return;
    storage->is_reached |= !is_saved;
    if (!storage->is_attributed)
        count_for_row(work, storage, is_saved);
}

void vg_census_count_storage(struct vg_census_work *work, uintptr_t address, bool is_saved)
{
    count_storage(work, vg_census_storage_at(work, address), is_saved);
}

void vg_census_count_saved(struct vg_census_work *work, uintptr_t address,
                           const struct vg_census_sizes *sizes)
{
    struct vg_census_storage *const storage = vg_census_storage_at(work, address);
    if (storage && storage->sizes.rank == 0)
        storage->sizes = *sizes;
    count_storage(work, storage, true);
}

void vg_census_count_array(struct vg_census_work *work, enum vg_census_class class, uintptr_t array)
{
    count_storage(work, array_storage(work, class - VG_CLASS_ARRAY, array), work->in_graph);
}

/* ---- kinds ---- */

enum vg_census_kind vg_census_kind_of(const struct vg_census_storage *storage)
{
    if (storage->kind < VG_CENSUS_MODEL_KINDS)
        return storage->kind;
    return !storage->is_reached && storage->is_saved ? VG_CENSUS_GRAPH : VG_CENSUS_OTHER;
}

void vg_census_write_kinds(struct vg_census_work *work)
{
    struct vg_census *const out = work->out;
    out->arrays_are_of_device = work->arrays.device >= 0;
    for (size_t i = 0; i < work->storages.count; i++) {
        const struct vg_census_storage *const storage = vg_census_storage_number(work, i);
        if (storage->kind >= VG_CENSUS_KINDS) {
            vg_census_amount_add(&out->arrays[storage->kind - VG_CENSUS_KINDS], storage->bytes);
            continue;
        }
        const enum vg_census_kind kind = vg_census_kind_of(storage);
        vg_census_amount_add(&out->kinds[kind], storage->bytes);
        if (kind == VG_CENSUS_OTHER && !storage->is_attributed)
            vg_census_amount_add(&out->unnamed, storage->bytes);
    }
}
