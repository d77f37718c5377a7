#include "cli/runs.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/option.h"
#include "base/text.h"
#include "record/run_file.h"

/* ---- finding them ---- */

static void note_unreadable(struct vg_runs *runs, const char *name, const char *why)
{
    if (runs->unreadable_count++ > 0)
        return;
    snprintf(runs->unreadable, sizeof runs->unreadable, "%s: %s", name, why);
    vg_text_repair(runs->unreadable, sizeof runs->unreadable);
}

/* In a folder for all users the others' files are private. */
static bool is_of_others(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && status.st_uid != geteuid();
}

static int add_run(struct vg_runs *runs, const char *name)
{
    struct vg_reader reader;
    char why[160], *path;
    if (asprintf(&path, "%s/%s", runs->directory, name) < 0)
        return -ENOMEM;
    const int error = vg_reader_open(&reader, path, why, sizeof why);
    if (error) {
        const bool expected = error == -EAGAIN || error == -ENOENT || /* just made, just removed */
                              (error == -EACCES && is_of_others(path));
        free(path);
        if (!expected)
            note_unreadable(runs, name, why);
        return error == -ENOMEM ? error : 0;
    }
    struct vg_run_entry *const larger =
        realloc(runs->entries, (runs->count + 1) * sizeof *runs->entries);
    if (larger) {
        runs->entries = larger;
        runs->entries[runs->count++] =
            (struct vg_run_entry){ .path = path,
                                   .start_realtime_ns = reader.header->start_realtime_ns,
                                   .pid = reader.header->pid };
    } else {
        free(path);
    }
    vg_reader_close(&reader);
    return larger ? 0 : -ENOMEM;
}

static int newest_first(const void *a, const void *b)
{
    const struct vg_run_entry *const x = a, *const y = b;
    if (x->start_realtime_ns != y->start_realtime_ns)
        return x->start_realtime_ns < y->start_realtime_ns ? 1 : -1;
    return strcmp(y->path, x->path);
}

static bool is_directory(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

int vg_runs_directory(char *out, size_t cap)
{
    if (vg_option_given(VG_OPTION_ID_log_path, out, cap) && is_directory(out))
        return 0;
    return vg_run_file_directory(out, cap);
}

static int name_directory(struct vg_runs *out, const char *given, char *why, size_t why_cap)
{
    const size_t cap = sizeof out->directory;
    int error = 0;
    if (!given)
        error = vg_runs_directory(out->directory, cap);
    else if ((size_t)snprintf(out->directory, cap, "%s", given) >= cap)
        error = -ENAMETOOLONG;
    if (error)
        snprintf(why, why_cap, "%s",
                 given ? strerror(-error)
                       : "no state directory: neither XDG_STATE_HOME nor HOME is set");
    return error;
}

int vg_runs_scan(struct vg_runs *out, const char *given, char *why, size_t why_cap)
{
    memset(out, 0, sizeof *out);
    int error = name_directory(out, given, why, why_cap);
    if (error)
        return error;
    DIR *const directory = opendir(out->directory);
    if (!directory && errno == ENOENT && !given)
        return 0;
    if (!directory) {
        error = -errno;
        snprintf(why, why_cap, "cannot read %.100s: %s", out->directory, strerror(-error));
        return error;
    }
    for (const struct dirent *entry; !error && (entry = readdir(directory));)
        if (vg_run_file_is_name(entry->d_name))
            error = add_run(out, entry->d_name);
    closedir(directory);
    if (error)
        snprintf(why, why_cap, "%s", strerror(-error));
    else if (out->count > 1)
        qsort(out->entries, out->count, sizeof *out->entries, newest_first);
    return error;
}

void vg_runs_free(struct vg_runs *runs)
{
    for (size_t i = 0; i < runs->count; i++)
        free(runs->entries[i].path);
    free(runs->entries);
}
