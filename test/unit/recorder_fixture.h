/* For the unit tests of the recorder: the recorder, and ways to fill it. */
#ifndef VRAMGUARD_TEST_RECORDER_FIXTURE_H
#define VRAMGUARD_TEST_RECORDER_FIXTURE_H

#include "core_fixture.h"
#include "record/recorder.h"

static struct vg_recorder recorder;

/* Returns vg_recorder_open's answer. */
static UNUSED int open_at(const char *path_template)
{
    memset(&recorder, 0, sizeof recorder);
    const struct vg_recorder_config config = { .path_template = path_template };
    return vg_recorder_open(&recorder, &config);
}

/* Uses `count` slots more as the index of live allocations does. */
static UNUSED bool use_slots(uint32_t count)
{
    uint64_t first;
    if (vg_recorder_take_slots(&recorder, count, &first) != 0)
        return false;
    for (uint64_t i = first; i < first + count; i++) {
        if (recorder.slots[i].address != 0)
            return false;
        recorder.slots[i].bytes = i;
        atomic_store(&recorder.slots[i].address, (i + 1) * 512);
    }
    return true;
}

/* Records a stack of `depth` frames that only `seed` has. Returns its id. */
static UNUSED uint32_t stack_of(uint64_t seed, uint32_t depth)
{
    uint64_t frames[VG_STACK_FRAMES + 1];
    for (uint32_t i = 0; i < depth; i++)
        frames[i] = 0x400000 + seed * 64 + i;
    return vg_recorder_stack(&recorder, frames, depth, depth == VG_STACK_FRAMES);
}

#endif
