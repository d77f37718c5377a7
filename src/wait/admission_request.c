#include "wait/admission_request.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/size.h"
#include "driver/driver.h"
#include "machine/machine.h"
#include "wait/queue_wait.h"
#include "wait/reclaim_request.h"

enum {
    MEASURE_MS = 500,
    TELL_MS = 1000,
};

/* What is measured while waiting: now and then, and when something has come free. */
struct view {
    const struct vg_admission_request *coming;
    struct vg_region region; /* of `others` */
    struct vg_machine_gpu others;
    uint64_t measured_ns;
    uint32_t freed_seen;
};

/* What is free and promised to nobody. Without NVML: what no guarded process holds or was promised.
 */
static uint64_t available_bytes(const struct view *view)
{
    const struct vg_machine_gpu *const others = &view->others;
    uint64_t free_bytes = others->free_bytes, total_bytes;
    if (free_bytes == VG_BYTES_UNKNOWN &&
        vg_driver_memory(view->coming->device, &free_bytes, &total_bytes) != 0)
        free_bytes = view->coming->total_bytes > others->others_bytes
                         ? view->coming->total_bytes - others->others_bytes
                         : 0;
    return free_bytes > others->promised_bytes ? free_bytes - others->promised_bytes : 0;
}

static uint64_t measure_now(struct view *view)
{
    struct vg_queue *const queue = vg_registration_queue(view->coming->registration);
    const uint64_t promises = vg_queue_promises(queue);
    view->freed_seen = atomic_load(&queue->freed);
    view->measured_ns = vg_clock_monotonic_ns();
    const struct vg_machine_question question = { .uuid = view->coming->uuid,
                                                  .pci_bus_id = "",
                                                  .file = view->coming->registration->file };
    vg_region_release(&view->region);
    vg_machine_measure_gpu(&question, &view->region, &view->others);
    if (view->others.promised_bytes == 0)
        vg_queue_forget_promises(queue, promises);
    return available_bytes(view);
}

static uint64_t measure_available(void *argument)
{
    struct view *const view = argument;
    const uint64_t now_ns = vg_clock_monotonic_ns();
    if (view->measured_ns == 0 ||
        atomic_load(&vg_registration_queue(view->coming->registration)->freed) !=
            view->freed_seen ||
        now_ns - view->measured_ns >= MEASURE_MS * VG_MS_NS)
        return measure_now(view);
    return available_bytes(view);
}

/* "; pid 4711 (python train.py) holds 3.20 GiB", "" when nobody is known to. */
static void add_holder(const struct view *view, char *out, size_t cap)
{
    char name[VG_MACHINE_NAME_CAP], held[VG_SIZE_TEXT_CAP];
    const struct vg_machine_process *const holder = vg_machine_largest(&view->others);
    out[0] = '\0';
    if (holder)
        snprintf(out, cap, "; %s holds %s", vg_machine_name(name, sizeof name, holder->pid),
                 vg_size_format(held, holder->bytes));
}

/* What the two kinds of coming differ in. */
struct manner {
    enum vg_wait_kind kind;
    bool (*goes_on)(struct view *view);    /* at its turn */
    void (*tell)(const struct view *view); /* that it waits */
};

/* One who comes, in line until the caller leaves it. */
struct stay {
    struct vg_queue_wait line;
    bool logged;
    enum vg_queue_wait_event end; /* VG_QUEUE_WAIT_TRY: it had its turn and goes on */
};

static void stay_in_line(const struct manner *manner, struct view *view, struct stay *out)
{
    const struct vg_admission_request *const coming = view->coming;
    struct vg_wait_request request = { .wanted_bytes = coming->bytes,
                                       .since_ns = coming->since_ns,
                                       .kind = manner->kind,
                                       .priority = coming->priority };
    struct vg_reclaim_request asking = { .asked = 0 };
    out->logged = false;
    vg_queue_wait_enter(&out->line, vg_registration_queue(coming->registration), &request,
                        coming->wait_ms);
    for (;;) {
        out->end = vg_queue_wait_step(&out->line, measure_available, view);
        if (out->end == VG_QUEUE_WAIT_TRY && manner->goes_on(view))
            break;
        if (out->end == VG_QUEUE_WAIT_TRY && manner->kind == VG_WAIT_NEED)
            vg_reclaim_request_step(&asking, coming->registration, coming->bytes);
        if (out->end != VG_QUEUE_WAIT_TRY && out->end != VG_QUEUE_WAIT_SLEPT)
            break;
        if (!out->logged && vg_queue_wait_waited_ms(&out->line) >= TELL_MS) {
            out->logged = true;
            manner->tell(view);
        }
    }
}

/* ---- VRAMGUARD_NEED ---- */

static void tell_need_waits(const struct view *view)
{
    char holder[VG_MACHINE_NAME_CAP + 64], bytes[VG_SIZE_TEXT_CAP], have[VG_SIZE_TEXT_CAP];
    char time[VG_DURATION_TEXT_CAP];
    add_holder(view, holder, sizeof holder);
    vg_log_line("GPU %d: waiting up to %s until %s are free (VRAMGUARD_NEED; now %s%s)",
                view->coming->device, vg_duration_format(time, view->coming->wait_ms),
                vg_size_format(bytes, view->coming->bytes),
                vg_size_format(have, available_bytes(view)), holder);
}

static void tell_need_ends(const struct view *view, const struct stay *stay)
{
    char bytes[VG_SIZE_TEXT_CAP], time[VG_DURATION_TEXT_CAP];
    vg_size_format(bytes, view->coming->bytes);
    vg_duration_format(time, vg_queue_wait_waited_ms(&stay->line));
    if (stay->end == VG_QUEUE_WAIT_TRY && stay->logged)
        vg_log_line("GPU %d: %s are free after %s and reserved for this program",
                    view->coming->device, bytes, time);
    else if (stay->end == VG_QUEUE_WAIT_SIGNAL)
        vg_log_line(
            "GPU %d: no longer waiting for %s (VRAMGUARD_NEED) after %s: a signal asks "
            "the program to end",
            view->coming->device, bytes, time);
    else if (stay->end != VG_QUEUE_WAIT_TRY)
        vg_log_line(
            "GPU %d: %s did not come free in %s (VRAMGUARD_NEED, VRAMGUARD_NEED_WAIT); "
            "the program goes on without",
            view->coming->device, bytes, time);
}

/* Has the memory promised to this process if it is free and promised to nobody else, who may have
 * been promised it a moment ago: so it is measured again, and one process at a time does this. */
static bool reserve_memory(struct view *view)
{
    const struct vg_admission_request *const coming = view->coming;
    const int decision = vg_registry_lock_decision();
    if (decision == -EAGAIN)
        return false;
    const bool is_free = measure_now(view) >= coming->bytes;
    if (is_free)
        vg_registry_reserve(coming->registration, coming->bytes, UINT64_MAX);
    if (decision >= 0)
        close(decision);
    return is_free;
}

bool vg_admission_await(const struct vg_admission_request *coming)
{
    struct view view = { .coming = coming, .region = vg_region_over(NULL, 0) };
    char bytes[VG_SIZE_TEXT_CAP], total[VG_SIZE_TEXT_CAP];
    if (coming->total_bytes != 0 && coming->bytes > coming->total_bytes) {
        vg_log_line(
            "GPU %d: VRAMGUARD_NEED=%s is more than the GPU has (%s); the program goes on "
            "without",
            coming->device, vg_size_format(bytes, coming->bytes),
            vg_size_format(total, coming->total_bytes));
        return false;
    }
    static const struct manner manner = { VG_WAIT_NEED, reserve_memory, tell_need_waits };
    struct stay stay;
    stay_in_line(&manner, &view, &stay);
    vg_queue_wait_leave(&stay.line);
    tell_need_ends(&view, &stay);
    vg_region_release(&view.region);
    return stay.end == VG_QUEUE_WAIT_TRY;
}

/* ---- newcomers ---- */

static void tell_held_back(const struct view *view)
{
    char bytes[VG_SIZE_TEXT_CAP], time[VG_DURATION_TEXT_CAP];
    vg_log_line(
        "GPU %d: the first %s of this program wait, up to %s: others are in line before "
        "it (vramguard list --waiting)",
        view->coming->device, vg_size_format(bytes, view->coming->bytes),
        vg_duration_format(time, view->coming->wait_ms));
}

/* At its turn it goes on unless the memory is somebody's: whether there is enough, the driver says.
 */
static bool is_nobodys(struct view *view)
{
    return measure_now(view) >= view->coming->bytes || view->others.promised_bytes == 0;
}

bool vg_newcomer_hold_back(const struct vg_admission_request *coming, struct vg_held_ticket *out)
{
    static const struct manner manner = { VG_WAIT_NEWCOMER, is_nobodys, tell_held_back };
    struct view view = { .coming = coming, .region = vg_region_over(NULL, 0) };
    struct stay stay;
    *out = (struct vg_held_ticket){ .queue = NULL };
    if (vg_registry_has_reserved(coming->registration))
        return true;
    stay_in_line(&manner, &view, &stay);
    vg_queue_wait_keep_ticket(&stay.line, out);
    vg_region_release(&view.region);
    if (coming->since_ns)
        out->since_ns = coming->since_ns;
    out->interrupted = stay.end == VG_QUEUE_WAIT_SIGNAL;
    if (stay.end != VG_QUEUE_WAIT_TRY)
        vg_held_ticket_release(out);
    return stay.end == VG_QUEUE_WAIT_TRY;
}
