/* What the host lets this process take: its own limits and what counts against them, the memory
 * that is left, its control groups. Facts to explain a failure with, read when one has happened. */
#ifndef VRAMGUARD_OS_HOST_LIMITS_H
#define VRAMGUARD_OS_HOST_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

/* VG_BYTES_UNKNOWN stands for what is not limited, in a limit, and for what cannot be read. */
struct vg_host_limits {
    uint64_t locked_limit_bytes, locked_bytes;   /* RLIMIT_MEMLOCK; VmLck and VmPin */
    uint64_t address_limit_bytes, address_bytes; /* RLIMIT_AS; VmSize */
    uint64_t total_bytes, available_bytes;       /* MemTotal and MemAvailable of the host */
    uint64_t cgroup_room_bytes; /* what the tightest of its memory control groups leaves; unknown:
                                   none has a limit */
    bool lock_exempt;           /* CAP_IPC_LOCK: RLIMIT_MEMLOCK does not hold for it */
};

/* Reads all of it: getrlimit(2), /proc/self/status, /proc/meminfo, the control groups' files. Some
 * hundred microseconds; no malloc; errno is left changed. Any thread. */
void vg_host_limits_read(struct vg_host_limits *out);

#endif
