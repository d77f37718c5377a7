#include "guard/exclude.h"

#include <fnmatch.h>
#include <string.h>

#include "os/process.h"

enum { NAME_CAP = 256 };

bool vg_exclude_fits(const char *patterns, const char *name)
{
    for (const char *at = patterns;;) {
        char pattern[NAME_CAP];
        at += strspn(at, " ");
        const size_t length = strcspn(at, ",");
        size_t end = length;
        while (end > 0 && at[end - 1] == ' ')
            end--;
        if (end > 0 && end < sizeof pattern) {
            memcpy(pattern, at, end);
            pattern[end] = '\0';
            if (fnmatch(pattern, name, 0) == 0)
                return true;
        }
        if (at[length] == '\0')
            return false;
        at += length + 1;
    }
}

bool vg_exclude_matches(const char *patterns)
{
    char name[NAME_CAP];
    vg_process_exe_name(name, sizeof name);
    return vg_exclude_fits(patterns, name);
}
