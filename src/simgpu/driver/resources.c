#include "resources.h"

#include <stdlib.h>

#include "array.h"
#include "context.h"
#include "event.h"
#include "graph_memory.h"
#include "memory.h"
#include "module.h"
#include "object.h"
#include "pool.h"
#include "range.h"
#include "stream.h"

static void end_object(enum object_kind kind, void *object)
{
    switch (kind) {
    case OBJECT_STREAM: stream_end(object); break;
    case OBJECT_EVENT: event_end(object); break;
    case OBJECT_MODULE: module_end(object); break;
    case OBJECT_MIPMAP: mipmap_end(object); break;
    case OBJECT_ARRAY:
        if (!((struct array *)object)->is_level) /* a level ends with its mipmapped array */
            array_end(object);
        break;
    default: break;
    }
}

void resources_end_all(struct context *context)
{
    object_sweep(context, end_object);
    while (context->ranges != NULL) {
        struct range *range = context->ranges;
        if (range->kind == RANGE_HOST || range->kind == RANGE_REGISTERED) {
            range_remove(range);
            if (range->kind == RANGE_HOST)
                free((void *)(uintptr_t)range->base);
            free(range);
        } else {
            memory_end_range(range);
        }
    }
    pool_context_ended(context);
    graph_memory_trim(context->ordinal);
}
