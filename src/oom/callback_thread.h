/* The thread in which others are asked to free memory: hooks, the plug-in library, Python's caches,
 * the user's command. It is made for each call and ends with it, so that none exists before a
 * failure; what runs in it may do anything, and is waited for only so long. One call at a time in a
 * process.
 *
 * A caller claims the helper, prepares what the call works on (static memory: the call may outlive
 * its caller's patience), runs it, reads what came out and releases it. */
#ifndef VRAMGUARD_OOM_CALLBACK_THREAD_H
#define VRAMGUARD_OOM_CALLBACK_THREAD_H

#include <stdbool.h>
#include <stdint.h>

#include "driver/cuda_abi.h"

struct vg_callback_thread_task {
    void (*run)(void *argument);  /* the work; may be code of the program */
    void (*done)(void *argument); /* afterwards, however `run` ended, in the helper; in the caller
                                     when no thread could be made; may be NULL */
    void *argument;
    CUcontext context; /* made current for the work; NULL: none */
};

enum vg_callback_thread_end {
    VG_CALLBACK_RETURNED,
    VG_CALLBACK_THREW,     /* an exception */
    VG_CALLBACK_EXITED,    /* it ended its thread */
    VG_CALLBACK_TIMED_OUT, /* it goes on by itself; the helper is not the caller's any more */
    VG_CALLBACK_NO_THREAD, /* none could be made; nothing has run */
};

/* Is this the helper's thread? Allocations made here are tracked, but their failures are not
 * answered. In a child that was forked from it: no. */
bool vg_callback_thread_is_current(void);

/* Claims the helper; waits for another thread's call until `until_ns` (CLOCK_MONOTONIC) at the
 * most. Returns 0, or -EBUSY: still in use, or in use by a call that somebody has given up to wait
 * for. Each 0 is paired with vg_callback_thread_release, unless the run timed out. */
int vg_callback_thread_claim(uint64_t until_ns);

/* Runs the claimed helper until `until_ns` at the most. `tick(tick_argument)` is called in the
 * calling thread every few milliseconds. All signals but those of faults are blocked in the helper.
 * Makes a thread and waits: no lock of ours may be held. */
enum vg_callback_thread_end vg_callback_thread_run(const struct vg_callback_thread_task *task,
                                                   uint64_t until_ns,
                                                   void (*tick)(void *tick_argument),
                                                   void *tick_argument);

void vg_callback_thread_release(void);

/* Waits until `until_ns` at the most for the end of a call that timed out, when it has little left
 * to do: who claims the helper before that is refused. */
void vg_callback_thread_await_end(uint64_t until_ns);

#endif
