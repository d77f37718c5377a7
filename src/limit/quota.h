/* What VRAMGUARD_LIMIT leaves this process of each device, exact to the byte.
 *
 * An allocation is charged before the real call is made and given back when that fails, so threads
 * that race for the last byte never get more than the limit. What has succeeded stays charged as
 * long as it is in the index of live allocations. The account is this process's own or, in the
 * shared scope, one of shared/shared_quota.h. */
#ifndef VRAMGUARD_LIMIT_QUOTA_H
#define VRAMGUARD_LIMIT_QUOTA_H

#include <stdbool.h>
#include <stdint.h>

#include "base/lock.h"
#include "base/option.h"
#include "limit/limit.h"
#include "shared/shared_quota.h"

struct vg_quota_device {
    _Atomic uint32_t known;         /* the rest is valid */
    uint64_t limit_bytes;           /* VG_BYTES_UNKNOWN: not limited */
    _Atomic uint64_t charged_bytes; /* when it has no ledger */
    struct vg_shared_quota ledger;
};

struct vg_quota {
    struct vg_limit_setting setting;
    const char *text; /* of VRAMGUARD_LIMIT */
    bool shared;
    struct vg_lock lock; /* for finding a device's account; never held across a driver call */
    struct vg_quota_device devices[VG_FILE_HOST];
};

/* A charge that nothing is recorded for yet. */
struct vg_charge {
    bool held;
    int device;
    uint64_t bytes;
};

/* Sets up `allowance`, zeroed at first; `options` must stay. Returns whether there is a limit. */
bool vg_quota_open(struct vg_quota *allowance, const struct vg_options *options);

/* Charges `bytes` on `device` into `charge`, which holds nothing. Returns false when the limit does
 * not allow it; true, holding nothing, when the device is not limited. Any thread; the first time
 * for a device asks the driver and may open a file. */
bool vg_quota_reserve(struct vg_quota *allowance, int device, uint64_t bytes,
                      struct vg_charge *charge);

/* Makes a held charge one of `bytes`. Returns false, changing nothing, when they are too many. */
bool vg_quota_resize(struct vg_quota *allowance, struct vg_charge *charge, uint64_t bytes);

/* Gives a held charge back. Does nothing when none is held. */
void vg_quota_release(struct vg_quota *allowance, struct vg_charge *charge);

/* `bytes` of `device` go into the index: the charge held for them is used up; without one they are
 * charged now, whatever the limit. */
void vg_quota_settle(struct vg_quota *allowance, struct vg_charge *charge, int device,
                     uint64_t bytes);

/* `bytes` of `device` have left the index. */
void vg_quota_give_back(struct vg_quota *allowance, int device, uint64_t bytes);

/* The limit of `device` and what it leaves. Returns false when the device is not limited. */
bool vg_quota_left(struct vg_quota *allowance, int device, uint64_t *out_limit_bytes,
                   uint64_t *out_left_bytes);

#endif
