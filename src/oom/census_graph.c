/* Autograd graphs: from node to node through `next_functions`, and what each has saved for
 * backward, as PyTorch shows it in C and without unpacking, since unpack hooks are the program's
 * code. */
#include <string.h>

#include "oom/census_work.h"

enum { NODES_MAX = 1000000 };

/* Takes the reference over. */
static void add_node(struct vg_census_work *work, uintptr_t node)
{
    const bool fits = work->nodes.count < NODES_MAX;
    if (!fits)
        work->out->graph_cut = true;
    /* A node's Python object may be made by the question and end with it. Each is kept, so that
     * another one cannot come to lie at its address and count as seen. */
    if (!fits || !vg_census_marks_add(&work->nodes_seen, node)) {
        work->python->api->drop((void *)node);
        return;
    }
    const size_t count = work->nodes.count;
    vg_census_list_push(&work->nodes, node);
    if (work->nodes.count == count)
        work->python->api->drop((void *)node);
    else
        work->out->graph_nodes++;
}

/* ---- what a type of nodes shows ---- */

static void add_getter(struct vg_census_node_type *type, const char *name,
                       struct vg_census_getter getter)
{
    if (strcmp(name, "next_functions") == 0)
        type->next = getter;
    else if (strcmp(name, "variable") == 0) /* AccumulateGrad: the leaf */
        type->leaf = getter;
    else if (strncmp(name, "_raw_saved_", 11) == 0 && type->saved_count < VG_CENSUS_SAVED)
        type->saved[type->saved_count++] = getter;
}

static void read_node_type(struct vg_census_work *work, uintptr_t type,
                           struct vg_census_node_type *out)
{
    const struct vg_census_python *const python = work->python;
    intptr_t position = 0;
    void *name, *getter;
    char text[64];
    if (work->torch.function && python->is_subtype((void *)type, (void *)work->torch.function)) {
        out->is_python = true;
        out->next = work->torch.function_next;
        out->saved[out->saved_count++] = work->torch.function_saved;
        return;
    }
    const uintptr_t dict = vg_python_word(type + VG_TYPE_DICT);
    while (dict && python->next_item((void *)dict, &position, &name, &getter)) {
        vg_census_str_write(python, (uintptr_t)name, text, sizeof text);
        if (vg_object_type((uintptr_t)getter) == (uintptr_t)python->getter)
            add_getter(out, text, vg_census_torch_getter_of((uintptr_t)getter));
    }
}

/* NULL: no memory. */
static const struct vg_census_node_type *node_type_of(struct vg_census_work *work, uintptr_t type)
{
    struct vg_census_list *const types = &work->node_types;
    bool is_new;
    const uint64_t *const number =
        vg_census_map_put(&work->node_type_of, type, types->count, &is_new);
    if (!number)
        return NULL;
    if (!is_new)
        return *number < types->count ? (struct vg_census_node_type *)types->items + *number : NULL;
    struct vg_census_node_type *const added = vg_census_list_add(types);
    if (added)
        read_node_type(work, type, added);
    return added;
}

/* ---- a node ---- */

static void count_saved_tensor(struct vg_census_work *work, uintptr_t saved)
{
    const uintptr_t type = vg_object_type(saved);
    char name[VG_CENSUS_TYPE_CAP];
    if (type != work->saved_type) {
        vg_census_type_name(type, name, sizeof name);
        if (strcmp(name, "SavedTensor") != 0)
            return;
        work->saved_type = type;
    }
    struct vg_census_sizes sizes = { 0 };
    const uintptr_t address = vg_census_torch_read_saved(&work->torch, saved, &sizes);
    vg_census_count_saved(work, address, &sizes);
}

/* A SavedTensor, a tuple of them, or None. */
static void count_saved(struct vg_census_work *work, const struct vg_census_getter *getter,
                        uintptr_t node)
{
    const uintptr_t saved = vg_census_torch_get(work->python, getter, node);
    if (!saved)
        return;
    if (vg_type_flags(vg_object_type(saved)) & VG_TYPE_IS_TUPLE) {
        const size_t count = vg_python_word(saved + VG_SIZE);
        for (size_t i = 0; i < count; i++)
            count_saved_tensor(work, vg_python_tuple_item(work->python->layout, saved, i));
    } else {
        count_saved_tensor(work, saved);
    }
    work->python->api->drop((void *)saved);
}

static bool is_leaf(struct vg_census_work *work, uintptr_t node)
{
    const struct vg_census_node_type *const type = node_type_of(work, vg_object_type(node));
    return type && type->leaf.get;
}

/* `next_functions` is a tuple of pairs of a node, or None, and a number. */
static void add_next(struct vg_census_work *work, const struct vg_census_getter *getter,
                     uintptr_t node)
{
    const uintptr_t pairs = vg_census_torch_get(work->python, getter, node);
    const bool is_tuple = pairs && (vg_type_flags(vg_object_type(pairs)) & VG_TYPE_IS_TUPLE);
    const size_t count = is_tuple ? vg_python_word(pairs + VG_SIZE) : 0;
    for (size_t i = 0; i < count; i++) {
        const uintptr_t pair = vg_python_tuple_item(work->python->layout, pairs, i);
        const uintptr_t next = vg_python_tuple_item(work->python->layout, pair, 0);
        if (vg_census_class_of(work, vg_object_type(next)) != VG_CLASS_NODE)
            continue;
        vg_census_row_number(work, work->row)->leaf_edges += is_leaf(work, next);
        work->python->api->take((void *)next);
        add_node(work, next);
    }
    work->python->api->drop((void *)pairs);
}

static void count_leaf(struct vg_census_work *work, const struct vg_census_getter *getter,
                       uintptr_t node)
{
    const uintptr_t leaf = vg_census_torch_get(work->python, getter, node);
    const enum vg_census_class class =
        leaf ? vg_census_class_of(work, vg_object_type(leaf)) : VG_CLASS_IGNORED;
    if (vg_census_is_tensor(class))
        vg_census_count_storage(work, vg_census_torch_read(&work->torch, leaf).address, true);
    work->python->api->drop((void *)leaf);
}

static void visit_node(struct vg_census_work *work, uintptr_t node)
{
    const struct vg_census_node_type *const known = node_type_of(work, vg_object_type(node));
    if (!known)
        return;
    const struct vg_census_node_type type = *known; /* the list may move */
    for (uint32_t i = 0; i < type.saved_count; i++)
        count_saved(work, &type.saved[i], node);
    if (type.leaf.get) {
        work->leaf_count++;
        count_leaf(work, &type.leaf, node);
    }
    if (type.is_python) /* what the program's Function keeps besides, as attributes */
        vg_census_reach(work, node);
    add_next(work, &type.next, node);
}

void vg_census_walk_graph(struct vg_census_work *work, uintptr_t node)
{
    size_t next = work->nodes.count;
    add_node(work, node);
    if (work->in_graph) /* who is walking comes to it */
        return;
    work->in_graph = true;
    for (; next < work->nodes.count && !vg_census_is_late(work); next++)
        visit_node(work, vg_census_list_at(&work->nodes, next));
    work->in_graph = false;
}

void vg_census_drop_nodes(struct vg_census_work *work)
{
    for (size_t i = 0; i < work->nodes.count; i++)
        work->python->api->drop((void *)vg_census_list_at(&work->nodes, i));
    work->nodes.count = 0;
}
