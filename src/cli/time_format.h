/* Points in time and durations for people, in local time. */
#ifndef VRAMGUARD_CLI_TIME_FORMAT_H
#define VRAMGUARD_CLI_TIME_FORMAT_H

#include <stdint.h>

#include "base/text.h"

/* Nanoseconds since 1970 (CLOCK_REALTIME). */
uint64_t vg_time_now_ns(void);

/* "today 03:12", "yesterday 03:12", "2026-07-01"; "unknown" for 0. */
void vg_time_add_day(struct vg_text *out, uint64_t realtime_ns, uint64_t now_ns);

/* "2026-07-29 03:12:01"; "unknown" for 0. */
void vg_time_add(struct vg_text *out, uint64_t realtime_ns);

/* "03:12:01". */
void vg_time_add_time(struct vg_text *out, uint64_t realtime_ns);

/* "0.4 s", "3.1 s", "2 min 10 s", "5 h 3 min", "2 d 4 h". */
void vg_time_add_duration(struct vg_text *out, uint64_t duration_ns);

#endif
