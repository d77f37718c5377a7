/* What every entry point needs: may the call proceed, and the lock over this process's state. */
#ifndef SIMGPU_STATE_H
#define SIMGPU_STATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "../abi.h"

/* Guards all state of this process: handles, contexts, address ranges, blocks. It is not held while
 * bytes are copied or a callback of the application runs. */
extern pthread_mutex_t sim_lock;

/* True once cuInit has succeeded and neither failures nor delays are scripted: nothing to check. */
extern atomic_bool sim_gate_open;

/* Whether the call under way came in through a _ptsz or _ptds symbol. */
extern _Thread_local bool sim_per_thread;

/* The devices this process sees, as indices into the shared state (CUDA_VISIBLE_DEVICES). */
extern int sim_device_count;
extern int sim_devices[];

/* The part of sim_enter for the cases that are not plain. */
CUresult sim_enter_slowly(int id, bool needs_init);

/* Called first by every exported function; anything but CUDA_SUCCESS is the call's result. `id` is
 * an enum function_id. */
static inline CUresult sim_enter(int id, bool needs_init, bool per_thread)
{
    sim_per_thread = per_thread;
    if (__builtin_expect(atomic_load_explicit(&sim_gate_open, memory_order_acquire), 1))
        return CUDA_SUCCESS;
    return sim_enter_slowly(id, needs_init);
}

/* CUDA's functions are no cancellation points: a thread that is cancelled is not while it holds the
 * lock. Guarded by it. */
extern int sim_cancel_state;

static inline void sim_lock_all(void)
{
    int state;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    pthread_mutex_lock(&sim_lock);
    sim_cancel_state = state;
}

static inline void sim_unlock_all(void)
{
    const int state = sim_cancel_state;
    pthread_mutex_unlock(&sim_lock);
    pthread_setcancelstate(state, NULL);
}

/* Unlocks and passes `result` on, for the last line of a function. */
static inline CUresult sim_unlock_with(CUresult result)
{
    sim_unlock_all();
    return result;
}

#endif
