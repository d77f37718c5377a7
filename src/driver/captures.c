#include "driver/captures.h"

#include <stdatomic.h>

static _Atomic int live;

void vg_captures_begun(CUresult result)
{
    if (result == CUDA_SUCCESS)
        atomic_fetch_add(&live, 1);
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
    int before = atomic_load(&live);
    while (ends_it(result) && before > 0 &&
           !atomic_compare_exchange_weak(&live, &before, before - 1))
        ;
}

bool vg_captures_live(void)
{
    return atomic_load_explicit(&live, memory_order_relaxed) > 0;
}
