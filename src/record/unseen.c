#include "record/unseen.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/option_names.h"
#include "record/run_file.h"

static const char folder[] = "/unseen";

int vg_unseen_directory(char *out, size_t cap)
{
    const int error = vg_run_file_directory(out, cap);
    if (error)
        return error;
    if (strlen(out) + sizeof folder > cap)
        return -ENAMETOOLONG;
    strcat(out, folder);
    return 0;
}

const char *vg_unseen_suffix(enum vg_unseen_end end)
{
    return end == VG_UNSEEN_UNWRITTEN   ? ".unwritten"
           : end == VG_UNSEEN_ELSEWHERE ? ".elsewhere"
                                        : "";
}

bool vg_unseen_is_note(const char *path)
{
    static const char digits[] = "0123456789";
    const char *const name = strrchr(path, '/');
    const size_t length = sizeof folder - 1;
    if (!name || (size_t)(name - path) < length || memcmp(name - length, folder, length) != 0)
        return false;
    const size_t time = strspn(name + 1, digits);
    const char *const pid = name + 1 + time;
    if (time == 0 || *pid != '-')
        return false;
    const size_t number = strspn(pid + 1, digits);
    const char *const end = pid + 1 + number;
    return number > 0 && (*end == '\0' || strcmp(end, vg_unseen_suffix(VG_UNSEEN_UNWRITTEN)) == 0 ||
                          strcmp(end, vg_unseen_suffix(VG_UNSEEN_ELSEWHERE)) == 0);
}

bool vg_unseen_is_asked_for(void)
{
    const char *const path = secure_getenv(VG_RUN_VARIABLE);
    return path && *path;
}

bool vg_unseen_is_open(void)
{
    const int saved_errno = errno;
    const char *const path = secure_getenv(VG_RUN_VARIABLE);
    const bool is_open = path && vg_unseen_is_note(path) && access(path, F_OK) == 0;
    errno = saved_errno;
    return is_open;
}

void vg_unseen_settle(enum vg_unseen_end end)
{
    static char renamed[4096]; /* the stack can be a small one */
    const int saved_errno = errno;
    const char *const path = secure_getenv(VG_RUN_VARIABLE);
    const bool is_note = path && vg_unseen_is_note(path);
    if (is_note && end == VG_UNSEEN_RECORDED)
        unlink(path);
    else if (is_note && (size_t)snprintf(renamed, sizeof renamed, "%s%s", path,
                                         vg_unseen_suffix(end)) < sizeof renamed)
        rename(path, renamed);
    errno = saved_errno;
}
