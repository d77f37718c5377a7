#include "record/run_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "os/process.h"
#include "record/format.h"

int vg_run_file_directory(char *out, size_t cap)
{
    const char *const state = secure_getenv("XDG_STATE_HOME");
    const char *const home = secure_getenv("HOME");
    int length;
    if (state && state[0] == '/')
        length = snprintf(out, cap, "%s/vramguard", state);
    else if (home && home[0] == '/')
        length = snprintf(out, cap, "%s/.local/state/vramguard", home);
    else
        return -ENOENT;
    return (size_t)length < cap ? 0 : -ENAMETOOLONG;
}

/* In UTC, and not by gmtime_r: that takes the C library's lock of time zones, which in a child that
 * was forked meanwhile is never free again. Years begin with March, so that a leap day ends one;
 * 400 of them have 146097 days. Proleptic Gregorian calendar, as in gmtime. */
static void add_time(struct vg_text *text, uint64_t realtime_ns)
{
    enum { DAYS_BEFORE_1970 = 719468, DAYS_OF_400_YEARS = 146097 }; /* since March 1 of year 0 */
    const uint64_t seconds = realtime_ns / 1000000000;
    const unsigned days = (unsigned)(seconds / 86400) + DAYS_BEFORE_1970;
    const unsigned clock = (unsigned)(seconds % 86400);
    const unsigned day = days % DAYS_OF_400_YEARS;
    const unsigned year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    const unsigned day_of_year = day - (365 * year + year / 4 - year / 100);
    const unsigned month = (5 * day_of_year + 2) / 153; /* 0: March */
    vg_text_addf(text, "%04u%02u%02u-%02u%02u%02u",
                 days / DAYS_OF_400_YEARS * 400 + year + (month >= 10),
                 month < 10 ? month + 3 : month - 9, day_of_year - (153 * month + 2) / 5 + 1,
                 clock / 3600, clock / 60 % 60, clock % 60);
}

static void add_file_name_part(struct vg_text *text, const char *part)
{
    for (; *part; part++)
        vg_text_add_bytes(text, *part == '/' || *part == ' ' ? "_" : part, 1);
}

static void add_expansion(struct vg_text *text, char letter, uint64_t start_realtime_ns)
{
    char name[65] = "";
    switch (letter) {
    case 'p': vg_text_addf(text, "%d", (int)getpid()); break;
    case 't': add_time(text, start_realtime_ns); break;
    case 'h':
        gethostname(name, sizeof name - 1);
        add_file_name_part(text, name);
        break;
    case 'e':
        vg_process_exe_name(name, sizeof name);
        add_file_name_part(text, name);
        break;
    case '%': vg_text_add(text, "%"); break;
    default:
        vg_text_add(text, "%");
        vg_text_add_bytes(text, &letter, 1);
        break;
    }
}

int vg_run_file_expand(const char *path_template, uint64_t start_realtime_ns, char *out, size_t cap)
{
    struct vg_text text = vg_text_over(out, cap);
    for (const char *p = path_template; *p; p++) {
        if (*p == '%' && p[1])
            add_expansion(&text, *++p, start_realtime_ns);
        else
            vg_text_add_bytes(&text, p, 1);
    }
    return text.truncated ? -ENAMETOOLONG : 0;
}

/* mkdir -p. Mode 0700 for every directory made (XDG Base Directory Specification). */
static int make_directories(char *path)
{
    if (access(path, F_OK) == 0)
        return 0;
    for (char *slash = strchr(path + 1, '/');; slash = strchr(slash + 1, '/')) {
        if (slash)
            *slash = '\0';
        const int result = mkdir(path, 0700);
        const int error = result == 0 || errno == EEXIST ? 0 : -errno;
        if (slash)
            *slash = '/';
        /* A parent that cannot be made but exists (EROFS, EACCES) is not the last word. */
        if (!slash)
            return access(path, F_OK) == 0 ? 0 : error;
    }
}

static int make_absolute(char *path, size_t cap)
{
    /* Static, here and below: the stack can be a small one, and files are made under a lock. */
    static char relative[4096], directory[4096];
    if (path[0] == '/')
        return 0;
    if (strlen(path) >= sizeof relative || !getcwd(directory, sizeof directory))
        return -ENAMETOOLONG;
    strcpy(relative, path);
    return (size_t)snprintf(path, cap, "%s/%s", directory, relative) < cap ? 0 : -ENAMETOOLONG;
}

bool vg_run_file_is_name(const char *name)
{
    const size_t length = strlen(name), suffix = strlen(VG_RUN_FILE_SUFFIX);
    return length > suffix && strcmp(name + length - suffix, VG_RUN_FILE_SUFFIX) == 0;
}

static int create_unused(char *path, size_t cap)
{
    const int flags = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY;
    static char stem[4096];
    snprintf(stem, sizeof stem, "%s", path);
    const bool has_suffix = vg_run_file_is_name(stem);
    if (has_suffix)
        stem[strlen(stem) - strlen(VG_RUN_FILE_SUFFIX)] = '\0';
    struct stat status;
    if (lstat(path, &status) == 0 && !S_ISREG(status.st_mode))
        return -EEXIST; /* a device, a link: beside it is not what was meant */
    for (int attempt = 1; attempt < 1000; attempt++) {
        if (attempt > 1 && (size_t)snprintf(path, cap, "%s-%d%s", stem, attempt,
                                            has_suffix ? VG_RUN_FILE_SUFFIX : "") >= cap)
            return -ENAMETOOLONG;
        const int fd = open(path, flags, 0600);
        if (fd >= 0 || errno != EEXIST)
            return fd >= 0 ? fd : -errno;
    }
    return -EEXIST;
}

static bool is_directory(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

int vg_run_file_create(const char *path_template, uint64_t start_realtime_ns, char *out, size_t cap)
{
    int error;
    if (path_template[0]) {
        error = vg_run_file_expand(path_template, start_realtime_ns, out, cap);
        if (!error)
            error = make_absolute(out, cap);
    } else {
        error = vg_run_file_directory(out, cap);
        if (!error)
            error = make_directories(out);
    }
    if (!error && is_directory(out)) {
        const size_t length = strlen(out);
        error = vg_run_file_expand("/%t-%e-%p" VG_RUN_FILE_SUFFIX, start_realtime_ns, out + length,
                                   cap - length);
    }
    return error ? error : create_unused(out, cap);
}
