/* The end of what belongs to a context. */
#ifndef SIMGPU_RESOURCES_H
#define SIMGPU_RESOURCES_H

struct context;

/* Frees all memory of the context and ends its streams, events, modules and so on; their handles
 * become invalid. Called with sim_lock held. */
void resources_end_all(struct context *context);

#endif
