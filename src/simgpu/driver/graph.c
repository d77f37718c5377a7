#include "graph.h"

#include <stdlib.h>
#include <string.h>

#include "graph_memory.h"

struct graph *graph_create(void)
{
    struct graph *graph = calloc(1, sizeof(*graph));
    if (graph != NULL)
        graph->handle = (CUgraph)(uintptr_t)object_add(OBJECT_GRAPH, graph, NULL);
    if (graph != NULL && graph->handle != NULL)
        return graph;
    free(graph);
    return NULL;
}

static void end_node(struct node *node)
{
    if (node->type == CU_GRAPH_NODE_TYPE_GRAPH && node->params.child != NULL)
        graph_end(node->params.child);
    if (node->type == CU_GRAPH_NODE_TYPE_MEM_ALLOC || node->type == CU_GRAPH_NODE_TYPE_MEM_FREE)
        graph_memory_drop(node->params.memory);
    object_remove((uint64_t)(uintptr_t)node->handle);
    free(node->dependencies);
    free(node);
}

void graph_end(struct graph *graph)
{
    while (graph->first != NULL) {
        struct node *node = graph->first;
        graph->first = node->next;
        end_node(node);
    }
    while (graph->users != NULL) {
        struct user_reference *user = graph->users;
        graph->users = user->next;
        user_object_drop(user->object, user->count);
        free(user);
    }
    object_remove((uint64_t)(uintptr_t)graph->handle);
    free(graph);
}

struct node *graph_add(struct graph *graph, CUgraphNodeType type, struct node *const *dependencies,
                       size_t count)
{
    struct node *node = calloc(1, sizeof(*node));
    struct node **copy = malloc((count + 1) * sizeof(*copy));
    if (node != NULL && copy != NULL)
        node->handle = (CUgraphNode)(uintptr_t)object_add(OBJECT_NODE, node, NULL);
    if (node == NULL || copy == NULL || node->handle == NULL) {
        free(node);
        free(copy);
        return NULL;
    }
    if (count > 0)
        memcpy(copy, dependencies, count * sizeof(*copy));
    node->graph = graph;
    node->type = type;
    node->dependencies = copy;
    node->dependency_count = count;
    if (graph->last != NULL)
        graph->last->next = node;
    else
        graph->first = node;
    graph->last = node;
    graph->node_count++;
    return node;
}

int graph_depend(struct node *node, struct node *on)
{
    struct node **grown =
        realloc(node->dependencies, (node->dependency_count + 1) * sizeof(*grown));
    if (grown == NULL)
        return -1;
    grown[node->dependency_count++] = on;
    node->dependencies = grown;
    return 0;
}

static void forget_dependency(struct node *node, const struct node *on)
{
    size_t kept = 0;
    for (size_t i = 0; i < node->dependency_count; i++)
        if (node->dependencies[i] != on)
            node->dependencies[kept++] = node->dependencies[i];
    node->dependency_count = kept;
}

void graph_remove(struct node *node)
{
    struct graph *graph = node->graph;
    struct node *before = NULL;
    for (struct node *other = graph->first; other != NULL; other = other->next) {
        forget_dependency(other, node);
        if (other->next == node)
            before = other;
    }
    *(before != NULL ? &before->next : &graph->first) = node->next;
    if (graph->last == node)
        graph->last = before;
    graph->node_count--;
    end_node(node);
}

struct node *graph_find_copy(const struct graph *copy, CUgraphNode origin)
{
    struct node *node = copy->first;
    while (node != NULL && node->origin != origin)
        node = node->next;
    return node;
}

static CUresult copy_users(const struct graph *graph, struct graph *copy)
{
    for (const struct user_reference *user = graph->users; user != NULL; user = user->next) {
        struct user_reference *made = malloc(sizeof(*made));
        if (made == NULL)
            return CUDA_ERROR_OUT_OF_MEMORY;
        *made = (struct user_reference){ copy->users, user->object, user->count };
        copy->users = made;
        user_object_hold(user->object, user->count);
    }
    return CUDA_SUCCESS;
}

/* Copies what the parameters point to where the copy needs its own. */
static CUresult copy_params(const struct node *from, bool with_memory, struct node *to)
{
    to->params = from->params;
    switch (from->type) {
    case CU_GRAPH_NODE_TYPE_GRAPH:
        to->params.child = NULL;
        return graph_copy(from->params.child, with_memory, &to->params.child);
    case CU_GRAPH_NODE_TYPE_MEM_ALLOC:
    case CU_GRAPH_NODE_TYPE_MEM_FREE:
        graph_memory_hold(from->params.memory);
        return with_memory ? CUDA_SUCCESS : CUDA_ERROR_NOT_SUPPORTED;
    default: return CUDA_SUCCESS;
    }
}

CUresult graph_copy(struct graph *graph, bool with_memory, struct graph **out)
{
    struct graph *copy = graph_create();
    if (copy == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    CUresult result = copy_users(graph, copy);
    for (struct node *node = graph->first; node != NULL && result == CUDA_SUCCESS;
         node = node->next) {
        struct node *made = graph_add(copy, node->type, NULL, 0);
        if (made == NULL) {
            result = CUDA_ERROR_OUT_OF_MEMORY;
            break;
        }
        made->origin = node->handle;
        node->link = made;
        result = copy_params(node, with_memory, made);
    }
    for (struct node *node = graph->first; node != NULL && result == CUDA_SUCCESS;
         node = node->next)
        for (size_t i = 0; i < node->dependency_count; i++)
            if (graph_depend(node->link, node->dependencies[i]->link) != 0)
                result = CUDA_ERROR_OUT_OF_MEMORY;
    if (result == CUDA_SUCCESS)
        *out = copy;
    else
        graph_end(copy);
    return result;
}

CUresult graph_resolve(struct graph *graph, const CUgraphNode *handles, size_t count,
                       struct node ***nodes)
{
    if (count > 0 && handles == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    struct node **found = malloc((count + 1) * sizeof(*found));
    if (found == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    for (size_t i = 0; i < count; i++) {
        found[i] = OBJECT(OBJECT_NODE, handles[i]);
        if (found[i] == NULL || found[i]->graph != graph) {
            free(found);
            return CUDA_ERROR_INVALID_VALUE;
        }
    }
    *nodes = found;
    return CUDA_SUCCESS;
}

/* Forgets earlier walks. */
static void start_walk(struct graph *graph)
{
    for (struct node *node = graph->first; node != NULL; node = node->next)
        node->visited = false;
}

bool graph_reaches(struct node *node, const struct node *on)
{
    start_walk(node->graph);
    struct node *stack = node;
    node->link = NULL;
    node->visited = true;
    while (stack != NULL) {
        struct node *at = stack;
        stack = at->link;
        if (at == on)
            return true;
        for (size_t i = 0; i < at->dependency_count; i++) {
            struct node *next = at->dependencies[i];
            if (next->visited)
                continue;
            next->visited = true;
            next->link = stack;
            stack = next;
        }
    }
    return false;
}

size_t graph_count_flat(const struct graph *graph)
{
    size_t count = 0;
    for (const struct node *node = graph->first; node != NULL; node = node->next)
        count += node->type == CU_GRAPH_NODE_TYPE_GRAPH ? graph_count_flat(node->params.child) : 1;
    return count;
}

/* The first dependency that is not placed yet, or NULL. */
static struct node *unplaced_dependency(const struct node *node)
{
    for (size_t i = 0; i < node->dependency_count; i++)
        if (!node->dependencies[i]->visited)
            return node->dependencies[i];
    return NULL;
}

static struct node **place_node(struct node *node, struct node **next)
{
    node->visited = true;
    if (node->type != CU_GRAPH_NODE_TYPE_GRAPH) {
        *next++ = node;
        return next;
    }
    graph_order(node->params.child, next);
    return next + graph_count_flat(node->params.child);
}

/* Nodes mostly come after what they depend on already; where not, the dependencies are placed
 * first, by way of a stack of nodes that wait. */
void graph_order(struct graph *graph, struct node **order)
{
    start_walk(graph);
    for (struct node *start = graph->first; start != NULL; start = start->next) {
        if (start->visited)
            continue;
        start->link = NULL;
        for (struct node *waiting = start; waiting != NULL;) {
            struct node *needed = unplaced_dependency(waiting);
            if (needed != NULL) {
                needed->link = waiting;
                waiting = needed;
            } else {
                order = place_node(waiting, order);
                waiting = waiting->link;
            }
        }
    }
}

bool graph_depends_on(const struct node *node, const struct node *on)
{
    for (size_t i = 0; i < node->dependency_count; i++)
        if (node->dependencies[i] == on)
            return true;
    return false;
}
