/* Graphs as a whole: creating, copying, looking at them ("CUDA Driver API", section "Graph
 * Management"). */
#include <stdlib.h>
#include <string.h>

#include "function_table.h"
#include "graph.h"
#include "state.h"

CUresult sim_cuGraphCreate(CUgraph *handle, unsigned int flags)
{
    if (handle == NULL || flags != 0)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    const struct graph *graph = graph_create();
    if (graph != NULL)
        *handle = graph->handle;
    return sim_unlock_with(graph != NULL ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY);
}

CUresult sim_cuGraphDestroy(CUgraph handle)
{
    sim_lock_all();
    struct graph *graph = OBJECT(OBJECT_GRAPH, handle);
    if (graph == NULL || graph->is_child)
        return sim_unlock_with(CUDA_ERROR_INVALID_VALUE);
    graph_end(graph);
    sim_unlock_all();
    user_objects_finish();
    return CUDA_SUCCESS;
}

CUresult sim_cuGraphClone(CUgraph *handle, CUgraph original)
{
    if (handle == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct graph *graph = OBJECT(OBJECT_GRAPH, original);
    struct graph *copy;
    CUresult result = graph != NULL ? graph_copy(graph, false, &copy) : CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS)
        *handle = copy->handle;
    return sim_unlock_with(result);
}

CUresult sim_cuGraphNodeFindInClone(CUgraphNode *handle, CUgraphNode original, CUgraph clone)
{
    if (handle == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    const struct graph *graph = OBJECT(OBJECT_GRAPH, clone);
    const struct node *node = graph != NULL ? graph_find_copy(graph, original) : NULL;
    if (node != NULL)
        *handle = node->handle;
    return sim_unlock_with(node != NULL ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE);
}

CUresult sim_cuGraphDestroyNode(CUgraphNode handle)
{
    sim_lock_all();
    struct node *node = OBJECT(OBJECT_NODE, handle);
    if (node == NULL)
        return sim_unlock_with(CUDA_ERROR_INVALID_VALUE);
    bool memory =
        node->type == CU_GRAPH_NODE_TYPE_MEM_ALLOC || node->type == CU_GRAPH_NODE_TYPE_MEM_FREE;
    if (!memory) /* documented: memory nodes cannot be removed */
        graph_remove(node);
    return sim_unlock_with(memory ? CUDA_ERROR_NOT_SUPPORTED : CUDA_SUCCESS);
}

CUresult sim_cuGraphNodeGetType(CUgraphNode handle, CUgraphNodeType *type)
{
    if (type == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    const struct node *node = OBJECT(OBJECT_NODE, handle);
    if (node != NULL)
        *type = node->type;
    return sim_unlock_with(node != NULL ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE);
}

/* A list that the caller asks for in two steps. Documented: with NULL it gets the number; else the
 * places beyond the number are set to NULL, and the number is what was written. */
struct list {
    CUgraphNode *nodes, *others; /* of edges: from and to */
    size_t capacity, count;
};

static void list_add(struct list *list, CUgraphNode node, CUgraphNode other)
{
    if (list->nodes != NULL && list->count < list->capacity) {
        list->nodes[list->count] = node;
        if (list->others != NULL)
            list->others[list->count] = other;
    }
    list->count++;
}

static void list_finish(struct list *list, size_t *count)
{
    if (list->nodes != NULL) {
        for (size_t i = list->count; i < list->capacity; i++)
            list->nodes[i] = NULL;
        if (list->count > list->capacity)
            list->count = list->capacity;
    }
    *count = list->count;
}

static CUresult list_nodes(CUgraph handle, CUgraphNode *nodes, size_t *count, bool roots_only)
{
    if (count == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    const struct graph *graph = OBJECT(OBJECT_GRAPH, handle);
    if (graph == NULL)
        return sim_unlock_with(CUDA_ERROR_INVALID_VALUE);
    struct list list = { nodes, NULL, *count, 0 };
    for (const struct node *node = graph->first; node != NULL; node = node->next)
        if (!roots_only || node->dependency_count == 0)
            list_add(&list, node->handle, NULL);
    list_finish(&list, count);
    return sim_unlock_with(CUDA_SUCCESS);
}

CUresult sim_cuGraphGetNodes(CUgraph graph, CUgraphNode *nodes, size_t *count)
{
    return list_nodes(graph, nodes, count, false);
}

CUresult sim_cuGraphGetRootNodes(CUgraph graph, CUgraphNode *nodes, size_t *count)
{
    return list_nodes(graph, nodes, count, true);
}

CUresult sim_cuGraphGetEdges(CUgraph handle, CUgraphNode *from, CUgraphNode *to, size_t *count)
{
    if (count == NULL || (from == NULL) != (to == NULL))
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    const struct graph *graph = OBJECT(OBJECT_GRAPH, handle);
    if (graph == NULL)
        return sim_unlock_with(CUDA_ERROR_INVALID_VALUE);
    struct list list = { from, to, *count, 0 };
    for (const struct node *node = graph->first; node != NULL; node = node->next)
        for (size_t i = 0; i < node->dependency_count; i++)
            list_add(&list, node->dependencies[i]->handle, node->handle);
    list_finish(&list, count);
    return sim_unlock_with(CUDA_SUCCESS);
}

CUresult sim_cuGraphNodeGetDependencies(CUgraphNode handle, CUgraphNode *nodes, size_t *count)
{
    if (count == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    const struct node *node = OBJECT(OBJECT_NODE, handle);
    if (node == NULL)
        return sim_unlock_with(CUDA_ERROR_INVALID_VALUE);
    struct list list = { nodes, NULL, *count, 0 };
    for (size_t i = 0; i < node->dependency_count; i++)
        list_add(&list, node->dependencies[i]->handle, NULL);
    list_finish(&list, count);
    return sim_unlock_with(CUDA_SUCCESS);
}

CUresult sim_cuGraphNodeGetDependentNodes(CUgraphNode handle, CUgraphNode *nodes, size_t *count)
{
    if (count == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    const struct node *node = OBJECT(OBJECT_NODE, handle);
    if (node == NULL)
        return sim_unlock_with(CUDA_ERROR_INVALID_VALUE);
    struct list list = { nodes, NULL, *count, 0 };
    for (const struct node *other = node->graph->first; other != NULL; other = other->next)
        if (graph_depends_on(other, node))
            list_add(&list, other->handle, NULL);
    list_finish(&list, count);
    return sim_unlock_with(CUDA_SUCCESS);
}

/* Edges carry no data here: all of it is the default, zero. */
static void clear_edges(CUgraphEdgeData *edges, const void *asked, const size_t *count)
{
    if (edges != NULL && asked != NULL)
        memset(edges, 0, *count * sizeof(*edges));
}

CUresult sim_cuGraphGetEdges_v2(CUgraph graph, CUgraphNode *from, CUgraphNode *to,
                                CUgraphEdgeData *edges, size_t *count)
{
    CUresult result = sim_cuGraphGetEdges(graph, from, to, count);
    if (result == CUDA_SUCCESS)
        clear_edges(edges, from, count);
    return result;
}

CUresult sim_cuGraphNodeGetDependencies_v2(CUgraphNode node, CUgraphNode *nodes,
                                           CUgraphEdgeData *edges, size_t *count)
{
    CUresult result = sim_cuGraphNodeGetDependencies(node, nodes, count);
    if (result == CUDA_SUCCESS)
        clear_edges(edges, nodes, count);
    return result;
}

CUresult sim_cuGraphNodeGetDependentNodes_v2(CUgraphNode node, CUgraphNode *nodes,
                                             CUgraphEdgeData *edges, size_t *count)
{
    CUresult result = sim_cuGraphNodeGetDependentNodes(node, nodes, count);
    if (result == CUDA_SUCCESS)
        clear_edges(edges, nodes, count);
    return result;
}

/* Documented: an edge must be new and must not close a cycle. */
CUresult sim_cuGraphAddDependencies(CUgraph handle, const CUgraphNode *from, const CUgraphNode *to,
                                    size_t count)
{
    sim_lock_all();
    struct graph *graph = OBJECT(OBJECT_GRAPH, handle);
    struct node **before = NULL, **after = NULL;
    CUresult result =
        graph != NULL ? graph_resolve(graph, from, count, &before) : CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS)
        result = graph_resolve(graph, to, count, &after);
    for (size_t i = 0; result == CUDA_SUCCESS && i < count; i++) {
        if (graph_depends_on(after[i], before[i]) || graph_reaches(before[i], after[i]))
            result = CUDA_ERROR_INVALID_VALUE;
        else if (graph_depend(after[i], before[i]) != 0)
            result = CUDA_ERROR_OUT_OF_MEMORY;
    }
    free(before);
    free(after);
    return sim_unlock_with(result);
}

CUresult sim_cuGraphAddDependencies_v2(CUgraph graph, const CUgraphNode *from,
                                       const CUgraphNode *to, const CUgraphEdgeData *edges,
                                       size_t count)
{
    (void)edges;
    return sim_cuGraphAddDependencies(graph, from, to, count);
}

static void remove_edge(struct node *node, const struct node *on)
{
    size_t i = 0;
    while (node->dependencies[i] != on)
        i++;
    node->dependencies[i] = node->dependencies[--node->dependency_count];
}

CUresult sim_cuGraphRemoveDependencies(CUgraph handle, const CUgraphNode *from,
                                       const CUgraphNode *to, size_t count)
{
    sim_lock_all();
    struct graph *graph = OBJECT(OBJECT_GRAPH, handle);
    struct node **before = NULL, **after = NULL;
    CUresult result =
        graph != NULL ? graph_resolve(graph, from, count, &before) : CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS)
        result = graph_resolve(graph, to, count, &after);
    for (size_t i = 0; result == CUDA_SUCCESS && i < count; i++) {
        if (graph_depends_on(after[i], before[i]))
            remove_edge(after[i], before[i]);
        else
            result = CUDA_ERROR_INVALID_VALUE;
    }
    free(before);
    free(after);
    return sim_unlock_with(result);
}

CUresult sim_cuGraphRemoveDependencies_v2(CUgraph graph, const CUgraphNode *from,
                                          const CUgraphNode *to, const CUgraphEdgeData *edges,
                                          size_t count)
{
    (void)edges;
    return sim_cuGraphRemoveDependencies(graph, from, to, count);
}
