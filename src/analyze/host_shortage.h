/* What of the host was short when a call that takes host memory failed: pinning (cuMemHostAlloc,
 * cuMemAllocHost, cuMemHostRegister), spilling, managed memory. Nobody's memory of the GPU is the
 * reason for that. Pure. */
#ifndef VRAMGUARD_ANALYZE_HOST_SHORTAGE_H
#define VRAMGUARD_ANALYZE_HOST_SHORTAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "os/host_limits.h"

/* Written to files: append only. */
enum vg_host_shortage {
    VG_HOST_SHORTAGE_NONE,    /* nothing that was read explains it */
    VG_HOST_SHORTAGE_ADDRESS, /* RLIMIT_AS: more address space than `ulimit -v` allows */
    VG_HOST_SHORTAGE_CGROUP,  /* a memory control group's limit */
    VG_HOST_SHORTAGE_MEMORY,  /* the host's memory */
    VG_HOST_SHORTAGE_LOCKED,  /* RLIMIT_MEMLOCK. Drivers pin memory past it, so it is named only
                                 when nothing else explains the failure, and as a possibility */
    VG_HOST_SHORTAGE_COUNT
};

/* Which of the limits the `asked_bytes` more would have passed, the most certain first.
 * `registers`: the memory was there already, and was to be pinned (cuMemHostRegister): it needs no
 * address space, and may be counted as used. VG_BYTES_UNKNOWN for calls that name no amount is
 * never explained. */
enum vg_host_shortage vg_host_shortage_of(const struct vg_host_limits *limits, uint64_t asked_bytes,
                                          bool registers);

/* Would `asked_bytes` more pass RLIMIT_AS? Explains failures of any call with free memory on the
 * GPU, since the driver reserves addresses for what it allocates. */
bool vg_host_lacks_address_space(const struct vg_host_limits *limits, uint64_t asked_bytes);

/* Does a function, by its exported name ("cuMemHostAlloc"), take memory of the host and none of a
 * GPU? */
bool vg_host_call(const char *api);

/* And is that memory there already (cuMemHostRegister)? */
bool vg_host_call_registers(const char *api);

#endif
