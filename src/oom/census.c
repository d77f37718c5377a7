#include "oom/census.h"

#include <string.h>

#include "base/clock.h"
#include "oom/census_work.h"

enum { TICKS = 256 };

bool vg_census_is_late(struct vg_census_work *work)
{
    if (!work->is_late && ++work->ticks % TICKS == 0)
        work->is_late = vg_clock_monotonic_ns() >= work->until_ns;
    return work->is_late;
}

/* ---- types ---- */

static bool is_node_type(const struct vg_census_work *work, uintptr_t type, uint64_t flags)
{
    const struct vg_census_python *const python = work->python;
    if (work->torch.function && python->is_subtype((void *)type, (void *)work->torch.function))
        return true;
    /* Nodes written in C++ have a static type each. */
    const uintptr_t dict = flags & VG_TYPE_IS_HEAP ? 0 : vg_python_word(type + VG_TYPE_DICT);
    return dict && vg_census_dict_find(python, dict, "next_functions") &&
           vg_census_dict_find(python, dict, "_register_hook_dict");
}

static bool is_kind_of(const struct vg_census_work *work, uintptr_t type, uintptr_t base)
{
    return base && work->python->is_subtype((void *)type, (void *)base);
}

static enum vg_census_class classify_type(const struct vg_census_work *work, uintptr_t type)
{
    const struct vg_census_python *const python = work->python;
    const struct vg_census_torch *const torch = &work->torch;
    const uint64_t flags = vg_type_flags(type);
    if ((flags & VG_TYPE_IS_TYPE) || !(flags & VG_TYPE_HAS_GC) ||
        is_kind_of(work, type, (uintptr_t)python->module))
        return VG_CLASS_IGNORED;
    if (type == (uintptr_t)python->traceback)
        return VG_CLASS_TRACEBACK;
    if (type == torch->tensor || (torch->parameter && type == torch->parameter))
        return VG_CLASS_EXACT_TENSOR;
    const enum vg_census_array_library library =
        vg_census_arrays_library(python, &work->arrays, type);
    if (library != VG_CENSUS_ARRAY_LIBRARIES)
        return VG_CLASS_ARRAY + library;
    if (is_kind_of(work, type, torch->tensor_base))
        return VG_CLASS_TENSOR;
    if (is_kind_of(work, type, torch->model))
        return VG_CLASS_MODEL;
    if (is_kind_of(work, type, torch->optimizer))
        return VG_CLASS_OPTIMIZER;
    if (is_kind_of(work, type, torch->loader) || is_kind_of(work, type, torch->sampler))
        return VG_CLASS_LOADER;
    if (is_node_type(work, type, flags))
        return VG_CLASS_NODE;
    return flags & VG_TYPE_IS_HEAP ? VG_CLASS_INSTANCE : VG_CLASS_PLAIN;
}

enum vg_census_class vg_census_class_of(struct vg_census_work *work, uintptr_t type)
{
    const size_t slot = (type >> 5 ^ type >> 11) % VG_CENSUS_RECENT_TYPES;
    if (work->recent_types[slot].type == type)
        return work->recent_types[slot].class;
    const uint64_t *const known = vg_census_map_get(&work->types, type);
    const enum vg_census_class class =
        known ? (enum vg_census_class) * known : classify_type(work, type);
    if (!known) {
        bool is_new;
        vg_census_map_put(&work->types, type, class, &is_new);
    }
    work->recent_types[slot].type = type;
    work->recent_types[slot].class = class;
    return class;
}

/* ---- the objects there are ---- */

static int gather_object(void *object, void *argument)
{
    struct vg_census_work *const work = argument;
    work->out->objects++;
    const enum vg_census_class class = vg_census_class_of(work, vg_object_type((uintptr_t)object));
    switch (class) {
    case VG_CLASS_TENSOR:
    case VG_CLASS_EXACT_TENSOR: vg_census_list_push(&work->tensors, (uintptr_t)object); break;
    case VG_CLASS_MODEL: vg_census_list_push(&work->models, (uintptr_t)object); break;
    case VG_CLASS_OPTIMIZER: vg_census_list_push(&work->optimizers, (uintptr_t)object); break;
    case VG_CLASS_LOADER: vg_census_list_push(&work->loaders, (uintptr_t)object); break;
    default:
        if (vg_census_is_array(class))
            vg_census_list_push(&work->others, (uintptr_t)object);
    }
    return !vg_census_is_late(work);
}

/* Before 3.12: the list that gc.get_objects makes. Returns false where the program has not imported
 * gc: to import it could run code of the program's. */
static bool each_listed(struct vg_census_work *work, int (*visit)(void *, void *))
{
    const struct vg_census_python *const python = work->python;
    const uintptr_t dict = vg_census_module_dict(python, "gc");
    const uintptr_t function = dict ? vg_census_dict_find(python, dict, "get_objects") : 0;
    if (!function || vg_object_type(function) != (uintptr_t)python->builtin)
        return false;
    void *const list = python->api->call((void *)function, NULL);
    if (!list) {
        python->api->clear_error();
        return false;
    }
    const uintptr_t items = vg_python_word((uintptr_t)list + VG_LIST_ITEMS);
    const size_t count = vg_python_word((uintptr_t)list + VG_SIZE);
    for (size_t i = 0; i < count; i++)
        if (!visit((void *)vg_python_word(items + i * sizeof(uintptr_t)), work))
            break;
    python->api->drop(list);
    return true;
}

bool vg_census_each_tracked(struct vg_census_work *work, int (*visit)(void *, void *))
{
    if (!work->python->visit_tracked)
        return each_listed(work, visit);
    work->python->visit_tracked(visit, work);
    return true;
}

/* ---- the collector ---- */

/* Calls a function of the gc module. Returns whether its answer is true. */
static bool call_collector(const struct vg_census_python *python, const char *name)
{
    const uintptr_t dict = vg_census_module_dict(python, "gc");
    const uintptr_t function = dict ? vg_census_dict_find(python, dict, name) : 0;
    const bool callable = function && vg_object_type(function) == (uintptr_t)python->builtin;
    void *const answer = callable ? python->api->call((void *)function, NULL) : NULL;
    const bool is_true = answer && python->api->is_true(answer) == 1;
    if (callable && !answer)
        python->api->clear_error();
    python->api->drop(answer);
    return is_true;
}

/* Returns whether it ran before. Objects are made while the census is taken, by PyTorch's
 * functions; the collection that this may bring on would run finalisers. */
static bool stop_collector(const struct vg_census_python *python)
{
    if (python->stop_collecting)
        return python->stop_collecting();
    const bool runs = call_collector(python, "isenabled");
    call_collector(python, "disable");
    return runs;
}

static void start_collector(const struct vg_census_python *python)
{
    if (python->start_collecting)
        python->start_collecting();
    else
        call_collector(python, "enable");
}

/* ---- all of it ---- */

/* All lists, sets and maps, for what is done with each of them. */
#define LISTS(work)                                                                                \
    {                                                                                              \
        &(work)->tensors, &(work)->models, &(work)->optimizers, &(work)->loaders, &(work)->others, \
            &(work)->storages, &(work)->leaves, &(work)->modules, &(work)->stack, &(work)->rows,   \
            &(work)->frames, &(work)->nodes, &(work)->node_types, &(work)->threads,                \
            &(work)->running, &(work)->strays                                                      \
    }
#define SETS(work)                                                                                 \
    {                                                                                              \
        &(work)->wanted, &(work)->seen, &(work)->nodes_seen, &(work)->strays_known,                \
            &(work)->elsewhere                                                                     \
    }
#define MAPS(work)                                                                                 \
    {                                                                                              \
        &(work)->types, &(work)->storage_of, &(work)->model_of, &(work)->node_type_of              \
    }

static void open_work(struct vg_census_work *work)
{
    struct vg_census_list *const lists[] = LISTS(work);
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        lists[i]->item_bytes = sizeof(uintptr_t); /* of objects; the others: */
    work->storages.item_bytes = sizeof(struct vg_census_storage);
    work->rows.item_bytes = sizeof(struct vg_census_row);
    work->node_types.item_bytes = sizeof(struct vg_census_node_type);
    work->frames.item_bytes = sizeof(struct vg_census_frame);
    work->modules.item_bytes = sizeof(struct vg_census_model);
    work->running.item_bytes = sizeof(struct vg_census_running);
    vg_census_list_add(&work->rows);
}

static void close_work(struct vg_census_work *work)
{
    struct vg_census_list *const lists[] = LISTS(work);
    struct vg_census_marks *const sets[] = SETS(work);
    struct vg_census_map *const maps[] = MAPS(work);
    vg_census_drop_nodes(work);
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        vg_census_list_close(lists[i]);
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++)
        vg_census_marks_close(sets[i]);
    for (size_t i = 0; i < sizeof maps / sizeof maps[0]; i++)
        vg_census_map_close(maps[i]);
}

static bool lacked_memory(struct vg_census_work *work)
{
    const struct vg_census_list *const lists[] = LISTS(work);
    const struct vg_census_marks *const sets[] = SETS(work);
    const struct vg_census_map *const maps[] = MAPS(work);
    bool lacked = false;
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        lacked |= lists[i]->failed;
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++)
        lacked |= sets[i]->failed;
    for (size_t i = 0; i < sizeof maps / sizeof maps[0]; i++)
        lacked |= maps[i]->failed;
    return lacked;
}

/* With PyTorch's functions kept from calling the program's. */
static enum vg_census_state count_objects(struct vg_census_work *work)
{
    if (!vg_census_each_tracked(work, gather_object))
        return VG_CENSUS_NO_COLLECTOR;
    work->out->tensors = work->tensors.count;
    if (work->tensors.count &&
        !vg_census_torch_calibrate(work->python, &work->torch, &work->tensors))
        return VG_CENSUS_UNKNOWN_TORCH;
    vg_census_measure_tensors(work);
    vg_census_claim_models(work);
    vg_census_walk_variables(work);
    vg_census_write_kinds(work);
    vg_census_write_shapes(work);
    vg_census_write_widths(work);
    vg_census_write_modules(work);
    vg_census_write_variables(work);
    vg_census_write_lines(work);
    vg_census_write_histories(work);
    vg_census_write_batch(work);
    return lacked_memory(work) ? VG_CENSUS_OUT_OF_MEMORY
           : work->is_late     ? VG_CENSUS_OUT_OF_TIME
                               : VG_CENSUS_COMPLETE;
}

static enum vg_census_state count_all(struct vg_census_work *work)
{
    const struct vg_census_python *const python = work->python;
    const bool has_torch = vg_census_torch_find(python, &work->torch);
    const bool has_arrays = vg_census_arrays_find(python, work->source->device,
                                                  work->source->jax_platform, &work->arrays);
    enum vg_census_state state = VG_CENSUS_UNKNOWN_TORCH;
    if (!has_torch && !has_arrays)
        return VG_CENSUS_NO_LIBRARY;
    const bool ran = stop_collector(python);
    open_work(work);
    if (!has_torch || vg_census_torch_enter(python, &work->torch))
        state = count_objects(work);
    close_work(work); /* it gives graph nodes up: still without a collection */
    if (has_torch)
        vg_census_torch_leave(python, &work->torch);
    if (ran)
        start_collector(python);
    return state;
}

void vg_census_take(const struct vg_census_source *source, uint64_t budget_ns,
                    struct vg_census *out)
{
    const uint64_t start_ns = vg_clock_monotonic_ns();
    struct vg_census_work work = { .source = source, .out = out, .until_ns = start_ns + budget_ns };
    void *error[3];
    memset(out, 0, sizeof *out);
    work.python = vg_census_python();
    if (!work.python) {
        out->state = VG_CENSUS_UNREADABLE;
        return;
    }
    if (work.python->api->is_finalizing()) {
        out->state = VG_CENSUS_ENDING;
        return;
    }
    if (source->may_begin && !source->may_begin(source->argument)) {
        out->state = VG_CENSUS_REFUSED;
        return;
    }
    work.python->put_error_aside(&error[0], &error[1], &error[2]);
    source->total(source->argument, &out->total);
    out->state = count_all(&work);
    work.python->bring_error_back(error[0], error[1], error[2]);
    out->elapsed_ns = vg_clock_monotonic_ns() - start_ns;
}
