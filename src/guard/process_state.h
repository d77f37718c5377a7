/* What vramguard keeps for this process, made at the first CUDA call that it guards. */
#ifndef VRAMGUARD_GUARD_PROCESS_STATE_H
#define VRAMGUARD_GUARD_PROCESS_STATE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/option.h"
#include "guard/left_call.h"
#include "heap/blocks.h"
#include "heap/graph_pools.h"
#include "heap/live_index.h"
#include "heap/pools.h"
#include "heap/spilled.h"
#include "heap/vmm.h"
#include "limit/inject.h"
#include "limit/quota.h"
#include "oom/deferred_oom.h"
#include "oom/oom_classify.h"
#include "oom/policy.h"
#include "os/fork_mark.h"
#include "os/shrunk_file.h"
#include "os/stack_room.h"
#include "record/recorder.h"
#include "shared/registry.h"
#include "unwind/stack.h"

enum vg_device_stage { VG_DEVICE_NEW, VG_DEVICE_BUSY, VG_DEVICE_READY };

/* What an allocation has to pass before it is made. */
enum vg_gate { VG_GATE_INJECT = 1, VG_GATE_LIMIT = 2, VG_GATE_QUEUE = 4 };

struct vg_process_state {
    pid_t process; /* whose it is */
    bool inert;    /* nothing is guarded: switched off, or no memory for the tables */
    struct vg_stack_choice stacks;
    _Atomic unsigned gates; /* enum vg_gate: what is asked before each allocation */
    struct vg_policy policy;
    struct vg_inject inject;
    _Atomic uint64_t allocation_count; /* counted for `inject` only */
    struct vg_quota allowance;
    const struct vg_options *options;
    struct vg_oom_state history;
    struct vg_recorder recorder;
    struct vg_live_index track;
    struct vg_blocks blocks;
    struct vg_graph_pools graph_pools;
    bool wants_blocks; /* VRAMGUARD_TENSORS */
    bool wants_census; /* and PyTorch's observer has not been settled yet */
    struct vg_vmm virtual;
    struct vg_pools pools;
    struct vg_spilled spilled;
    struct vg_deferred_oom passed;
    _Atomic uint32_t device_stage[VG_FILE_DEVICES]; /* enum vg_device_stage */
    struct vg_registration registrations[VG_FILE_DEVICES];
    _Atomic uint64_t
        listen_at_bytes[VG_FILE_DEVICES]; /* who holds so much may listen (listener.h) */
};

/* The tables of `state`, as the report and the policy see them. */
struct vg_tables vg_process_tables(struct vg_process_state *state);

/* Is the library switched off (VRAMGUARD=off)? Reads the options on first use; opens nothing. */
bool vg_process_switched_off(void);

/* The options, read on first use. Static storage. */
const struct vg_options *vg_process_options(void);

/* Is there a limit (VRAMGUARD_LIMIT)? Reads the options on first use; opens nothing. */
bool vg_process_limited(void);

/* The limit of `device` and what it leaves. Returns false when it is not limited. Makes the
 * process's state if need be, so vg_process_limited is asked first. errno is preserved. No lock of
 * ours may be held. */
bool vg_process_limit_of(int device, uint64_t *out_limit_bytes, uint64_t *out_left_bytes);

/* What each thread keeps. Small: thread-local storage is paid for by every thread of the program.
 */
struct vg_thread {
    const struct vg_process_state *state; /* that thread_id was cached for */
    const struct vg_guard_frame *inside;  /* the call that it is in, NULL: outside the guard */
    struct vg_oom_call *failing;          /* of that call, while it lacks memory */
    uintptr_t stack_lowest;               /* as vg_stack_lowest says */
    uint32_t thread_id;
    struct vg_last_failure last_failure;
    uint64_t turn_since_ns; /* when its last call that had to wait its turn came */
    uint16_t passed_place;  /* where its first failure is noted (passed.h); 0: none is */
    /* Since PyTorch last gave this thread a block: a call of its allocator has lacked memory, and
     * the failure has been told already. */
    uint8_t torch_refused, torch_told;
    /* It blocked SIGBUS when it was met (shrunk_file.h), and does not inside the guard. */
    bool blocks_bus_errors, admits_bus_errors;
    uint32_t root_stack; /* of vg_stack_take_root, 0 not taken yet */
    uint8_t maker;       /* 1 + enum vg_block_maker; 0 not asked yet */
};

extern _Thread_local struct vg_thread vg_thread;
extern struct vg_process_state *_Atomic vg_process_current; /* NULL before the first use */

/* Is there room on the stack for an unwinder, and for the loader that opens it? Else no stacks are
 * captured. The thread has been met (vg_process_start). */
static inline bool vg_thread_has_room(void)
{
    return vg_stack_has_room(vg_thread.stack_lowest, 24 * 1024);
}

/* Makes the state if need be, in a forked child anew, and caches the thread's id. */
struct vg_process_state *vg_process_start(void);

/* gcc 14 does not see that vg_guard_leave takes the frame out again. */
#if defined __GNUC__ && __GNUC__ >= 12 && !defined __clang__
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdangling-pointer"
#define VG_DIAGNOSTIC_PUSHED
#endif

/* The first half of vg_guard_enter. Returns false for a nested call. */
static inline bool vg_guard_enter_thread(struct vg_guard_frame *frame, size_t bytes)
{
    if (__builtin_expect(vg_thread.inside != NULL, 0) &&
        !vg_guard_was_left((uintptr_t)frame, bytes))
        return false;
    vg_thread.inside = frame;
    frame->mark = vg_guard_mark(frame);
    return true;
}

#ifdef VG_DIAGNOSTIC_PUSHED
#pragma GCC diagnostic pop
#undef VG_DIAGNOSTIC_PUSHED
#endif

/* What the thread admitted inside the guard is blocked again. */
static inline void vg_thread_block_bus_errors(void)
{
    if (vg_thread.admits_bus_errors)
        vg_shrunk_file_block();
    vg_thread.admits_bus_errors = false;
}

/* Enters the guard: returns this process's state, made on first use, or NULL when the call is to go
 * straight to the driver: switched off, nested inside the guard, or inert. Each non-NULL answer is
 * paired with vg_guard_leave in the same thread.
 *
 * In a forked child the state is made anew: the parent's tables and file are not touched. errno is
 * preserved. Takes VG_LOCK_START on first use only. `frame` begins `bytes` on the caller's
 * stack, which stay until vg_guard_leave. */
static inline struct vg_process_state *vg_guard_enter(struct vg_guard_frame *frame, size_t bytes)
{
    if (!vg_guard_enter_thread(frame, bytes))
        return NULL;
    struct vg_process_state *state =
        atomic_load_explicit(&vg_process_current, memory_order_acquire);
    /* A thread that has cached its id for this state has seen that it is not inert. */
    if (__builtin_expect(vg_thread.state != state || !state || !vg_fork_mark_intact(), 0))
        state = vg_process_start();
    if (!state)
        vg_thread.inside = NULL;
    else if (__builtin_expect(vg_thread.blocks_bus_errors, 0))
        vg_thread.admits_bus_errors = vg_shrunk_file_admit();
    return state;
}

static inline void vg_guard_leave(void)
{
    vg_thread.inside = NULL;
    if (__builtin_expect(vg_thread.blocks_bus_errors, 0))
        vg_thread_block_bus_errors();
}

/* Makes entry `ordinal` of the device table usable: totals, name, UUID, registration. One thread
 * does it; the entry can be counted in meanwhile. errno is preserved. */
void vg_process_describe_device(struct vg_process_state *state, int ordinal);

/* vg_process_describe_device, once. */
static inline void vg_process_use_device(struct vg_process_state *state, int ordinal)
{
    if (__builtin_expect(atomic_load_explicit(&state->device_stage[ordinal],
                                              memory_order_relaxed) == VG_DEVICE_NEW,
                         0))
        vg_process_describe_device(state, ordinal);
}

/* The same, and waits for another thread that is at it: for what needs the description itself. Also
 * registers the process anew where the registry has been deleted meanwhile. */
void vg_process_await_device(struct vg_process_state *state, int ordinal);

#endif
