/* Contexts: the owner of nearly everything, and the stack of current ones that each thread has. */
#ifndef SIMGPU_CONTEXT_H
#define SIMGPU_CONTEXT_H

#include <stdbool.h>

#include "../abi.h"
#include "options.h"

#define LIMIT_COUNT 7

struct range;
struct small_heap;

/* Contexts are never freed, only ended, so that a thread which still has an ended one on its stack
 * is told so. */
struct context {
    struct context *next_ended;
    CUcontext handle;
    unsigned long long id;
    int ordinal; /* as the application counts devices */
    int device;  /* as the shared state does */
    bool primary;
    bool alive;
    unsigned int retains; /* of a primary context */
    unsigned int flags;
    int cache_config, shared_memory_config;
    size_t limits[LIMIT_COUNT];
    uint64_t charged_bytes; /* its own price */
    uint32_t peers;         /* bit per ordinal: access to it is enabled */
    struct small_heap *heap;
    struct range *ranges;
};

/* The calling thread's current context. Returns CUDA_SUCCESS, CUDA_ERROR_INVALID_CONTEXT if there
 * is none, or CUDA_ERROR_CONTEXT_IS_DESTROYED. Called with sim_lock held. */
CUresult context_current(struct context **context);

/* The same for a handle; NULL names the current one. Called with sim_lock held. */
CUresult context_named(CUcontext handle, struct context **context);

/* The device's primary context, alive or not. */
struct context *context_primary(int ordinal);

#endif
