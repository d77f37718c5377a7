#include "wait/reclaim_request.h"

#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/size.h"
#include "machine/gpu_processes.h"
#include "shared/reclaim_slot.h"

enum { ANSWER_MS = 20 };

/* A cache that was given back grows again, at a price: who waits long does not ask often. */
static const uint64_t first_pause_ns = UINT64_C(5) * 1000000000;

void vg_reclaim_request_step(struct vg_reclaim_request *asking,
                             const struct vg_registration *registration, uint64_t wanted_bytes)
{
    const uint64_t now_ns = vg_clock_monotonic_ns();
    if (now_ns < asking->next_ns)
        return;
    asking->pause_ns = asking->pause_ns ? 2 * asking->pause_ns : first_pause_ns;
    asking->next_ns = now_ns + asking->pause_ns;
    const unsigned asked = vg_registry_request_reclaim(registration->file, wanted_bytes);
    if (asked)
        asking->asked = asked;
}

/* Memory that comes free in pieces may be enough before the last piece is counted. */
static void read_answers(const struct vg_registration *registration,
                         struct vg_registry_reclaimed *out)
{
    const struct timespec pause = { .tv_nsec = 1000000 };
    vg_registry_measure_reclaimed(registration->file, out);
    for (int i = 0; out->pending && i < ANSWER_MS; i++) {
        nanosleep(&pause, NULL);
        vg_registry_measure_reclaimed(registration->file, out);
    }
}

bool vg_reclaim_request_describe(const struct vg_reclaim_request *asking,
                                 const struct vg_registration *registration, char *out, size_t cap)
{
    struct vg_registry_reclaimed given = { .bytes = 0 };
    char name[VG_GPU_PROCESSES_NAME_CAP], gave[VG_SIZE_TEXT_CAP];
    out[0] = '\0';
    if (asking->asked)
        read_answers(registration, &given);
    if (given.bytes == 0)
        return false;
    vg_gpu_processes_name(name, sizeof name, given.largest_pid);
    vg_size_format(gave, given.bytes);
    if (given.bytes > given.largest_bytes)
        snprintf(out, cap, "%s and others gave back %s of their caches", name, gave);
    else
        snprintf(out, cap, "%s gave back %s of its cache", name, gave);
    return true;
}
