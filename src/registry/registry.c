#include "registry/registry.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/shield.h"
#include "base/stderr.h"

#define MAGIC "VRAMREG\n"

enum { VERSION = 1, SLOT_COUNT = 1023 };

/* `owner` is 0 for a free slot, else pid << 32 | low half of the start time: one word, so that a
 * slot is claimed and identified by a single compare-and-swap. */
struct slot {
    _Atomic uint64_t owner;
    _Atomic uint64_t held_bytes;
    uint64_t reserved[6];
};

struct vg_registry_file {
    struct vg_shared_head head;
    struct slot slots[SLOT_COUNT];
};

_Static_assert(sizeof(struct slot) == 64, "one cache line");

static const struct vg_shared_layout layout = { .magic = MAGIC,
                                                .version = VERSION,
                                                .slot_bytes = sizeof(struct slot),
                                                .size_bytes = sizeof(struct vg_registry_file) };

static _Atomic uint64_t nobody_reads_this;

static uint64_t owner_word(const struct vg_process_id *id)
{
    return (uint64_t)(uint32_t)id->pid << 32 | (uint32_t)id->start_ticks;
}

static bool owner_alive(uint64_t owner, struct vg_process_id *out)
{
    return vg_process_identify((pid_t)(owner >> 32), out) == 0 && owner_word(out) == owner;
}

/* Takes the first slot that `may_take` allows. */
static struct slot *claim_first(struct vg_registry_file *file, uint64_t own,
                                bool (*may_take)(uint64_t owner, uint64_t own))
{
    for (int i = 0; i < SLOT_COUNT; i++) {
        struct slot *const slot = &file->slots[i];
        uint64_t owner = atomic_load(&slot->owner);
        if (may_take(owner, own) && atomic_compare_exchange_strong(&slot->owner, &owner, own)) {
            atomic_store(&slot->held_bytes, 0);
            return slot;
        }
    }
    return NULL;
}

static bool is_free(uint64_t owner, uint64_t own)
{
    return owner == 0 || owner == own;
}

static bool is_abandoned(uint64_t owner, uint64_t own)
{
    struct vg_process_id id;
    return is_free(owner, own) || !owner_alive(owner, &id);
}

/* Whether an owner lives costs a look into /proc, which many processes that start together would
 * all take for all of them: only when no slot is free. */
static struct slot *claim_slot(struct vg_registry_file *file)
{
    struct vg_process_id self;
    if (vg_process_identify(0, &self) != 0)
        return NULL;
    struct slot *const slot = claim_first(file, owner_word(&self), is_free);
    return slot ? slot : claim_first(file, owner_word(&self), is_abandoned);
}

void vg_registry_join(const char *uuid, struct vg_registration *out)
{
    struct vg_shield shield;
    *out = (struct vg_registration){ .held_bytes = &nobody_reads_this };
    if (!uuid[0] || strchr(uuid, '/'))
        return;
    void *mapped;
    int error = vg_shield_up(&shield) ? vg_shared_map(uuid, &layout, &mapped) : -EAGAIN;
    if (!error) {
        struct vg_registry_file *const file = mapped;
        struct slot *const slot = claim_slot(file);
        if (slot) {
            out->file = file;
            out->held_bytes = &slot->held_bytes;
        } else {
            error = -ENOSPC;
            munmap(file, sizeof *file);
        }
    }
    if (error)
        vg_fault_line(VG_FAULT_REGISTRY,
                      "cannot use /dev/shm/vramguard-%u (%s): reports will not tell which other "
                      "processes are guarded",
                      (unsigned)geteuid(), vg_shared_reason(error));
    vg_shield_down(&shield);
}

void vg_registry_leave(struct vg_registration *registration)
{
    if (!registration->file)
        return;
    struct slot *const slot =
        (struct slot *)((uintptr_t)registration->held_bytes - offsetof(struct slot, held_bytes));
    /* Another exit handler may still free memory; by then the slot may be another process's. */
    registration->file = NULL;
    __atomic_store_n(&registration->held_bytes, &nobody_reads_this, __ATOMIC_RELEASE);
    atomic_store(&slot->held_bytes, 0);
    atomic_store(&slot->owner, 0);
}

size_t vg_registry_others(const struct vg_registration *registration, struct vg_registry_entry *out,
                          size_t cap)
{
    struct vg_process_id self;
    size_t count = 0;
    if (!registration->file || vg_process_identify(0, &self) != 0)
        return 0;
    for (int i = 0; i < SLOT_COUNT && count < cap; i++) {
        struct slot *const slot = &registration->file->slots[i];
        const uint64_t owner = atomic_load(&slot->owner);
        struct vg_process_id id;
        if (owner == 0 || owner == owner_word(&self) || !owner_alive(owner, &id))
            continue;
        out[count++] =
            (struct vg_registry_entry){ .id = id, .held_bytes = atomic_load(&slot->held_bytes) };
    }
    return count;
}
