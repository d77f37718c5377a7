/* What a failing call allocates, for an action that can put it elsewhere. */
#ifndef VRAMGUARD_OOM_REQUEST_H
#define VRAMGUARD_OOM_REQUEST_H

#include <stdint.h>

#include "driver/cuda_abi.h"

/* How the memory is to look. */
enum vg_request_shape {
    VG_REQUEST_LINEAR,   /* cuMemAlloc: bytes */
    VG_REQUEST_PITCHED,  /* cuMemAllocPitch: width, height */
    VG_REQUEST_PHYSICAL, /* cuMemCreate: bytes with properties */
};

/* Filled by the wrapper when the call has failed; the last two are where the program wants its
 * answer. */
struct vg_request {
    enum vg_request_shape shape;
    uint64_t bytes;
    uint64_t width_bytes, height;
    const CUmemAllocationProp *properties;
    unsigned long long flags;
    uint64_t key;               /* of physical memory, in the record */
    unsigned long long *answer; /* the device address or the handle */
    size_t *pitch_bytes;
};

#endif
