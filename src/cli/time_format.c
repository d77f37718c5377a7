#include "cli/time_format.h"

#include <stdbool.h>
#include <time.h>

#include "base/clock.h"

static bool to_local_time(uint64_t realtime_ns, struct tm *out)
{
    const time_t seconds = (time_t)(realtime_ns / 1000000000);
    return realtime_ns != 0 && localtime_r(&seconds, out);
}

static void add_formatted(struct vg_text *out, uint64_t realtime_ns, const char *format)
{
    char data[64];
    struct tm tm;
    if (!to_local_time(realtime_ns, &tm) || strftime(data, sizeof data, format, &tm) == 0)
        vg_text_add(out, "unknown");
    else
        vg_text_add(out, data);
}

uint64_t vg_time_now_ns(void)
{
    return vg_clock_ns(CLOCK_REALTIME);
}

void vg_time_add_day(struct vg_text *out, uint64_t realtime_ns, uint64_t now_ns)
{
    struct tm then, day;
    if (!to_local_time(realtime_ns, &then) || !to_local_time(now_ns, &day)) {
        vg_text_add(out, "unknown");
        return;
    }
    const bool today = then.tm_year == day.tm_year && then.tm_yday == day.tm_yday;
    day.tm_mday--;
    day.tm_hour = 12; /* not at the edge of a day, which daylight saving could move */
    day.tm_isdst = -1;
    mktime(&day);
    const bool yesterday = then.tm_year == day.tm_year && then.tm_yday == day.tm_yday;
    add_formatted(out, realtime_ns,
                  today       ? "today %H:%M"
                  : yesterday ? "yesterday %H:%M"
                              : "%Y-%m-%d");
}

void vg_time_add(struct vg_text *out, uint64_t realtime_ns)
{
    add_formatted(out, realtime_ns, "%Y-%m-%d %H:%M:%S");
}

void vg_time_add_time(struct vg_text *out, uint64_t realtime_ns)
{
    add_formatted(out, realtime_ns, "%H:%M:%S");
}

void vg_time_add_duration(struct vg_text *out, uint64_t duration_ns)
{
    const unsigned long long tenths = duration_ns / 100000000, s = tenths / 10;
    if (s < 60)
        vg_text_addf(out, "%llu.%llu s", s, tenths % 10);
    else if (s < 3600)
        vg_text_addf(out, "%llu min %llu s", s / 60, s % 60);
    else if (s < 86400)
        vg_text_addf(out, "%llu h %llu min", s / 3600, s / 60 % 60);
    else
        vg_text_addf(out, "%llu d %llu h", s / 86400, s / 3600 % 24);
}
