/* The loaded objects of the process, recorded so that addresses can be named after its end. */
#ifndef VRAMGUARD_RECORD_MODULES_H
#define VRAMGUARD_RECORD_MODULES_H

#include <stdint.h>

#include "base/arena.h"
#include "base/lock.h"

struct vg_recorder;
struct vg_module_seen;

struct vg_modules {
    struct vg_lock lock;
    struct vg_module_seen *seen; /* uthash head: objects already in the journal */
    struct vg_arena arena;
    _Atomic unsigned long long generation; /* the loader's count of loaded objects, last time */
};

/* Records every loaded object that is not in the journal yet; returns at once when nothing was
 * loaded since the last call. Takes the loader's object-list lock (dl_iterate_phdr), so no lock of
 * ours may be held. */
void vg_modules_record(struct vg_recorder *recorder);

#endif
