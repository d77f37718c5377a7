#include "wait/reclaim_request.h"

#include <time.h>

#include "base/clock.h"
#include "machine/machine.h"
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

bool vg_reclaim_request_note(const struct vg_reclaim_request *asking,
                             const struct vg_registration *registration, struct vg_oom_action *to)
{
    struct vg_registry_reclaimed given = { .bytes = 0 };
    char command[64];
    if (asking->asked)
        read_answers(registration, &given);
    if (given.bytes == 0)
        return false;
    vg_machine_command(command, sizeof command, given.largest_pid);
    vg_outcome_add(to,
                   (struct vg_outcome){ .code = given.bytes > given.largest_bytes
                                                    ? VG_OUTCOME_GAVE_BACK_OTHERS
                                                    : VG_OUTCOME_GAVE_BACK,
                                        .pid = given.largest_pid,
                                        .bytes = given.bytes },
                   command);
    return true;
}
