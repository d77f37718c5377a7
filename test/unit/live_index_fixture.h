/* For unit tests of the index of live allocations: an index in a run file, and looks at it. */
#ifndef VRAMGUARD_TEST_LIVE_INDEX_FIXTURE_H
#define VRAMGUARD_TEST_LIVE_INDEX_FIXTURE_H

#include "base/hashing.h"
#include "core_fixture.h"
#include "heap/live_index.h"

static struct vg_recorder recorder;
static struct vg_live_index track;

static int open_tables(uint64_t largest_live_bytes)
{
    memset(&recorder, 0, sizeof recorder);
    memset(&track, 0, sizeof track);
    const struct vg_recorder_config config = { .path_template = in_scratch("run") };
    if (vg_recorder_open(&recorder, &config) != 0)
        return -1;
    if (largest_live_bytes)
        recorder.live.reserved_bytes = largest_live_bytes;
    return vg_live_index_init(&track, &recorder);
}

static int setup(void **state)
{
    return make_scratch(state) == 0 ? open_tables(0) : -1;
}

static struct vg_allocation allocation(uint64_t address, uint64_t bytes, uint16_t device)
{
    return (struct vg_allocation){ .address = address,
                                   .bytes = bytes,
                                   .monotonic_ns = address * 3,
                                   .stack_id = (uint32_t)address,
                                   .thread_id = (uint32_t)bytes,
                                   .device = device,
                                   .kind = VG_KIND_PITCH,
                                   .capture = (uint32_t)(bytes * 7),
                                   .context = bytes % 2 ? 0 : 0xc0 };
}

static UNUSED int put(uint64_t address, uint64_t bytes, uint16_t device)
{
    const struct vg_allocation one = allocation(address, bytes, device);
    return vg_live_index_put(&track, &one);
}

static UNUSED bool take_and_forget(uint64_t address)
{
    struct vg_pending_free taken;
    if (!vg_live_index_begin_free(&track, address, &taken))
        return false;
    vg_live_index_commit_free(&track, &taken);
    return true;
}

/* What vg_live_index_each shows. */
struct seen {
    uint64_t count, bytes, captures;
    struct vg_allocation last;
};

static void note(const struct vg_allocation *one, void *argument)
{
    struct seen *const seen = argument;
    seen->count++;
    seen->bytes += one->bytes;
    seen->captures += one->capture;
    seen->last = *one;
}

static UNUSED struct seen look(void)
{
    struct seen seen = { 0 };
    vg_live_index_each(&track, note, &seen);
    return seen;
}

/* What the shards have counted, those changes included that they still hold back. */
static UNUSED uint64_t live_bytes(int device)
{
    uint64_t bytes = recorder.header->devices[device].live_bytes;
    for (int i = 0; i < VG_LIVE_INDEX_SHARDS; i++)
        bytes += (uint64_t)track.shards[i].pending_bytes[device];
    return bytes;
}

#define TRACK_TEST(name) cmocka_unit_test_setup_teardown(name, setup, remove_scratch)

#endif
