/* The live process as the source of a run. */
#ifndef VRAMGUARD_ANALYZE_PROCESS_SOURCE_H
#define VRAMGUARD_ANALYZE_PROCESS_SOURCE_H

#include "analyze/native_names.h"
#include "analyze/run_source.h"
#include "heap/blocks.h"
#include "heap/live_index.h"
#include "record/recorder.h"
#include "unwind/caller.h"

struct vg_process_source {
    struct vg_run_source source;
    struct vg_recorder *recorder;
    const struct vg_live_index *track;
    const struct vg_blocks *blocks; /* NULL: not watched */
    struct vg_native_names *names;
    struct vg_caller_map callers;
};

/* Fills `out` (at a fixed address) for the tables of this process as they are now. `names` is
 * cleared; its texts will lie in `region`. Calls the dynamic loader, so no lock of ours may be
 * held. What comes and goes meanwhile in other threads may or may not be seen. */
void vg_process_source_init(struct vg_process_source *out, struct vg_recorder *recorder,
                            const struct vg_live_index *track, const struct vg_blocks *blocks,
                            struct vg_native_names *names, struct vg_region *region);

/* Only what tells the lines of recorded stacks: `stack`, `code` and their counts. Any thread. */
struct vg_run_source vg_process_source_of_stacks(struct vg_recorder *recorder);

#endif
