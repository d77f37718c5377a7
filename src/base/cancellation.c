#include "base/cancellation.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

static _Thread_local struct {
    uint16_t depth;
    bool lent;
    int before; /* the thread's own state, while depth > 0 */
} held_state;

void vg_cancellation_hold(void)
{
    if (held_state.depth++ == 0)
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &held_state.before);
}

void vg_cancellation_release(void)
{
    if (--held_state.depth == 0)
        pthread_setcancelstate(held_state.before, NULL);
}

void vg_cancellation_lend(void)
{
    if (held_state.depth == 0)
        return;
    held_state.lent = true;
    pthread_setcancelstate(held_state.before, NULL);
}

void vg_cancellation_resume(void)
{
    if (held_state.depth == 0)
        return;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &held_state.before);
    held_state.lent = false;
}

void vg_cancellation_reset(void)
{
    if (held_state.depth > 0 && !held_state.lent)
        pthread_setcancelstate(held_state.before, NULL);
    held_state.depth = 0;
    held_state.lent = false;
}
