#include "record/unseen.h"

#include <errno.h>
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

bool vg_unseen_is_note(const char *path)
{
    static const char digits[] = "0123456789";
    const char *const name = strrchr(path, '/');
    const size_t length = sizeof folder - 1;
    if (!name || (size_t)(name - path) < length || memcmp(name - length, folder, length) != 0)
        return false;
    const size_t time = strspn(name + 1, digits);
    const char *const pid = name + 1 + time;
    return time > 0 && *pid == '-' && pid[1] && pid[1 + strspn(pid + 1, digits)] == '\0';
}

bool vg_unseen_is_asked_for(void)
{
    const char *const path = secure_getenv(VG_RUN_VARIABLE);
    return path && *path;
}

void vg_unseen_forget(void)
{
    const int saved_errno = errno;
    const char *const path = secure_getenv(VG_RUN_VARIABLE);
    if (path && vg_unseen_is_note(path))
        unlink(path);
    errno = saved_errno;
}
