/* What VRAMGUARD_LIMIT leaves this process of each device, exact to the byte.
 *
 * An allocation is charged before the real call is made and given back when that fails, so threads
 * that race for the last byte never get more than the limit. What has succeeded stays charged as
 * long as it is in the index of live allocations. The account is this process's own or, in the
 * shared scope, one of registry/ledger.h. */
#ifndef VRAMGUARD_GUARD_ALLOWANCE_H
#define VRAMGUARD_GUARD_ALLOWANCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/lock.h"
#include "base/option.h"
#include "policy/limit.h"
#include "registry/ledger.h"

struct vg_allowance_device {
    _Atomic uint32_t known;         /* the rest is valid */
    uint64_t limit_bytes;           /* VG_BYTES_UNKNOWN: not limited */
    _Atomic uint64_t charged_bytes; /* when it has no ledger */
    struct vg_ledger ledger;
};

struct vg_allowance {
    struct vg_limit_setting setting;
    const char *text; /* of VRAMGUARD_LIMIT */
    bool shared;
    struct vg_lock lock; /* for finding a device's account; never held across a driver call */
    struct vg_allowance_device devices[VG_FILE_HOST];
};

/* A charge that nothing is recorded for yet. */
struct vg_charge {
    bool held;
    int device;
    uint64_t bytes;
};

/* Sets up `allowance`, zeroed at first; `options` must stay. Returns whether there is a limit. */
bool vg_allowance_open(struct vg_allowance *allowance, const struct vg_options *options);

/* Charges `bytes` on `device` into `charge`, which holds nothing. Returns false when the limit does
 * not allow it; true, holding nothing, when the device is not limited. Any thread; the first time
 * for a device asks the driver and may open a file. */
bool vg_allowance_reserve(struct vg_allowance *allowance, int device, uint64_t bytes,
                          struct vg_charge *charge);

/* Makes a held charge one of `bytes`. Returns false, changing nothing, when they are too many. */
bool vg_allowance_resize(struct vg_allowance *allowance, struct vg_charge *charge, uint64_t bytes);

/* Gives a held charge back. Does nothing when none is held. */
void vg_allowance_release(struct vg_allowance *allowance, struct vg_charge *charge);

/* `bytes` of `device` go into the index: the charge held for them is used up; without one they are
 * charged now, whatever the limit. */
void vg_allowance_settle(struct vg_allowance *allowance, struct vg_charge *charge, int device,
                         uint64_t bytes);

/* `bytes` of `device` have left the index. */
void vg_allowance_give_back(struct vg_allowance *allowance, int device, uint64_t bytes);

/* The limit of `device` and what it leaves. Returns false when the device is not limited. */
bool vg_allowance_left(struct vg_allowance *allowance, int device, uint64_t *out_limit_bytes,
                       uint64_t *out_left_bytes);

#endif
