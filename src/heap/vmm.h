/* Physical memory of the virtual memory functions: it lives until its last handle reference and its
 * last mapping are gone (CUDA Driver API, cuMemRelease). Programs release right after mapping, or
 * unmap first, and may retain a handle anew from an address, so references and mappings are counted
 * here; the bytes are recorded in the index like any allocation, under a key that this hands out.
 * Knows nothing of CUDA calls.
 *
 * Sharded by handles and by addresses, so that threads seldom meet at a lock. */
#ifndef VRAMGUARD_HEAP_VMM_H
#define VRAMGUARD_HEAP_VMM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/lock.h"
#include "base/shard.h"
#include "heap/number_map.h"

struct vg_vmm_allocation;
struct vg_vmm_taken;

enum { VG_VMM_SHARDS = VG_SHARDS };

struct vg_vmm_shard {
    struct vg_lock lock;
    struct vg_number_map handles;  /* amount: references by this value; others may name the same */
    struct vg_number_map mappings; /* by their first address; amount: bytes */
    struct vg_vmm_allocation *free_objects;
    struct vg_vmm_taken *free_taken;
    struct vg_arena arena;
} __attribute__((aligned(64)));

/* Every function takes locks, one at a time; any thread. */
struct vg_vmm {
    struct vg_vmm_shard shards[VG_VMM_SHARDS];
};

/* Sets up `virtual`, which is all zero. */
void vg_vmm_init(struct vg_vmm *virtual);

/* A new object with one reference, known by `handle`, recorded under `key`. Returns 0 or -ENOMEM.
 */
int vg_vmm_create(struct vg_vmm *virtual, uint64_t handle, uint64_t key);

/* The key of the object that `handle` names, 0 for one that is not known. */
uint64_t vg_vmm_key(struct vg_vmm *virtual, uint64_t handle);

/* Takes one reference from `handle` before the real release; a handle value may be given out anew
 * the moment the driver has it back. Returns the object, or NULL for a handle that is not known
 * (imported, or older than the guard). To be followed by exactly one of the two below. */
struct vg_vmm_allocation *vg_vmm_begin_release(struct vg_vmm *virtual, uint64_t handle);

/* The driver has released it. Returns the key of the object if that was its end, else 0. */
uint64_t vg_vmm_end_release(struct vg_vmm *virtual, struct vg_vmm_allocation *object);

/* The driver refused: the reference is given back. */
void vg_vmm_undo_release(struct vg_vmm *virtual, struct vg_vmm_allocation *object, uint64_t handle);

/* `handle` was obtained from a mapped address: one more reference to what is mapped there. */
void vg_vmm_retain(struct vg_vmm *virtual, uint64_t handle, uint64_t address);

/* `handle`'s object is mapped at [address, address + bytes). Returns the object's key, 0 when the
 * handle is not known. A mapping that begins there already is one whose end nobody saw: it ends
 * now, and `*out_ended` is the key of its object if that was its end, else 0. */
uint64_t vg_vmm_map(struct vg_vmm *virtual, uint64_t address, uint64_t bytes, uint64_t handle,
                    uint64_t *out_ended);

/* Mappings between being taken out and the driver's answer. */
struct vg_vmm_unmapping {
    struct vg_number_entry first; /* its object is NULL: there are none */
    struct vg_vmm_taken *others;  /* when one call unmaps several */
};

/* Takes out the mappings that begin in [address, address + bytes), before the real unmapping.
 * Returns whether there were any. To be followed by one of the two below. */
bool vg_vmm_begin_unmap(struct vg_vmm *virtual, uint64_t address, uint64_t bytes,
                        struct vg_vmm_unmapping *out);

/* The driver has unmapped them: calls `ended(key, argument)`, without a lock, for each object whose
 * end that was. */
void vg_vmm_end_unmap(struct vg_vmm *virtual, const struct vg_vmm_unmapping *unmapping,
                      void (*ended)(uint64_t key, void *argument), void *argument);

/* The driver refused: the mappings are as before. */
void vg_vmm_undo_unmap(struct vg_vmm *virtual, const struct vg_vmm_unmapping *unmapping);

#endif
