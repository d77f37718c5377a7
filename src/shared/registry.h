/* The guarded processes of this user on this machine, GPU by GPU: who they are and what they hold.
 *
 * One file per GPU, /dev/shm/vramguard-<uid>/<uuid>.<version>, mapped by every guarded process that
 * uses the GPU. A process owns one slot, named by pid and start time; slots of dead processes are
 * reused. Containers that share /dev/shm share it, whether or not they see each other's processes
 * (alive.h). The file also holds the line of those who wait for the GPU's memory (queue.h). A
 * directory or file that is not ours, or of another version, means "run unregistered": waiting is
 * then a matter of this process's own threads, and reports say less of others. */
#ifndef VRAMGUARD_SHARED_REGISTRY_H
#define VRAMGUARD_SHARED_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/process.h"
#include "shared/queue.h"
#include "shared/shared_file.h" /* where the files live */

struct vg_registry_file;

/* This process's place in one GPU's file. */
struct vg_registration {
    struct vg_registry_file *file; /* NULL: unregistered */
    _Atomic uint64_t *held_bytes;  /* never NULL: where to keep the live bytes up to date */
    struct vg_queue *queue;        /* never NULL: unregistered, one of this process alone */
    uint64_t device_number, inode; /* of the file */
};

/* The queue, while another thread may be about to replace that of this process alone by the GPU's.
 */
static inline struct vg_queue *vg_registration_queue(const struct vg_registration *registration)
{
    return __atomic_load_n(&registration->queue, __ATOMIC_ACQUIRE);
}

/* Registers this process with the GPU `uuid`. Always leaves a usable `out`: when the registry
 * cannot be used, unregistered, and says so in one line the first time. Waits for nobody. */
void vg_registry_join(const char *uuid, struct vg_registration *out);

/* Has somebody deleted the file of the GPU `uuid`, or put another in its place, since this process
 * registered? Those who come then make a new one, and so is to do who wants to find them: register
 * again. One look at the folder; false when unregistered. */
bool vg_registry_is_lost(const struct vg_registration *registration, const char *uuid);

/* Gives the slot back (at exit) and tells those who wait. Safe when unregistered. */
void vg_registry_leave(struct vg_registration *registration);

/* Promises this process `bytes` of the GPU, what it holds already included, until `until_ns`
 * (CLOCK_MONOTONIC). 0 takes it back. Nothing when unregistered. */
void vg_registry_reserve(const struct vg_registration *registration, uint64_t bytes,
                         uint64_t until_ns);

/* Has this process been promised memory of the GPU? */
bool vg_registry_has_reserved(const struct vg_registration *registration);

enum { VG_REGISTRY_SLOTS = 1023 };

struct vg_registry_entry {
    uint64_t owner; /* vg_process_owner */
    uint64_t held_bytes;
    uint64_t reserved_bytes; /* 0: nothing */
    uint64_t idle_bytes;     /* it keeps so much unused, as it found when it looked last */
    bool gives_back;         /* it answers requests to give back (reclaim_slot.h) */
    bool waits;              /* in line of the file's GPU */
};

/* The live guarded processes of a GPU's file, with or without this one, at most `cap`
 * (VG_REGISTRY_SLOTS hold all). Returns their number; 0 for a NULL file. Looks into /proc for each.
 */
size_t vg_registry_members(const struct vg_registry_file *file, bool with_self,
                           struct vg_registry_entry *out, size_t cap);

/* The live guarded process `pid` of the file; false when there is none. Looks into /proc at most
 * once, however many have died without leaving. */
bool vg_registry_member(const struct vg_registry_file *file, int32_t pid,
                        struct vg_registry_entry *out);

/* A number that stays the same as long as the same other processes wait in line of the file's GPU.
 */
uint64_t vg_registry_waiting_hash(const struct vg_registry_file *file);

/* Notes that somebody has seen the process `pid` with `start_ticks` hold `bytes` of the GPU at
 * `now_ns` (CLOCK_MONOTONIC), for all who look later. Returns since when it has been seen to hold
 * exactly that: `now_ns` if nobody has seen it so before; 0 for a NULL file. The file keeps the
 * VG_REGISTRY_SIGHTINGS processes seen last, more or less. Any thread, no locks. */
enum { VG_REGISTRY_SIGHTINGS = 512 };
uint64_t vg_registry_note_sighting(struct vg_registry_file *file, int32_t pid, uint64_t start_ticks,
                                   uint64_t bytes, uint64_t now_ns);

struct vg_queue *vg_registry_queue(struct vg_registry_file *file);

typedef void vg_registry_visit(const char *uuid, struct vg_registry_file *file, void *argument);

/* Calls `visit` for the file of each GPU that this user's guarded processes have used; mapped only
 * meanwhile. Returns 0 or -errno of the directory. */
int vg_registry_each(vg_registry_visit *visit, void *argument);

/* The same for those in which somebody may be in line: quick, whatever else lies there. */
int vg_registry_each_waited_for(vg_registry_visit *visit, void *argument);

/* Lets one process at a time decide over all of this user's. Returns a descriptor, to be closed
 * when it is done, or -EAGAIN while another decides, or another -errno. A record lock (fcntl(2)):
 * the kernel releases it when the process dies, and a forked child does not inherit it. One thread
 * of a process may be at it. */
int vg_registry_lock_decision(void);

#endif
