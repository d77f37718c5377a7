/* One guarded process asks another to give back what it only keeps: four words in the other's slot
 * of the GPU's registry file. Whoever asks counts `asked` up and wakes those who sleep on it
 * (futex(2)); the process asked answers in its own time, or never. Nobody waits long for an answer,
 * so nobody is harmed by one who was killed in the middle. Of two who ask at the same time the last
 * one is named; both see memory come free. */
#ifndef VRAMGUARD_SHARED_RECLAIM_SLOT_H
#define VRAMGUARD_SHARED_RECLAIM_SLOT_H

#include <stdatomic.h>
#include <stdint.h>

struct vg_reclaim_slot {
    _Atomic uint32_t asked;      /* how often */
    _Atomic uint32_t answered;   /* equal to `asked`: nothing is pending */
    _Atomic uint64_t asker;      /* vg_process_owner of who asked last */
    _Atomic uint32_t wanted_mib; /* rounded up; 0: it is only to say what it keeps unused */
    _Atomic uint32_t idle_mib;   /* it keeps so much unused, as it found when it looked last */
    _Atomic uint32_t gave_mib;   /* of the GPU, since it was asked */
    _Atomic uint32_t listens;    /* not 0: the process has a thread that answers */
};

_Static_assert(sizeof(struct vg_reclaim_slot) == 32, "the rest of a slot");

struct vg_registry_file;
struct vg_registration;

/* This process's own words; NULL when it is unregistered. Valid for good, but its own only until it
 * leaves. */
struct vg_reclaim_slot *vg_registry_reclaim_slot(const struct vg_registration *registration);

/* Asks every other live process of the file that listens, unless it is still at an answer: what it
 * holds as far as the registry tells says nothing of what the driver's pools keep for it. Returns
 * how many have been asked, those included. Looks into /proc for each. 0 for a NULL file. */
unsigned vg_registry_request_reclaim(struct vg_registry_file *file, uint64_t wanted_bytes);

/* Asks every other live process of the file that listens, and is not at an answer, to say how much
 * it keeps unused (`idle_mib`), without giving it back; waits until all have, `patience_ms` at the
 * most. Nothing for a NULL file. */
void vg_registry_request_idle(struct vg_registry_file *file, unsigned patience_ms);

/* What those have given back whom this process was the last to ask. */
struct vg_registry_reclaimed {
    uint64_t bytes;         /* all together */
    uint64_t largest_bytes; /* by this one: */
    int32_t largest_pid;    /* 0: nobody gave anything */
    unsigned pending;       /* how many are at it */
};

void vg_registry_measure_reclaimed(const struct vg_registry_file *file,
                                   struct vg_registry_reclaimed *out);

#endif
