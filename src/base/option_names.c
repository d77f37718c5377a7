#include "base/option_names.h"

#include <errno.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/log.h"
#include "base/option.h"
#include "base/spelling.h"
#include "base/text.h"

enum { NAME_CAP = 64, LINES_MAX = 3 };

/* What the trim command finds in its environment begins so (oom/trim_environment.c). */
static const char *const own_prefixes[] = { "VRAMGUARD_TRIM_DEVICE",
                                            "VRAMGUARD_TRIM_UUID",
                                            "VRAMGUARD_TRIM_WANTED_BYTES",
                                            "VRAMGUARD_TRIM_FREED_BYTES",
                                            "VRAMGUARD_TRIM_FREE_BYTES",
                                            "VRAMGUARD_TRIM_PID",
                                            VG_RUN_VARIABLE };

static bool is_known(const char *name)
{
    size_t count;
    const struct vg_option_row *const rows = vg_option_rows(&count);
    for (size_t i = 0; i < sizeof own_prefixes / sizeof own_prefixes[0]; i++)
        if (strcmp(name, own_prefixes[i]) == 0)
            return true;
    for (size_t i = 0; i < count; i++)
        if (strcmp(name, rows[i].environment) == 0)
            return true;
    /* Images name the version of what they hold so. */
    return strcmp(name, "VRAMGUARD_VERSION") == 0;
}

static unsigned find_nearest(const char *name, const char **out)
{
    size_t count;
    const struct vg_option_row *const rows = vg_option_rows(&count);
    unsigned best = ~0u;
    for (size_t i = 0; i < count; i++) {
        unsigned distance = vg_spelling_distance(name, rows[i].environment);
        /* VRAMGUARD_WAIT is nearer to VRAMGUARD_NEED_WAIT than letters say. */
        const char *const word = strrchr(name, '_');
        if (distance > 1 && word && word[1] && vg_text_ends_with(rows[i].environment, word))
            distance = 1;
        if (distance < best) {
            best = distance;
            *out = rows[i].environment;
        }
    }
    return best;
}

bool vg_option_is_misspelt(const char *assignment, char *out_name, size_t cap,
                           const char **out_nearest)
{
    static const char whole[] = "VRAMGUARD", part[] = "VRAM";
    char name[NAME_CAP];
    const size_t length = strcspn(assignment, "=");
    if (strncasecmp(assignment, part, sizeof part - 1) != 0 || length >= sizeof name)
        return false;
    memcpy(name, assignment, length);
    name[length] = '\0';
    if (is_known(name))
        return false;
    for (char *c = name; *c; c++) /* no strtoupper: it heeds the locale */
        *c = *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c;
    /* Others' names may begin with VRAM: only what is a slip away from ours is taken for ours. */
    const unsigned distance = find_nearest(name, out_nearest);
    if (distance > 2 && strncasecmp(name, whole, sizeof whole - 1) != 0)
        return false;
    vg_text_sanitize(out_name, cap, assignment, length);
    return true;
}

void vg_option_report_misspelt(void)
{
    const int saved_errno = errno;
    int lines = 0;
    for (char **at = environ; at && *at && lines < LINES_MAX; at++) {
        char name[NAME_CAP];
        const char *nearest;
        if (!vg_option_is_misspelt(*at, name, sizeof name, &nearest))
            continue;
        vg_log_line("%s is not an option of vramguard; the nearest is %s (vramguard options)", name,
                    nearest);
        lines++;
    }
    errno = saved_errno;
}
