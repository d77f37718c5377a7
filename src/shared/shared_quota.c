#include "shared/shared_quota.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/cancellation.h"
#include "base/clock.h"
#include "base/signal_block.h"
#include "os/process.h"
#include "shared/shared_segment.h"

enum {
    VERSION = 2,
    SPINS = 100,
    POLL_NS = 50 * 1000,
    LOOK_EVERY_MS = 5, /* between looks whether the lock's holder lives */
};

/* `owner` is 0 for a free slot, else vg_process_owner. */
struct vg_shared_quota_slot {
    _Atomic uint64_t owner;
    _Atomic uint64_t image;
    _Atomic uint64_t group;
    _Atomic uint64_t charged_bytes;
    uint64_t reserved[4];
};

struct vg_shared_quota_file {
    struct vg_shared_head head;
    _Atomic uint64_t lock;  /* 0 free, else (1 + index of the holder's slot) << 32 | thread id */
    _Atomic uint32_t slots; /* no slot from here on has ever been taken */
    uint32_t reserved[13];
    struct vg_shared_quota_slot slot[VG_SHARED_QUOTA_SLOTS];
};

_Static_assert(sizeof(struct vg_shared_quota_slot) == 64, "one cache line");
_Static_assert(offsetof(struct vg_shared_quota_file, slot) == 128, "slots are cache lines");

static const struct vg_shared_layout layout = { .magic = "VRAMLIM\n",
                                                .version = VERSION,
                                                .slot_bytes = sizeof(struct vg_shared_quota_slot),
                                                .size_bytes = sizeof(struct vg_shared_quota_file) };

/* Does the process that took the slot still run what it ran then? */
static bool slot_counts(const struct vg_shared_quota_slot *slot)
{
    const uint64_t owner = atomic_load(&slot->owner), image = atomic_load(&slot->image);
    return owner != 0 && vg_process_owner_alive(owner) &&
           vg_process_has_image(vg_process_owner_pid(owner), image);
}

/* ---- the lock ---- */

static uint64_t holder_word(const struct vg_shared_quota_file *file,
                            const struct vg_shared_quota_slot *slot)
{
    const uint64_t index = slot ? (uint64_t)(slot - file->slot) : VG_SHARED_QUOTA_SLOTS;
    return (index + 1) << 32 | (uint32_t)syscall(SYS_gettid);
}

static bool holder_alive(const struct vg_shared_quota_file *file, uint64_t holder)
{
    const uint64_t index = (holder >> 32) - 1;
    struct vg_process_id id;
    if (index >= VG_SHARED_QUOTA_SLOTS) /* about to take its slot: only its thread is known */
        return vg_process_identify((pid_t)(uint32_t)holder, &id) != -ESRCH;
    return slot_counts(&file->slot[index]);
}

/* What a thread has seen of a lock that it waits for. */
struct wait {
    uint64_t holder, start_ns, holder_ns; /* since when it waits, and for this holder */
    uint64_t look_ns;                     /* when to look next whether the holder lives */
};

/* May the lock be taken from `holder`: is it dead, or patience at an end? */
static bool may_take_over(const struct vg_shared_quota_file *file, uint64_t holder,
                          struct wait *wait)
{
    const uint64_t now_ns = vg_clock_monotonic_ns(),
                   patience_ns = VG_SHARED_QUOTA_PATIENCE_MS * VG_MS_NS;
    if (wait->start_ns == 0)
        wait->start_ns = now_ns;
    if (wait->holder != holder) {
        wait->holder = holder;
        wait->holder_ns = now_ns;
        wait->look_ns = now_ns + VG_MS_NS;
    }
    if (now_ns - wait->holder_ns >= patience_ns || now_ns - wait->start_ns >= 4 * patience_ns)
        return true;
    if (now_ns < wait->look_ns)
        return false;
    wait->look_ns = now_ns + LOOK_EVERY_MS * VG_MS_NS;
    return !holder_alive(file, holder);
}

static void lock_file(struct vg_shared_quota_file *file, uint64_t self)
{
    const struct timespec pause = { .tv_nsec = POLL_NS };
    struct wait wait = { .holder = 0 };
    for (unsigned round = 0;; round++) {
        uint64_t holder = 0;
        if (atomic_compare_exchange_strong(&file->lock, &holder, self))
            return;
        if (round < SPINS)
            continue;
        if (may_take_over(file, holder, &wait) &&
            atomic_compare_exchange_strong(&file->lock, &holder, self))
            return;
        nanosleep(&pause, NULL);
    }
}

/* Nothing, when another has taken it over meanwhile. */
static void unlock_file(struct vg_shared_quota_file *file, uint64_t self)
{
    atomic_compare_exchange_strong(&file->lock, &self, 0);
}

/* ---- sums ---- */

/* What the group is charged in all slots, dead or not; does not overflow. */
static uint64_t sum_all(const struct vg_shared_quota *ledger)
{
    uint64_t sum = 0;
    const uint32_t slots = atomic_load(&ledger->file->slots);
    for (uint32_t i = 0; i < slots && i < VG_SHARED_QUOTA_SLOTS; i++) {
        const struct vg_shared_quota_slot *const slot = &ledger->file->slot[i];
        if (atomic_load(&slot->owner) == 0 || atomic_load(&slot->group) != ledger->group)
            continue;
        if (__builtin_add_overflow(sum, atomic_load(&slot->charged_bytes), &sum))
            return UINT64_MAX;
    }
    return sum;
}

/* Frees the slots of the group's processes that no longer run. The lock is held. */
static void bury_dead(const struct vg_shared_quota *ledger)
{
    const uint32_t slots = atomic_load(&ledger->file->slots);
    for (uint32_t i = 0; i < slots && i < VG_SHARED_QUOTA_SLOTS; i++) {
        struct vg_shared_quota_slot *const slot = &ledger->file->slot[i];
        uint64_t owner = atomic_load(&slot->owner);
        if (slot == ledger->slot || owner == 0 || atomic_load(&slot->group) != ledger->group ||
            slot_counts(slot))
            continue;
        atomic_compare_exchange_strong(&slot->owner, &owner, 0);
    }
}

static bool fits_limit(uint64_t sum, uint64_t bytes, uint64_t limit_bytes)
{
    return sum <= limit_bytes && bytes <= limit_bytes - sum;
}

/* Adds to our own charge if it fits. The lock is held, unless it has been taken over. */
static bool try_charge(struct vg_shared_quota *ledger, uint64_t bytes, uint64_t limit_bytes)
{
    if (!fits_limit(sum_all(ledger), bytes, limit_bytes))
        return false;
    atomic_fetch_add(&ledger->slot->charged_bytes, bytes);
    if (sum_all(ledger) <= limit_bytes)
        return true;
    atomic_fetch_sub(&ledger->slot->charged_bytes, bytes);
    return false;
}

bool vg_shared_quota_reserve(struct vg_shared_quota *ledger, uint64_t bytes, uint64_t limit_bytes)
{
    const int saved_errno = errno;
    const uint64_t self = holder_word(ledger->file, ledger->slot);
    vg_cancellation_hold();
    lock_file(ledger->file, self);
    bool charged = try_charge(ledger, bytes, limit_bytes);
    if (!charged && bytes <= limit_bytes) {
        bury_dead(ledger);
        charged = try_charge(ledger, bytes, limit_bytes);
    }
    unlock_file(ledger->file, self);
    vg_cancellation_release();
    errno = saved_errno;
    return charged;
}

void vg_shared_quota_charge(struct vg_shared_quota *ledger, uint64_t bytes)
{
    atomic_fetch_add(&ledger->slot->charged_bytes, bytes);
}

void vg_shared_quota_give_back(struct vg_shared_quota *ledger, uint64_t bytes)
{
    atomic_fetch_sub(&ledger->slot->charged_bytes, bytes);
}

uint64_t vg_shared_quota_charged(const struct vg_shared_quota *ledger)
{
    const int saved_errno = errno;
    const uint64_t self = holder_word(ledger->file, ledger->slot);
    vg_cancellation_hold();
    lock_file(ledger->file, self);
    bury_dead(ledger);
    const uint64_t sum = sum_all(ledger);
    unlock_file(ledger->file, self);
    vg_cancellation_release();
    errno = saved_errno;
    return sum;
}

/* ---- joining ---- */

static bool is_own(const struct vg_shared_quota_slot *slot, uint64_t own)
{
    return atomic_load(&slot->owner) == own;
}

static bool is_free(const struct vg_shared_quota_slot *slot, uint64_t own)
{
    (void)own;
    return atomic_load(&slot->owner) == 0;
}

static bool is_abandoned(const struct vg_shared_quota_slot *slot, uint64_t own)
{
    (void)own;
    return !slot_counts(slot);
}

/* Takes the first slot that `may_take` allows; NULL when there is none. The lock is held; should it
 * be taken over, another may be taking the same slot: then the compare-and-swap decides. */
static struct vg_shared_quota_slot *
claim_allowed_slot(struct vg_shared_quota_file *file, uint64_t own, uint64_t group,
                   bool (*may_take)(const struct vg_shared_quota_slot *, uint64_t))
{
    for (uint32_t i = 0; i < VG_SHARED_QUOTA_SLOTS; i++) {
        struct vg_shared_quota_slot *const slot = &file->slot[i];
        uint64_t owner = atomic_load(&slot->owner);
        if (!may_take(slot, own) || !atomic_compare_exchange_strong(&slot->owner, &owner, own))
            continue;
        atomic_store(&slot->group, 0);
        atomic_store(&slot->charged_bytes, 0);
        atomic_store(&slot->image, vg_process_image(0));
        atomic_store(&slot->group, group);
        uint32_t slots = atomic_load(&file->slots);
        while (slots < i + 1 && !atomic_compare_exchange_weak(&file->slots, &slots, i + 1))
            ;
        return slot;
    }
    return NULL;
}

/* A slot of our own name is left from before an exec. */
static struct vg_shared_quota_slot *claim_slot(struct vg_shared_quota_file *file, uint64_t group)
{
    const uint64_t own = vg_process_owner_self();
    if (own == 0)
        return NULL;
    struct vg_shared_quota_slot *slot = claim_allowed_slot(file, own, group, is_own);
    if (!slot)
        slot = claim_allowed_slot(file, own, group, is_free);
    return slot ? slot : claim_allowed_slot(file, own, group, is_abandoned);
}

/* The lock is held, and `own` is taken. */
static bool is_first_of_group(const struct vg_shared_quota_file *file,
                              const struct vg_shared_quota_slot *own, uint64_t group)
{
    const uint32_t slots = atomic_load(&file->slots);
    for (uint32_t i = 0; i < slots && i < VG_SHARED_QUOTA_SLOTS; i++)
        if (&file->slot[i] != own && atomic_load(&file->slot[i].group) == group &&
            slot_counts(&file->slot[i]))
            return false;
    return true;
}

int vg_shared_quota_join(const char *uuid, uint64_t group, struct vg_shared_quota *out)
{
    char name[128];
    struct vg_signal_block shield;
    void *mapped = NULL;
    *out = (struct vg_shared_quota){ .group = group };
    if (!uuid[0] || strchr(uuid, '/') || strlen(uuid) > 96)
        return -EINVAL;
    snprintf(name, sizeof name, "limits-%s", uuid);
    int error =
        vg_signal_block_begin(&shield) ? vg_shared_segment_map(name, &layout, &mapped) : -EAGAIN;
    if (!error) {
        struct vg_shared_quota_file *const file = mapped;
        const uint64_t self = holder_word(file, NULL);
        lock_file(file, self);
        struct vg_shared_quota_slot *const slot = claim_slot(file, group);
        const bool is_first = slot && is_first_of_group(file, slot, group);
        unlock_file(file, self);
        if (slot)
            *out = (struct vg_shared_quota){
                .file = file, .slot = slot, .group = group, .is_first = is_first
            };
        else
            error = vg_process_owner_self() ? -ENOSPC : -ESRCH;
    }
    if (error && mapped)
        shmdt(mapped);
    vg_signal_block_end(&shield);
    return error;
}
