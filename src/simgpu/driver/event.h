#ifndef SIMGPU_EVENT_H
#define SIMGPU_EVENT_H

#include <stdbool.h>

#include "../abi.h"
#include "context.h"

struct event {
    CUevent handle;
    struct context *context;
    unsigned int flags;
    bool recorded;
    uint64_t time_ns;
};

/* Records the event now. Called with sim_lock held. */
void event_stamp(struct event *event);

/* Ends an event object and its handle. Called with sim_lock held. */
void event_end(struct event *event);

#endif
