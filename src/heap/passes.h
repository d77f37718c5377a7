/* Backward passes of a device, told by who allocates: while one is under way the main thread that
 * asked for it waits, and threads of PyTorch's autograd engine allocate. Where another thread
 * trains, or PyTorch does not name its engine's threads (1.13), none are seen. */
#ifndef VRAMGUARD_HEAP_PASSES_H
#define VRAMGUARD_HEAP_PASSES_H

#include <stdbool.h>
#include <stdint.h>

/* Whose thread a block is given to. */
enum vg_block_maker {
    VG_MADE_BY_OTHER,
    VG_MADE_BY_MAIN,     /* the process's main thread */
    VG_MADE_BY_BACKWARD, /* a thread of the autograd engine */
};

enum { VG_PASSES_KEPT = 256 };

struct vg_passes {
    uint64_t starts[VG_PASSES_KEPT]; /* of the last ones: the number of the device's first block */
    uint64_t count;                  /* of all the run */
    bool under_way;
};

void vg_passes_note_change(struct vg_passes *passes, uint64_t number, enum vg_block_maker maker);

/* Block `number` of the device has been given to `maker`. The device's lock is held. */
static inline void vg_passes_note(struct vg_passes *passes, uint64_t number,
                                  enum vg_block_maker maker)
{
    const bool changes =
        passes->under_way ? maker == VG_MADE_BY_MAIN : maker == VG_MADE_BY_BACKWARD;
    if (__builtin_expect(changes, 0))
        vg_passes_note_change(passes, number, maker);
}

/* How many passes had begun when block `number` was given out; for one from before the last
 * VG_PASSES_KEPT, how many had before these. The device's lock is held. */
uint64_t vg_passes_before(const struct vg_passes *passes, uint64_t number);

#endif
