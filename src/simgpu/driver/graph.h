/* Graphs: nodes with dependencies, and executable copies of them.
 *
 * All functions: called with sim_lock held, unless stated. */
#ifndef SIMGPU_GRAPH_H
#define SIMGPU_GRAPH_H

#include <stdbool.h>

#include "../abi.h"
#include "context.h"
#include "object.h"

struct graph;
struct graph_memory;

/* What a node does, by its type. */
union node_params {
    CUDA_KERNEL_NODE_PARAMS_v2 kernel;
    CUDA_MEMCPY3D copy;
    CUDA_MEMSET_NODE_PARAMS set;
    CUDA_HOST_NODE_PARAMS host;
    struct graph *child; /* the node's own copy */
    CUevent event;
    struct graph_memory *memory; /* of allocation and free nodes; each holds a use of it */
};

struct node {
    CUgraphNode handle;
    struct graph *graph;
    struct node *next; /* in order of creation */
    CUgraphNodeType type;
    struct node **dependencies;
    size_t dependency_count;
    union node_params params;
    CUgraphNode origin; /* the node this one is a copy of */
    bool disabled;      /* in an executable graph: cuGraphNodeSetEnabled */
    /* For one walk at a time over the graph: */
    struct node *link;
    bool visited;
};

struct user_reference {
    struct user_reference *next;
    CUuserObject object;
    unsigned int count;
};

struct graph {
    CUgraph handle;
    struct node *first, *last;
    size_t node_count;
    bool is_child; /* belongs to a node or an executable graph */
    struct user_reference *users;
};

struct graph *graph_create(void);
void graph_end(struct graph *graph);

/* Adds a node with the given dependencies, which it copies. The parameters are set by the caller.
 * NULL: out of host memory. */
struct node *graph_add(struct graph *graph, CUgraphNodeType type, struct node *const *dependencies,
                       size_t count);
void graph_remove(struct node *node);
int graph_depend(struct node *node, struct node *on);

/* A copy with its own nodes, each with its origin. Returns CUDA_SUCCESS, CUDA_ERROR_OUT_OF_MEMORY,
 * or CUDA_ERROR_NOT_SUPPORTED if the graph has memory nodes and `with_memory` is false. */
CUresult graph_copy(struct graph *graph, bool with_memory, struct graph **copy);

/* The copy of `origin` in a copied graph, or NULL. */
struct node *graph_find_copy(const struct graph *copy, CUgraphNode origin);

/* Resolves handles; CUDA_ERROR_INVALID_VALUE for those that are none, or of another graph. The
 * array is the caller's to free. */
CUresult graph_resolve(struct graph *graph, const CUgraphNode *handles, size_t count,
                       struct node ***nodes);

/* Whether `node` comes after `on`, directly or not, or is it. */
bool graph_reaches(struct node *node, const struct node *on);

/* Whether `node` waits for `on` directly. */
bool graph_depends_on(const struct node *node, const struct node *on);

/* The number of nodes, those of child graphs counted in their node's place. */
size_t graph_count_flat(const struct graph *graph);

/* Writes the graph's nodes, child graphs' in their node's place, in an order in which each comes
 * after all that it depends on. `order` has room for graph_count_flat nodes. */
void graph_order(struct graph *graph, struct node **order);

/* The copy that an executable graph runs, or NULL. */
struct graph *graph_of_exec(CUgraphExec handle);

/* References to user objects. The destructor of an object that lost its last one runs in
 * user_objects_finish, which is called without sim_lock. */
CUresult user_object_hold(CUuserObject object, unsigned int count);
void user_object_drop(CUuserObject object, unsigned int count);
void user_objects_finish(void);

#endif
