/* What other than the memory of the GPU can have refused a call: the host and its limits, a limit
 * of MPS, an interposer that was called before the driver. As a flat structure for reports,
 * gathered at the failure. */
#ifndef VRAMGUARD_ANALYZE_OUTER_LIMITS_H
#define VRAMGUARD_ANALYZE_OUTER_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

#include "analyze/host_shortage.h"
#include "os/host_limits.h"

struct vg_outer_limits {
    struct vg_host_limits host;
    uint32_t host_call;     /* 1: the call takes memory of the host and none of the GPU */
    uint32_t host_shortage; /* enum vg_host_shortage: why the host refused; only with host_call */
    uint32_t lacks_address; /* 1: what was asked for would pass RLIMIT_AS */
    uint32_t mps_explains;  /* 1: it would pass the limit of MPS */
    uint64_t mps_bytes;     /* the limit of MPS for this device; VG_BYTES_UNKNOWN: none is set */
    char mps_text[64];      /* CUDA_MPS_PINNED_DEVICE_MEM_LIMIT, "" not set */
    char visible[384];      /* CUDA_VISIBLE_DEVICES as the program has it now; "" too long */
    uint32_t has_visible;   /* 0: it is not set */
    uint32_t
        is_instance; /* 1: the device is a MIG instance, a part of a GPU with memory of its own */
    char interposer[64]; /* another library that gets this call first, "" none */
    char bypass[64];     /* a library that goes past vramguard, "" none is known */
};

/* The failed call, as far as it matters here. */
struct vg_refused_call {
    const char *api;      /* exported name */
    int ordinal;          /* of the device, -1 without one */
    const char *uuid;     /* its UUID, "" unknown */
    bool is_instance;     /* the device is a MIG instance */
    uint64_t asked_bytes; /* VG_BYTES_UNKNOWN when it names no amount */
    uint64_t own_bytes;   /* what this process holds of the device, VG_BYTES_UNKNOWN likewise */
    bool unseen_may_lack; /* could what the process holds without its having been seen to allocate
                             it be what is missing? Else nobody looks for who goes past us */
};

/* Fills `out` completely. Reads /proc, the control groups and the environment, some hundred
 * microseconds. Texts are safe to print. No lock of ours is taken. */
void vg_outer_limits_collect(const struct vg_refused_call *call, struct vg_outer_limits *out);

#endif
