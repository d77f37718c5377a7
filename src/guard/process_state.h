/* What vramguard keeps for this process, made at the first CUDA call that it guards. */
#ifndef VRAMGUARD_GUARD_PROCESS_STATE_H
#define VRAMGUARD_GUARD_PROCESS_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/option.h"
#include "policy/policy.h"
#include "recorder/recorder.h"
#include "registry/registry.h"
#include "track/track.h"

struct vg_process_state {
    bool inert;        /* nothing is guarded: switched off, or no memory for the tables */
    bool wants_stacks; /* VRAMGUARD_STACKS */
    struct vg_policy policy;
    struct vg_recorder recorder;
    struct vg_track track;
    _Atomic uint32_t device_state[VG_FILE_DEVICES]; /* enum in process_state.c */
    struct vg_registration registrations[VG_FILE_DEVICES];
    struct vg_options options;
};

/* Is the library switched off (VRAMGUARD=off)? Reads the options on first use; opens nothing. */
bool vg_process_switched_off(void);

/* Enters the guard: returns this process's state, made on first use, or NULL when the call is to go
 * straight to the driver: switched off, nested inside the guard, or inert. Each non-NULL answer is
 * paired with vg_guard_leave in the same thread.
 *
 * In a forked child the state is made anew: the parent's tables and file are not touched. errno is
 * preserved. Takes VG_LOCK_START on first use only. */
struct vg_process_state *vg_guard_enter(void);
void vg_guard_leave(void);

/* Id of the calling thread, cached. Only between enter and leave. */
uint32_t vg_guard_thread_id(void);

/* Makes entry `ordinal` of the device table usable: totals, name, UUID, registration. Returns the
 * registration whose held_bytes is to be kept up to date. */
struct vg_registration *vg_process_device(struct vg_process_state *state, int ordinal);

#endif
