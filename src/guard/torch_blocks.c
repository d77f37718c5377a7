#include "guard/torch_blocks.h"

#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "driver/captures.h"
#include "guard/process_state.h"
#include "guard/torch_observer.h"
#include "guard/torch_oom.h"
#include "unwind/python_stack.h"
#include "unwind/stack.h"

/* A thread without Python frames: in a program without Python its native stack, else what kind of
 * thread it is. The latter once for each thread: backward passes make most of a training's blocks.
 */
static __attribute__((noinline)) uint32_t stack_without_python(struct vg_process_state *state)
{
    if (!state->stacks.native || !vg_thread_has_room())
        return 0;
    if (!vg_python_is_found()) {
        struct vg_stack stack;
        return vg_stack_take(state->stacks, &state->recorder, &stack);
    }
    if (vg_thread.root_stack == 0)
        vg_thread.root_stack = vg_stack_take_root(&state->recorder);
    return vg_thread.root_stack;
}

/* Where the block that the calling thread is being given comes from. */
static __attribute__((noinline)) struct vg_block_origin find_origin(struct vg_process_state *state,
                                                                    uint16_t device)
{
    struct vg_block_origin origin;
    uint64_t hash = 0;
    uint32_t stack_id;
    if (state->stacks.python && vg_thread_has_room())
        hash = vg_stack_hash_python();
    if (hash != 0) {
        if (vg_blocks_find_origin(&state->blocks, device, hash, &origin))
            return origin;
        stack_id = vg_stack_record_python(hash, &state->recorder);
    } else {
        stack_id = stack_without_python(state);
        hash = stack_id + 1; /* of ids, which no hash of frames is likely to be */
        if (vg_blocks_find_origin(&state->blocks, device, hash, &origin))
            return origin;
    }
    return vg_blocks_add_origin(&state->blocks, device, hash, stack_id);
}

/* The autograd engine gives its threads this name before they do anything else
 * (torch/csrc/autograd/engine.cpp, Engine::thread_init). */
static __attribute__((noinline)) enum vg_block_maker ask_maker(void)
{
    char name[17] = "";
    vg_thread.maker = 1 + VG_MADE_BY_OTHER;
    if ((pid_t)vg_thread.thread_id == getpid())
        vg_thread.maker = 1 + VG_MADE_BY_MAIN;
    else if (prctl(PR_GET_NAME, name) == 0 && strncmp(name, "pt_autograd_", 12) == 0)
        vg_thread.maker = 1 + VG_MADE_BY_BACKWARD;
    return (enum vg_block_maker)(vg_thread.maker - 1);
}

static enum vg_block_maker maker_of_thread(void)
{
    if (__builtin_expect(vg_thread.maker == 0, 0))
        return ask_maker();
    return (enum vg_block_maker)(vg_thread.maker - 1);
}

static void give_out(struct vg_process_state *state, uint64_t address, uint64_t bytes,
                     uint16_t device, const struct vg_block_sums *told)
{
    const struct vg_block_origin origin = find_origin(state, device);
    const struct vg_block block = {
        .address = address,
        .bytes = bytes,
        .monotonic_ns = vg_clock_ns(CLOCK_MONOTONIC_COARSE),
        .stack_id = origin.stack_id,
        .site = origin.site,
        .thread_id = vg_thread.thread_id,
        .device = device,
        .maker = maker_of_thread(),
    };
    vg_blocks_put(&state->blocks, &block, told);
    const uint32_t capture = vg_captures_allocating();
    if (__builtin_expect(capture != 0, 0))
        vg_graph_pools_add_block(&state->graph_pools, capture, bytes, told->allocated_bytes);
    if (__builtin_expect(vg_thread.passed_place | vg_thread.torch_refused | vg_thread.torch_told,
                         0))
        vg_torch_oom_served(state);
    if (__builtin_expect(state->wants_census, 0))
        vg_torch_observer_want(state);
}

void vg_guard_torch_out_of_memory(int64_t bytes, uint64_t allocated_bytes, uint64_t reserved_bytes,
                                  int device)
{
    if (device < 0 || device >= VG_FILE_HOST)
        return;
    struct vg_guard_frame frame;
    struct vg_process_state *const state = vg_guard_enter(&frame, sizeof frame);
    if (!state)
        return;
    const int saved_errno = errno;
    const struct vg_block_sums told = { .allocated_bytes = allocated_bytes,
                                        .reserved_bytes = reserved_bytes };
    if (state->wants_blocks) {
        vg_blocks_note_refused(&state->blocks, (uint16_t)device, &told);
        vg_torch_oom_gave_up(state, (uint64_t)bytes, device);
    }
    errno = saved_errno;
    vg_guard_leave();
}

void vg_guard_torch_memory(uint64_t address, int64_t bytes, uint64_t allocated_bytes,
                           uint64_t reserved_bytes, int device)
{
    if (address == 0 || bytes == 0 || device < 0 || device >= VG_FILE_HOST)
        return;
    struct vg_guard_frame frame;
    struct vg_process_state *const state = vg_guard_enter(&frame, sizeof frame);
    if (!state)
        return;
    const int saved_errno = errno;
    const struct vg_block_sums told = { .allocated_bytes = allocated_bytes,
                                        .reserved_bytes = reserved_bytes };
    if (!state->wants_blocks)
        ;
    else if (bytes > 0)
        give_out(state, address, (uint64_t)bytes, (uint16_t)device, &told);
    else
        vg_blocks_take(&state->blocks, (uint16_t)device, address, &told);
    errno = saved_errno;
    vg_guard_leave();
}

bool vg_torch_blocks_find(struct vg_blocks *blocks, uint16_t device, uintptr_t address,
                          struct vg_census_block *out)
{
    struct vg_block_found found;
    if (!vg_blocks_find(blocks, device, address, &found))
        return false;
    *out = (struct vg_census_block){
        .bytes = found.bytes,
        .number = found.device_number,
        .passes = found.passes,
        .monotonic_ns = found.monotonic_ns,
        .stack_id = found.stack_id,
        .is_of_backward = found.is_of_backward,
        .eighth = VG_RUN_EIGHTHS,
    };
    if (found.number > 0 && found.number <= found.site_count)
        out->eighth = (uint32_t)((found.number - 1) * VG_RUN_EIGHTHS / found.site_count);
    return true;
}
