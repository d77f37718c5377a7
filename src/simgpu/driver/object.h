/* Handles: what the application holds instead of pointers to contexts, streams, events and so on. A
 * handle that was never given out, or whose object is gone, is recognised and never followed.
 *
 * All functions: called with sim_lock held. */
#ifndef SIMGPU_OBJECT_H
#define SIMGPU_OBJECT_H

#include <stdint.h>

enum object_kind {
    OBJECT_NONE,
    OBJECT_CONTEXT,
    OBJECT_STREAM,
    OBJECT_EVENT,
    OBJECT_MODULE,
    OBJECT_FUNCTION,
    OBJECT_LIBRARY,
    OBJECT_KERNEL,
    OBJECT_LINK,
    OBJECT_POOL,
    OBJECT_PHYSICAL,
    OBJECT_ARRAY,
    OBJECT_MIPMAP,
    OBJECT_GRAPH,
    OBJECT_NODE,
    OBJECT_EXEC,
    OBJECT_USER,
};

struct context;

/* Gives `object` a handle. `context` (may be NULL) is the one it dies with. Returns 0 if host
 * memory is out. */
uint64_t object_add(enum object_kind kind, void *object, struct context *context);

/* The object behind a handle of that kind, or NULL. */
void *object_get(enum object_kind kind, uint64_t handle);
#define OBJECT(kind, handle) object_get(kind, (uint64_t)(uintptr_t)(handle))

/* Makes the handle invalid; the object is the caller's again. */
void object_remove(uint64_t handle);

/* Calls `end` for each object that dies with `context`, newest first. `end` removes the handle. */
void object_sweep(struct context *context, void (*end)(enum object_kind kind, void *object));

#endif
