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
#include "guard/process_state.h"
#include "guard/stack.h"
#include "recorder/format.h"

/* One allocating call of the program. */
struct vg_call {
    CUresult result; /* of the real call, set by the wrapper */
    enum vg_function_id function;
    uint64_t asked_bytes; /* as the program named it, VG_BYTES_UNKNOWN if it named none */
    int device;           /* ordinal that the call is about; -1: the current context's */
    struct vg_process_state *state;
    bool failing; /* the real call ran out of memory; only then are the rest valid */
    bool placed;  /* the policy has found the memory elsewhere: there was no real success */
    enum vg_refusal refused_by;
    bool weightless;         /* set by the wrapper: takes no memory of a device, or none yet */
    struct vg_charge charge; /* what the call has reserved under a limit */
    bool made_again;         /* VG_COURSE_AGAIN has been followed */
    enum vg_course course;
    struct vg_request *request; /* set by the wrapper before vg_guard_again, or NULL */
    struct vg_rescue rescue;
    struct vg_stack stack;
    struct vg_failure failure;
};

/* Starts guarding the call. Returns false when it is to go straight to the driver: switched off,
 * nested in another guarded call, or not in this driver. */
bool vg_guard_begin(struct vg_call *call, enum vg_function_id function, uint64_t asked_bytes);

/* The same for a call that is not tracked and only reported when it runs out of memory: the
 * process's state is not made before that. `device` as in struct vg_call. */
bool vg_guard_begin_watched(struct vg_call *call, enum vg_function_id function, int device);

/* Asks what stands before the real call: limits and injected failures. Returns false when the call
 * is to fail without being made. */
bool vg_guard_ask_gates(struct vg_call *call);

static inline bool vg_guard_admits(struct vg_call *call)
{
    return __builtin_expect(call->state->gates == 0, 1) || vg_guard_ask_gates(call);
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

/* Fills in what a limit allows of failure->device, and leaves. */
void vg_guard_measure_limit(struct vg_process_state *state, struct vg_failure *failure);

/* Looks at call->result: is the real call to be made once more? Runs the policy after an
 * out-of-memory result and writes the report when nothing helped. */
bool vg_guard_again(struct vg_call *call);

/* Records what a successful call allocated, on call->device; address 0 is nothing. */
void vg_guard_record(struct vg_call *call, enum vg_kind kind, uint64_t address, uint64_t bytes);

/* The number under which an allocation with VG_TRAIT_HANDLE is recorded: above all addresses, and
 * different for handles of different kinds. */
static inline uint64_t vg_guard_handle_key(enum vg_kind kind, uint64_t handle)
{
    return handle ^ ((uint64_t)kind << 59 | UINT64_C(1) << 63);
}

/* Ends the call. Returns the result for the program. */
CUresult vg_guard_end(struct vg_call *call);

/* One freeing call of the program. */
struct vg_free_call {
    struct vg_process_state *state;
    bool known; /* the address was in the record: `taken` is valid */
    struct vg_taken taken;
};

/* Takes `address` out of the record before the real free. Returns false as vg_guard_begin does. An
 * address that is not in the record goes to the driver like any other. */
bool vg_guard_begin_free(struct vg_free_call *call, enum vg_function_id function, uint64_t address);

/* Ends the call with the driver's `result`, which it returns; puts the allocation back when the
 * driver refused. */
CUresult vg_guard_end_free(struct vg_free_call *call, CUresult result);

/* What was recorded under `key` has ended; 0 is nothing. */
void vg_guard_forget(struct vg_process_state *state, uint64_t key);

/* The driver has destroyed `context` with all in it: its allocations are dropped. */
void vg_guard_drop_context(CUcontext context);

#endif
