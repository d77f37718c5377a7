/* User objects ("CUDA Driver API", section "Graph Management"): something of the application's that
 * lives as long as a graph needs it. */
#include <stdlib.h>

#include "function_table.h"
#include "graph.h"
#include "state.h"

#define NO_DESTRUCTOR_SYNC 1u /* the only flag, and required */
#define MOVE_REFERENCES    1u

struct user_object {
    struct user_object *next; /* of those that wait for their destructor */
    CUuserObject handle;
    void *value;
    CUhostFn destroy;
    uint64_t references;
};

static struct user_object *doomed;

CUresult user_object_hold(CUuserObject handle, unsigned int count)
{
    struct user_object *object = OBJECT(OBJECT_USER, handle);
    if (object == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    object->references += count;
    return CUDA_SUCCESS;
}

void user_object_drop(CUuserObject handle, unsigned int count)
{
    struct user_object *object = OBJECT(OBJECT_USER, handle);
    if (object == NULL)
        return;
    object->references -= count < object->references ? count : object->references;
    if (object->references > 0)
        return;
    object_remove((uint64_t)(uintptr_t)handle);
    object->next = doomed;
    doomed = object;
}

/* Documented: the destructor may run on any thread and must not call CUDA. */
void user_objects_finish(void)
{
    sim_lock_all();
    struct user_object *object = doomed;
    doomed = NULL;
    sim_unlock_all();
    while (object != NULL) {
        struct user_object *next = object->next;
        object->destroy(object->value);
        free(object);
        object = next;
    }
}

CUresult sim_cuUserObjectCreate(CUuserObject *handle, void *value, CUhostFn destroy,
                                unsigned int references, unsigned int flags)
{
    if (handle == NULL || destroy == NULL || references == 0 || flags != NO_DESTRUCTOR_SYNC)
        return CUDA_ERROR_INVALID_VALUE;
    struct user_object *object = calloc(1, sizeof(*object));
    if (object == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    sim_lock_all();
    object->handle = (CUuserObject)(uintptr_t)object_add(OBJECT_USER, object, NULL);
    if (object->handle == NULL) {
        free(object);
        return sim_unlock_with(CUDA_ERROR_OUT_OF_MEMORY);
    }
    object->value = value;
    object->destroy = destroy;
    object->references = references;
    *handle = object->handle;
    return sim_unlock_with(CUDA_SUCCESS);
}

CUresult sim_cuUserObjectRetain(CUuserObject handle, unsigned int count)
{
    if (count == 0)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    return sim_unlock_with(user_object_hold(handle, count));
}

CUresult sim_cuUserObjectRelease(CUuserObject handle, unsigned int count)
{
    sim_lock_all();
    const struct user_object *object = OBJECT(OBJECT_USER, handle);
    if (object == NULL || count == 0 || count > object->references)
        return sim_unlock_with(CUDA_ERROR_INVALID_VALUE);
    user_object_drop(handle, count);
    sim_unlock_all();
    user_objects_finish();
    return CUDA_SUCCESS;
}

static struct user_reference **find_reference(struct graph *graph, CUuserObject handle)
{
    struct user_reference **link = &graph->users;
    while (*link != NULL && (*link)->object != handle)
        link = &(*link)->next;
    return link;
}

CUresult sim_cuGraphRetainUserObject(CUgraph graph_handle, CUuserObject handle, unsigned int count,
                                     unsigned int flags)
{
    if (count == 0 || flags > MOVE_REFERENCES)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct graph *graph = OBJECT(OBJECT_GRAPH, graph_handle);
    if (graph == NULL || OBJECT(OBJECT_USER, handle) == NULL)
        return sim_unlock_with(CUDA_ERROR_INVALID_VALUE);
    struct user_reference **link = find_reference(graph, handle);
    if (*link == NULL) {
        *link = calloc(1, sizeof(**link));
        if (*link == NULL)
            return sim_unlock_with(CUDA_ERROR_OUT_OF_MEMORY);
        (*link)->object = handle;
    }
    (*link)->count += count;
    return sim_unlock_with((flags & MOVE_REFERENCES) != 0 ? CUDA_SUCCESS
                                                          : user_object_hold(handle, count));
}

CUresult sim_cuGraphReleaseUserObject(CUgraph graph_handle, CUuserObject handle, unsigned int count)
{
    sim_lock_all();
    struct graph *graph = OBJECT(OBJECT_GRAPH, graph_handle);
    struct user_reference **link = graph != NULL ? find_reference(graph, handle) : NULL;
    if (link == NULL || *link == NULL || count == 0 || count > (*link)->count)
        return sim_unlock_with(CUDA_ERROR_INVALID_VALUE);
    struct user_reference *user = *link;
    user->count -= count;
    if (user->count == 0) {
        *link = user->next;
        free(user);
    }
    user_object_drop(handle, count);
    sim_unlock_all();
    user_objects_finish();
    return CUDA_SUCCESS;
}
