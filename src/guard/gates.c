#include "guard/gates.h"

#include <errno.h>
#include <stdatomic.h>

#include "base/cancellation.h"
#include "driver/captures.h"
#include "guard/guard.h"
#include "oom/callback_thread.h"
#include "wait/admission_request.h"

static struct vg_admission_request coming_to(const struct vg_process_state *state, int device,
                                             uint64_t bytes, uint64_t wait_ms)
{
    const struct vg_file_device *const described = &state->recorder.header->devices[device];
    return (struct vg_admission_request){ .device = device,
                                          .uuid = described->uuid,
                                          .registration = &state->registrations[device],
                                          .total_bytes = described->total_bytes,
                                          .bytes = bytes,
                                          .wait_ms = wait_ms,
                                          .priority = (uint16_t)state->options->priority.number };
}

/* The process is no newcomer any more. */
static void close_queue_gate(struct vg_process_state *state)
{
    atomic_fetch_and(&state->gates, ~(unsigned)VG_GATE_QUEUE);
}

/* While this process holds next to nothing, others may be before it. Once it has been held back, or
 * holds something, it is a holder, and holders are never held back. */
static void ask_queue(struct vg_call *call)
{
    struct vg_process_state *const state = call->state;
    const int device = vg_guard_device(call);
    if (device < 0 || vg_callback_thread_is_current())
        return;
    vg_process_use_device(state, device);
    if (state->recorder.header->devices[device].live_bytes >= VG_NEWCOMER_BYTES) {
        close_queue_gate(state);
        return;
    }
    if (!vg_newcomer_concerns(&state->registrations[device]) || vg_captures_live() ||
        call->asked_bytes == VG_BYTES_UNKNOWN || call->failing)
        return;
    struct vg_admission_request coming =
        coming_to(state, device, call->asked_bytes, vg_policy_wait_ms(&state->policy));
    /* The second try of what failed a moment ago. */
    coming.since_ns = vg_thread.last_failure.passed ? vg_thread.turn_since_ns : 0;
    if (!vg_newcomer_hold_back(&coming, &call->turn))
        close_queue_gate(state);
}

void vg_gates_end_turn(struct vg_call *call)
{
    vg_held_ticket_release(&call->turn);
    vg_thread.turn_since_ns = call->turn.since_ns;
}

/* Is the call to fail because the user wants to see what then happens? A call is counted when it is
 * first made, not when the policy repeats it. One that cannot succeed is not counted: it gets the
 * driver's own answer. */
static bool is_injected(struct vg_call *call)
{
    if (call->failing || call->asked_bytes == 0 || vg_callback_thread_is_current() ||
        vg_guard_device(call) < 0)
        return false;
    call->allocation_number = atomic_fetch_add(&call->state->allocation_count, 1) + 1;
    call->injected_by =
        vg_inject_match(&call->state->inject, call->allocation_number, call->asked_bytes);
    return call->injected_by != NULL;
}

/* Charges what the call asks for. Returns false when it is more than the limit leaves. */
static bool limit_admits(struct vg_call *call)
{
    if (call->is_graph_node || call->asked_bytes == VG_BYTES_UNKNOWN)
        return true;
    return vg_quota_reserve(&call->state->allowance, vg_guard_device(call), call->asked_bytes,
                            &call->charge);
}

bool vg_gates_ask(struct vg_call *call)
{
    const unsigned gates = call->state->gates;
    const int saved_errno = errno;
    vg_cancellation_hold();
    call->refused_by = VG_REFUSED_BY_DRIVER;
    if (gates & VG_GATE_QUEUE)
        ask_queue(call);
    if ((gates & VG_GATE_INJECT) && is_injected(call))
        call->refused_by = VG_REFUSED_BY_INJECT;
    else if ((gates & VG_GATE_LIMIT) && !limit_admits(call))
        call->refused_by = VG_REFUSED_BY_LIMIT;
    vg_cancellation_release();
    errno = saved_errno;
    return call->refused_by == VG_REFUSED_BY_DRIVER;
}

void vg_gates_before_context(int device)
{
    static _Atomic uint32_t awaited; /* a bit for each device */
    const struct vg_options *const options = vg_process_options();
    if (options->need.number == 0 || options->enabled.number == VG_ENABLED_OFF || device < 0 ||
        device >= VG_FILE_HOST || vg_callback_thread_is_current() ||
        (atomic_fetch_or(&awaited, UINT32_C(1) << device) & UINT32_C(1) << device))
        return;
    const int saved_errno = errno;
    vg_cancellation_hold();
    struct vg_process_state *const state = vg_process_start();
    if (state) {
        vg_process_await_device(state, device);
        const struct vg_admission_request coming =
            coming_to(state, device, options->need.number, options->need_wait.number);
        /* Who has been promised memory has had its turn. */
        if (vg_admission_await(&coming))
            close_queue_gate(state);
    }
    vg_cancellation_release();
    errno = saved_errno;
}
