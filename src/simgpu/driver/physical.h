/* Physical memory handles (cuMemCreate): pages that can be mapped at several addresses, and
 * exported to other processes.
 *
 * All functions: called with sim_lock held. */
#ifndef SIMGPU_PHYSICAL_H
#define SIMGPU_PHYSICAL_H

#include <stdbool.h>

#include "../abi.h"

struct backing;

/* Memory lives until the last reference and the last mapping are gone. */
struct physical {
    CUmemGenericAllocationHandle handle;
    CUmemAllocationProp properties;
    uint64_t bytes;
    int device;              /* whose memory it is, in the shared state; -1: the host's */
    int ordinal;             /* the same as the application counts; -1: the host's */
    struct backing *backing; /* the pages; shared by a handle and its imports in this process */
    unsigned int references;
    unsigned int mappings;
};

/* Makes a handle with one reference; takes the device's memory. Returns CUDA_SUCCESS or
 * CUDA_ERROR_OUT_OF_MEMORY. */
CUresult physical_create(const CUmemAllocationProp *properties, uint64_t bytes, int ordinal,
                         struct physical **physical);

/* The handle if it has a reference, or NULL. */
struct physical *physical_get(CUmemGenericAllocationHandle handle);

/* Drop a reference or a mapping, and with the last of both the memory. */
void physical_release(struct physical *physical);
void physical_unmapped(struct physical *physical);

/* The file that has the pages and where they begin in it. */
int physical_file(const struct physical *physical, uint64_t *offset);

/* A new file descriptor that names the memory, for any process of the simulation, or -errno;
 * -EINVAL if the handle was not made to be exported. */
int physical_export(const struct physical *physical);

/* Makes a handle for what physical_export gave, here or elsewhere. The memory counts for its
 * creator. Returns CUDA_SUCCESS, CUDA_ERROR_INVALID_VALUE or CUDA_ERROR_OUT_OF_MEMORY. */
CUresult physical_import(int fd, struct physical **physical);

#endif
