/* The guarded processes of this user on this machine, GPU by GPU: who they are and what they hold.
 *
 * One file per GPU, /dev/shm/vramguard-<uid>/<uuid>, mapped by every guarded process that uses the
 * GPU. A process owns one slot, named by pid and start time; slots of dead processes are reused. A
 * directory or file that is not ours, or of another version, means "run unregistered": nothing
 * depends on the registry but what reports say of others. */
#ifndef VRAMGUARD_REGISTRY_REGISTRY_H
#define VRAMGUARD_REGISTRY_REGISTRY_H

#include <stddef.h>
#include <stdint.h>

#include "base/process.h"
#include "registry/shared_file.h" /* where the files live */

struct vg_registry_file;

/* This process's place in one GPU's file. */
struct vg_registration {
    struct vg_registry_file *file; /* NULL: unregistered */
    _Atomic uint64_t *held_bytes;  /* never NULL: where to keep the live bytes up to date */
};

/* Registers this process with the GPU `uuid`. Always leaves a usable `out`: when the registry
 * cannot be used, unregistered, and says so in one line the first time. Waits for nobody. */
void vg_registry_join(const char *uuid, struct vg_registration *out);

/* Gives the slot back (at exit). Safe when unregistered. */
void vg_registry_leave(struct vg_registration *registration);

struct vg_registry_entry {
    struct vg_process_id id;
    uint64_t held_bytes;
};

/* The other live guarded processes on the GPU, at most `cap`. Returns their number. */
size_t vg_registry_others(const struct vg_registration *registration, struct vg_registry_entry *out,
                          size_t cap);

#endif
