/* Deadlock: guarded processes that wait for each other's memory, on one GPU or across several. Pure
 * functions over a picture of the machine. */
#ifndef VRAMGUARD_WAIT_WAIT_GRAPH_H
#define VRAMGUARD_WAIT_WAIT_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { VG_WAIT_GRAPH_GPUS = 16, VG_WAIT_GRAPH_PROCESSES = 128, VG_WAIT_GRAPH_WAITS = 256 };

struct vg_wait_graph_process {
    uint64_t owner;    /* vg_process_owner */
    uint64_t since_ns; /* when it began to wait; the youngest is the one with the largest */
    uint64_t held_bytes[VG_WAIT_GRAPH_GPUS];
    uint16_t priority;
    bool chosen; /* it has been told to give way and has not done so yet */
};

struct vg_wait_graph_wait {
    uint16_t process, gpu; /* indices */
    uint64_t wanted_bytes;
};

struct vg_wait_graph {
    size_t gpu_count, process_count, wait_count;
    uint64_t free_bytes[VG_WAIT_GRAPH_GPUS];
    /* Held by processes that are not guarded, or may be: nobody knows when they free it. */
    uint64_t outside_bytes[VG_WAIT_GRAPH_GPUS];
    struct vg_wait_graph_process processes[VG_WAIT_GRAPH_PROCESSES];
    struct vg_wait_graph_wait waits[VG_WAIT_GRAPH_WAITS];
};

/* A process is stuck when even all memory that may still come free, that is what is free, what is
 * held outside and by processes that are not stuck, satisfies none of its waits. Stuck processes
 * fall into knots that have no GPU in common. For each knot in which nobody has been chosen yet,
 * one is: a holder of memory that another of it waits for; if possible one that lets another go on;
 * of those the one of the lowest priority, then the youngest, then the one that holds the least.
 * Stores their indices in `out` (VG_WAIT_GRAPH_PROCESSES) and returns their number. */
size_t vg_wait_graph_find_victims(const struct vg_wait_graph *picture, uint16_t *out);

#endif
