/* The insides of captures, between capture.c (nodes) and capture_api.c (the functions of the
 * driver).
 *
 * All functions: called with sim_lock held. */
#ifndef SIMGPU_CAPTURE_INTERNAL_H
#define SIMGPU_CAPTURE_INTERNAL_H

#include "capture.h"

#define MODE_GLOBAL       0
#define MODE_THREAD_LOCAL 1
#define MODE_RELAXED      2

/* Where a stream or event stands in a capture: what comes next depends on these nodes. */
struct position {
    struct node **nodes;
    size_t count;
    CUgraphNode *handles; /* the same for cuStreamGetCaptureInfo; kept until the next change */
};

/* A stream or event that takes part in a capture. */
struct member {
    struct member *next;
    struct capture *capture;
    struct stream *stream; /* or */
    struct event *event;
    struct position position;
};

struct capture {
    struct capture *next;
    unsigned long long id;
    CUstreamCaptureMode mode;
    const void *thread; /* whose: the address of a thread-local variable */
    struct stream *origin;
    struct graph *graph;
    bool graph_is_callers; /* cuStreamBeginCaptureToGraph */
    bool invalid;
    struct member *members;
};

/* All under way. */
extern struct capture *captures;

/* What cuThreadExchangeStreamCaptureMode sets. */
extern _Thread_local CUstreamCaptureMode capture_thread_mode;

/* A value that no other living thread has. */
const void *capture_this_thread(void);

/* The stream's part in a capture; NULL: it has none, or is a default stream. */
struct member *capture_member(const struct stream *stream);

/* Makes a stream or an event take part. NULL: out of host memory. */
struct member *capture_add_member(struct capture *capture, struct stream *stream,
                                  struct event *event);

/* What comes next depends on `nodes`; or on them too. CUDA_SUCCESS or CUDA_ERROR_OUT_OF_MEMORY. */
CUresult capture_set_position(struct position *position, struct node *const *nodes, size_t count);
CUresult capture_add_position(struct position *position, struct node *const *nodes, size_t count);

/* Ends the capture; the graph stays. */
void capture_end(struct capture *capture);

#endif
