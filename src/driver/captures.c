#include "driver/captures.h"

_Atomic int vg_captures_count;

static _Atomic uint32_t begun_count; /* of all the process's life */

static _Thread_local struct {
    uint32_t capture; /* that this thread has begun last, and */
    uint32_t open;    /* how many of its captures have not ended */
    bool relaxed;
} of_thread;

void vg_captures_begun(CUresult result)
{
    if (result != CUDA_SUCCESS)
        return;
    atomic_fetch_add(&vg_captures_count, 1);
    of_thread.capture = atomic_fetch_add(&begun_count, 1) + 1;
    of_thread.open++;
}

/* An end that fails because the capture was invalidated or has unjoined streams ends it all the
 * same; the other errors say that this was not the stream or the thread to end it (CUDA Driver API,
 * cuStreamEndCapture). */
static bool ends_it(CUresult result)
{
    return result == CUDA_SUCCESS || result == CUDA_ERROR_STREAM_CAPTURE_INVALIDATED ||
           result == CUDA_ERROR_STREAM_CAPTURE_UNJOINED;
}

void vg_captures_ended(CUresult result)
{
    int before = atomic_load(&vg_captures_count);
    if (!ends_it(result))
        return;
    of_thread.open -= of_thread.open > 0;
    while (before > 0 && !atomic_compare_exchange_weak(&vg_captures_count, &before, before - 1))
        ;
}

void vg_captures_mode_set(CUstreamCaptureMode mode)
{
    of_thread.relaxed = mode == CU_STREAM_CAPTURE_MODE_RELAXED;
}

uint32_t vg_captures_of_thread(void)
{
    if (of_thread.open > 0)
        return of_thread.capture;
    return of_thread.relaxed ? atomic_load(&begun_count) : 0;
}
