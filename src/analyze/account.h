/* The accounting of one device: whose memory is it? Every byte of the device belongs to exactly one
 * part, and what no measurement explains is a part of its own. Pure, no malloc. */
#ifndef VRAMGUARD_ANALYZE_ACCOUNT_H
#define VRAMGUARD_ANALYZE_ACCOUNT_H

#include <stdbool.h>
#include <stdint.h>

#include "analyze/run.h"

enum { VG_ACCOUNT_LISTED = 6 }; /* other processes with a line of their own, at most */

/* What the rest stands for. */
enum vg_account_rest {
    VG_REST_NONE, /* there is none: the parts add up by themselves, or the total is unknown */
    VG_REST_UNACCOUNTED, /* used, but by nobody that was measured */
    VG_REST_OVERLAP,     /* negative: the parts exceed the total, as they were measured at different
                            moments or one is not resident on the device */
    VG_REST_NO_NVML,     /* other processes and contexts: unknown without NVML */
    VG_REST_NO_CONTEXT,  /* what this process holds beside its tracked memory could not be measured,
                            so it is in here, too */
    VG_REST_NO_FREE,     /* the free amount is unknown and is in here, too */
};

/* total = tracked + kept + context + listed + unlisted + free + rest, where parts that are
 * VG_BYTES_UNKNOWN count as 0 (they are inside `rest_bytes`). */
struct vg_report_account {
    uint64_t total_bytes; /* VG_BYTES_UNKNOWN: nothing adds up to anything, rest_bytes is 0 */
    uint64_t free_bytes;
    uint64_t tracked_bytes; /* this process, allocations that vramguard saw */
    uint64_t kept_bytes;    /* this process, what its pools and graphs hold beyond tracked_bytes */
    uint64_t context_bytes; /* this process, everything else: contexts, libraries, rounding, and
                              what of its managed memory is on the device at the moment */
    uint64_t managed_bytes; /* all of that, wherever it is: no part of the sum */
    uint64_t managed_most_bytes; /* how much of it can be on the device */
    uint64_t others_bytes;       /* all other processes: listed + unlisted; may be unknown */
    uint32_t listed_end;         /* entries of device.processes before this one are listed */
    uint32_t unlisted_count;     /* further processes */
    int32_t self_process;    /* the entry that must be this process itself and is neither listed nor
                                among the others, -1 for none */
    uint64_t listed_bytes;   /* sum of the known amounts of the listed */
    uint64_t unlisted_bytes; /* what others_bytes holds beyond listed_bytes */
    int64_t rest_bytes;
    enum vg_account_rest rest;
};

/* Fills `out` from a failure. Never fails.
 *
 * In a container NVML tells the host's pids, so a process cannot find itself in the list. When its
 * own amount is missing, and the parts would exceed the total, one of the processes that are not
 * visible here is this one: the smallest that can be. */
void vg_report_account_compute(const struct vg_run_failure *failure, struct vg_report_account *out);

/* What the device's live allocations of `kind` hold, 0 without any. */
uint64_t vg_run_kind_bytes(const struct vg_run_device *device, uint32_t kind);

/* Did VRAMGUARD_LIMIT refuse the call? Then the amounts of the limit are known. */
bool vg_report_is_limited(const struct vg_run_failure *failure);

/* What the call could have had: of the device or, when that refused it, of the limit. */
uint64_t vg_report_available(const struct vg_run_failure *failure);

/* How much more than the free memory was asked for: VG_BYTES_UNKNOWN unless both are known, 0 when
 * the request would fit. */
uint64_t vg_report_deficit(const struct vg_run_failure *failure);

#endif
