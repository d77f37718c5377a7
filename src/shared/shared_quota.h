/* The account of a limit that several processes share: what each of them is charged on one GPU.
 *
 * One segment per GPU (shared_segment.h), attached by every process of this user that shares a
 * limit on it. A process owns one slot, named by pid and start time, which says what group it
 * belongs to and what it is charged; what a group is charged is the sum over the slots of its
 * processes that still run. Nothing is to be repaired when a process is killed: its slot alone held
 * its charge, and no longer counts.
 *
 * Charging takes a lock, so that of two processes that race for the last bytes one gets them. It
 * names its holder: whoever finds the holder dead takes it over, and so does who has waited for it
 * for VG_SHARED_QUOTA_PATIENCE_MS, since its holder may be stopped. Even then the group never gets
 * more than its limit: who charges looks at the sum again after having added to it, and takes back
 * what is too much. */
#ifndef VRAMGUARD_SHARED_SHARED_QUOTA_H
#define VRAMGUARD_SHARED_SHARED_QUOTA_H

#include <stdbool.h>
#include <stdint.h>

enum { VG_SHARED_QUOTA_PATIENCE_MS = 250, VG_SHARED_QUOTA_SLOTS = 1022 };

struct vg_shared_quota_file;
struct vg_shared_quota_slot;

/* This process's slot in one GPU's file. */
struct vg_shared_quota {
    struct vg_shared_quota_file *file; /* NULL: no account */
    struct vg_shared_quota_slot *slot;
    uint64_t group;
    bool is_first; /* no other process of the group was in the account */
};

/* Takes a slot, charged nothing, in the segment of the GPU `uuid`. `group` (not 0) tells the
 * processes that share an account. Returns 0, or -errno (vg_shared_reason): no account can be had,
 * `out->file` is NULL. Waits for the lock as charging does; the slot is given back by the process's
 * end. errno is preserved. */
int vg_shared_quota_join(const char *uuid, uint64_t group, struct vg_shared_quota *out);

/* Charges `bytes` unless the group would then be charged more than `limit_bytes`. Returns whether
 * it did. Any thread; may look into /proc when memory is short. errno is preserved. */
bool vg_shared_quota_reserve(struct vg_shared_quota *ledger, uint64_t bytes, uint64_t limit_bytes);

/* Charges `bytes` whatever the limit says, for memory that is taken already. Any thread. */
void vg_shared_quota_charge(struct vg_shared_quota *ledger, uint64_t bytes);

/* Takes back a charge. One atomic instruction; any thread. */
void vg_shared_quota_give_back(struct vg_shared_quota *ledger, uint64_t bytes);

/* What the group's running processes are charged now. Looks into /proc. errno is preserved. */
uint64_t vg_shared_quota_charged(const struct vg_shared_quota *ledger);

/* The group of this process: all processes that descend from one that was started with
 * VRAMGUARD_LIMIT=`limit_text` and a shared scope in its environment, the topmost such ancestor
 * (/proc/PID/environ, proc(5)), are one group; a process without such an ancestor begins its own.
 * Forked children inherit their parent's answer, so that it outlives the ancestor. Not 0. Reads
 * /proc at the first call. Any thread. */
uint64_t vg_quota_group(const char *limit_text);

/* Which processes of the group the account is common to. */
enum vg_quota_reach {
    VG_QUOTA_WHOLE,
    VG_QUOTA_PID_NAMESPACE, /* those of this pid namespace: it is not seen from here whether others
                               were started under the limit */
    VG_QUOTA_IPC_NAMESPACE, /* those of this IPC namespace: the topmost ancestor is in another */
};

/* After vg_quota_group. Any thread; errno is preserved. */
enum vg_quota_reach vg_quota_group_reach(void);

#endif
