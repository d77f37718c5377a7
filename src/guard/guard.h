/* The life of an allocation, written once. A wrapper reads
 *
 *     if (!vg_guard_begin(&call, function, asked_bytes))
 *         return <the real call>;
 *     do
 *         call.result = vg_guard_admits(&call) ? <the real call> : CUDA_ERROR_OUT_OF_MEMORY;
 *     while (vg_guard_again(&call));
 *     if (call.result == CUDA_SUCCESS)
 *         vg_guard_record(&call, kind, address, bytes);
 *     return vg_guard_end(&call);
 *
 * No lock of ours is held across a driver call, a callback or a wait. */
#ifndef VRAMGUARD_GUARD_GUARD_H
#define VRAMGUARD_GUARD_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/size.h"
#include "driver/driver.h"
#include "guard/gates.h"
#include "guard/oom_call.h"
#include "guard/process_state.h"
#include "record/format.h"
#include "unwind/stack.h"
#include "wait/queue_wait.h"

/* One allocating call of the program. */
struct vg_call {
    struct vg_guard_frame frame;
    CUresult result; /* of the real call, set by the wrapper */
    enum vg_function_id function;
    uint64_t asked_bytes; /* as the program named it, VG_BYTES_UNKNOWN if it named none */
    int device;           /* ordinal that the call is about; -1: the current context's */
    struct vg_process_state *state;
    struct vg_oom_call *failing; /* while it lacks memory and something is tried; else NULL */
    bool placed;         /* the policy has found the memory elsewhere: there was no real success */
    uint64_t placed_key; /* then: vg_request.key */
    struct vg_held_ticket turn; /* its place in line, when it had to wait its turn (gates.h) */
    enum vg_refusal refused_by; /* of the last try, if that ran out of memory */
    const struct vg_inject_rule *injected_by; /* with VG_REFUSED_BY_INJECT, and then */
    uint64_t allocation_number;               /* of the process's allocations */
    bool is_graph_node;      /* set by the wrapper: takes no memory of a device, or none yet */
    struct vg_charge charge; /* what the call has reserved under a limit */
    struct vg_stack stack;   /* once the call has succeeded or failed */
};

/* Not the stack, which is large and filled in when it is needed. */
static inline void vg_guard_set_up(struct vg_call *call, enum vg_function_id function,
                                   uint64_t asked_bytes, int device)
{
    call->function = function;
    call->asked_bytes = asked_bytes;
    call->device = device;
    call->failing = NULL;
    call->placed = call->is_graph_node = call->charge.held = false;
    call->turn.queue = NULL;
    call->turn.since_ns = 0;
    call->refused_by = VG_REFUSED_BY_DRIVER;
}

/* Starts guarding the call. Returns false when it is to go straight to the driver: switched off,
 * nested in another guarded call, or not in this driver. In line: every call of the program's that
 * is guarded begins here. */
static inline __attribute__((always_inline)) bool
vg_guard_begin(struct vg_call *call, enum vg_function_id function, uint64_t asked_bytes)
{
    if (!vg_driver_has(function))
        return false;
    call->state = vg_guard_enter(&call->frame, sizeof *call);
    if (!call->state)
        return false;
    vg_guard_set_up(call, function, asked_bytes, -1);
    return true;
}

/* The same for a call that is not tracked and only reported when it runs out of memory: the
 * process's state is not made before that. `device` as in struct vg_call. */
bool vg_guard_begin_watched(struct vg_call *call, enum vg_function_id function, int device);

/* Is the real call to be made? See gates.h. That a process is a newcomer concerns no small
 * allocation.
 */
static inline bool vg_guard_admits(struct vg_call *call)
{
    const unsigned gates = atomic_load_explicit(&call->state->gates, memory_order_relaxed);
    return __builtin_expect(gates == 0, 1) ||
           (gates == VG_GATE_QUEUE && call->asked_bytes < VG_MIB) || vg_gates_ask(call);
}

/* Do the gates have to know what is asked for and where before the driver has looked at it? Only
 * with an option that refuses calls: a bare program gets an error for a wild descriptor, not a
 * fault. */
static inline bool vg_guard_looks_ahead(const struct vg_call *call)
{
    const unsigned gates = atomic_load_explicit(&call->state->gates, memory_order_relaxed);
    return __builtin_expect(gates & ~(unsigned)VG_GATE_QUEUE, 0);
}

/* Some calls show what they take only when they have succeeded. Returns false when a limit does not
 * allow `bytes` in all: the wrapper then frees what it got and says CUDA_ERROR_OUT_OF_MEMORY. */
bool vg_guard_resize(struct vg_call *call, uint64_t bytes);

static inline bool vg_guard_allows(struct vg_call *call, uint64_t bytes)
{
    return __builtin_expect(!call->charge.held, 1) || vg_guard_resize(call, bytes);
}

/* Has the driver accepted the arguments of the call just made? Only then may what they point to be
 * read: a bare program gets an error for a wild pointer that the driver never looked at. */
static inline bool vg_guard_accepted(const struct vg_call *call)
{
    return call->result == CUDA_SUCCESS || call->result == CUDA_ERROR_OUT_OF_MEMORY;
}

static inline bool vg_guard_lacks_memory(const struct vg_call *call)
{
    return __builtin_expect(call->result == CUDA_ERROR_OUT_OF_MEMORY, 0);
}

/* Looks at call->result: is the real call to be made once more? Runs the policy after an
 * out-of-memory result and writes the report when nothing helped. */
static inline bool vg_guard_again(struct vg_call *call)
{
    if (vg_guard_lacks_memory(call))
        return vg_oom_call_answer(call, NULL);
    if (__builtin_expect(call->failing != NULL, 0))
        vg_oom_call_end(call);
    return false;
}

/* The same for a call that the policy may place elsewhere: the other arguments name the members of
 * its struct vg_request, which is made after an out-of-memory result only. */
#define VG_GUARD_AGAIN_FOR(call, ...)                                                              \
    (vg_guard_lacks_memory(call) ? vg_oom_call_answer(call, &(struct vg_request){ __VA_ARGS__ })   \
                                 : vg_guard_again(call))

/* Is the success of the call the policy's, which has placed the request elsewhere? */
static inline bool vg_guard_placed(const struct vg_call *call)
{
    return __builtin_expect(call->placed, 0);
}

/* Records what a successful call allocated, on call->device; address 0 is nothing. What was placed
 * elsewhere is recorded as such. */
void vg_guard_record(struct vg_call *call, enum vg_kind kind, uint64_t address, uint64_t bytes);

/* The number under which an allocation with VG_TRAIT_HANDLE is recorded: above all addresses, and
 * different for handles of different kinds. */
static inline uint64_t vg_guard_handle_key(enum vg_kind kind, uint64_t handle)
{
    return handle ^ ((uint64_t)kind << 59 | UINT64_C(1) << 63);
}

/* Ordinal of the device that the call is about, -1 when it has none (or one beyond our table). */
int vg_guard_device(const struct vg_call *call);

/* What vg_stack_take returns, without a stack where there is no room to capture one. */
uint32_t vg_guard_take_stack(struct vg_process_state *state, struct vg_stack *out);

/* The rest of vg_guard_end, for a call that has still reserved or waited for something. */
void vg_guard_end_held(struct vg_call *call);

/* Ends the call. Returns the result for the program. */
static inline CUresult vg_guard_end(struct vg_call *call)
{
    if (__builtin_expect(call->charge.held || call->turn.since_ns != 0, 0))
        vg_guard_end_held(call);
    vg_guard_leave();
    return call->result;
}

/* One freeing call of the program. */
struct vg_free_call {
    struct vg_guard_frame frame;
    struct vg_process_state *state;
    bool known; /* the address was in the record: `taken` is valid */
    struct vg_pending_free taken;
};

/* Takes `address` out of the record before the real free. Returns false as vg_guard_begin does. An
 * address that is not in the record goes to the driver like any other. */
static inline __attribute__((always_inline)) bool
vg_guard_begin_free(struct vg_free_call *call, enum vg_function_id function, uint64_t address)
{
    if (!vg_driver_has(function))
        return false;
    call->state = vg_guard_enter(&call->frame, sizeof *call);
    if (!call->state)
        return false;
    call->known = vg_live_index_begin_free(&call->state->track, address, &call->taken);
    return true;
}

/* Ends the call with the driver's `result`, which it returns; puts the allocation back when the
 * driver refused. */
CUresult vg_guard_end_free(struct vg_free_call *call, CUresult result);

/* The program has mapped physical memory: the loop in which PyTorch asks for the pieces of an
 * expandable segment is over, and the thread's next failure is a first one again. */
void vg_guard_note_mapped(struct vg_process_state *state);

static inline void vg_guard_mapped(struct vg_process_state *state)
{
    if (__builtin_expect(vg_thread.last_failure.passed, 0))
        vg_guard_note_mapped(state);
}

/* What was recorded under `key` has ended; 0 is nothing. */
void vg_guard_forget(struct vg_process_state *state, uint64_t key);

/* The driver has destroyed `context` with all in it: its allocations are dropped. */
void vg_guard_drop_context(CUcontext context);

#endif
