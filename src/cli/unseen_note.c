#include "cli/unseen_note.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hashing.h"
#include "base/log.h"
#include "base/option.h"
#include "base/option_names.h"
#include "base/text.h"
#include "cli/runs.h"
#include "record/run_file.h"
#include "shared/shared_file.h"

enum { KEPT_NOTES = 50, PATH_CAP = 4096 };

/* ---- where notes lie ---- */

/* In the state directory or, where that cannot be written, in the folder of the registry. */
enum note_place { STATE_DIRECTORY, SHARED_MEMORY, NOTE_PLACES };

static int note_folder(enum note_place place, char *out, size_t cap)
{
    if (place == STATE_DIRECTORY)
        return vg_unseen_directory(out, cap);
    vg_shared_directory_path(out, cap);
    const size_t length = strlen(out);
    return (size_t)snprintf(out + length, cap - length, "/unseen") < cap - length ? 0
                                                                                  : -ENAMETOOLONG;
}

/* Stands for the folder where runs are put and looked for now; 0 where they are put into a file of
 * that name, or nowhere. */
static uint32_t identify_runs(void)
{
    char folder[PATH_CAP], given[PATH_CAP];
    if (vg_runs_directory(folder, sizeof folder) != 0 ||
        (vg_option_given(VG_OPTION_ID_log_path, given, sizeof given) && strcmp(given, folder) != 0))
        return 0;
    return vg_hash_fnv1a(folder, strlen(folder));
}

/* Everybody can make a folder in shared memory under our name. */
static bool is_own_folder(enum note_place place, const char *folder)
{
    struct stat status;
    return place == STATE_DIRECTORY ||
           (lstat(folder, &status) == 0 && S_ISDIR(status.st_mode) && status.st_uid == geteuid());
}

/* ---- writing ---- */

static void join_command(char *const *command, char *out, size_t cap)
{
    char word[sizeof((struct vg_unseen_note *)0)->command];
    struct vg_text text = vg_text_over(out, cap);
    for (; *command; command++) {
        vg_text_sanitize(word, sizeof word, *command, strlen(*command));
        vg_text_addf(&text, "%s%s", text.length ? " " : "", word);
    }
}

/* The folder and its parents, private to the user. */
static int make_folder(enum note_place place, char *out, size_t cap)
{
    int error = note_folder(place, out, cap);
    if (!error && place == SHARED_MEMORY) {
        const int fd = vg_shared_directory();
        error = fd < 0 ? fd : 0;
        if (!error)
            close(fd);
    }
    for (char *slash = out; !error && (slash = strchr(slash + 1, '/'));) {
        *slash = '\0';
        mkdir(out, 0700); /* one that cannot be made may exist: the last one decides */
        *slash = '/';
    }
    if (!error && mkdir(out, 0700) != 0 && errno != EEXIST)
        error = -errno;
    return error || is_own_folder(place, out) ? error : -EPERM;
}

static int newer_name_first(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*b)->d_name, (*a)->d_name);
}

/* The names of all notes, newest first; freed with their array. */
static int list_notes(const char *folder, struct dirent ***out)
{
    const int count = scandir(folder, out, NULL, newer_name_first);
    return count < 0 ? 0 : count;
}

static void remove_old_notes(const char *folder)
{
    struct dirent **entries = NULL;
    char path[PATH_CAP + sizeof entries[0]->d_name + 1];
    const int count = list_notes(folder, &entries);
    for (int i = 0; i < count; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        if (i >= KEPT_NOTES && vg_unseen_is_note(path))
            unlink(path);
        free(entries[i]);
    }
    free(entries);
}

static int write_note(const char *path, const struct vg_unseen_note *note, int flags)
{
    char data[1024];
    const int length = snprintf(
        data, sizeof data, "%d %" PRIu64 " %" PRIu64 " %" PRIu32 "\n%s\n%s\n", note->id.pid,
        note->id.start_ticks, note->start_realtime_ns, note->runs, note->why_not, note->command);
    const int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
    if (fd < 0)
        return -errno;
    const int error = write(fd, data, (size_t)length) == length ? 0 : -EIO;
    close(fd);
    return error;
}

static int put_note(enum note_place place, const struct vg_unseen_note *note, char *out, size_t cap)
{
    char folder[PATH_CAP - 64];
    int error = make_folder(place, folder, sizeof folder);
    if (error)
        return error;
    remove_old_notes(folder);
    /* All names have as many digits, so that they sort by time. */
    if ((size_t)snprintf(out, cap, "%s/%020" PRIu64 "-%d", folder, note->start_realtime_ns,
                         note->id.pid) >= cap)
        return -ENAMETOOLONG;
    error = write_note(out, note, O_CREAT | O_EXCL);
    if (error)
        unlink(out);
    return error;
}

int vg_unseen_note_make(char *const *command, const char *why_not, char *out, size_t cap)
{
    struct vg_unseen_note note = { .start_realtime_ns = vg_clock_ns(CLOCK_REALTIME),
                                   .runs = identify_runs() };
    const char *const outer = getenv(VG_RUN_VARIABLE);
    if (outer && vg_unseen_is_note(outer))
        unlink(outer);
    vg_process_identify(0, &note.id);
    join_command(command, note.command, sizeof note.command);
    snprintf(note.why_not, sizeof note.why_not, "%s", why_not);
    int error = put_note(STATE_DIRECTORY, &note, out, cap);
    if (error)
        error = put_note(SHARED_MEMORY, &note, out, cap);
    if (!error && setenv(VG_RUN_VARIABLE, out, 1) != 0) {
        unlink(out);
        error = -ENOMEM;
    }
    return error;
}

void vg_unseen_note_explain(const char *path, const char *why_not)
{
    struct vg_unseen_note note;
    if (vg_unseen_note_read(path, &note) != 0)
        return;
    snprintf(note.why_not, sizeof note.why_not, "%s", why_not);
    write_note(path, &note, 0); /* without O_CREAT: it may have been taken away meanwhile */
}

/* ---- reading ---- */

/* One line of `*at`, made safe to print; moves `*at` behind it. */
static void read_line(char **at, char *out, size_t cap)
{
    const size_t length = strcspn(*at, "\n");
    vg_text_sanitize(out, cap, *at, length);
    *at += length + ((*at)[length] == '\n');
}

int vg_unseen_note_read(const char *path, struct vg_unseen_note *out)
{
    char data[1024], *at = data, numbers[64];
    const ssize_t length = vg_process_read_file(path, data, sizeof data);
    if (length < 0)
        return (int)length;
    memset(out, 0, sizeof *out);
    read_line(&at, numbers, sizeof numbers);
    if (sscanf(numbers, "%" SCNd32 " %" SCNu64 " %" SCNu64 " %" SCNu32, &out->id.pid,
               &out->id.start_ticks, &out->start_realtime_ns, &out->runs) < 3)
        return -EBADMSG;
    read_line(&at, out->why_not, sizeof out->why_not);
    read_line(&at, out->command, sizeof out->command);
    const char *const suffix = strrchr(path, '.');
    for (out->end = VG_UNSEEN_ELSEWHERE; out->end > VG_UNSEEN_OPEN; out->end--)
        if (suffix && strcmp(suffix, vg_unseen_suffix(out->end)) == 0)
            break;
    return 0;
}

/* Is it about a run that `vramguard report` would not find now? In shared memory are those of all
 * folders. */
static bool counts(const struct vg_unseen_note *note, enum note_place place)
{
    const uint32_t here = identify_runs();
    if (note->end == VG_UNSEEN_ELSEWHERE)
        return note->runs != here || here == 0;
    return place == STATE_DIRECTORY || note->runs == here;
}

/* The newest in one place. */
static bool find_in(enum note_place place, int32_t pid, struct vg_unseen_note *out)
{
    struct dirent **entries = NULL;
    char folder[PATH_CAP - 64], path[PATH_CAP + 256];
    bool found = false;
    if (note_folder(place, folder, sizeof folder) != 0 || !is_own_folder(place, folder))
        return false;
    const int count = list_notes(folder, &entries);
    for (int i = 0; i < count; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        if (!found && vg_unseen_is_note(path) && vg_unseen_note_read(path, out) == 0)
            found = (pid == 0 || out->id.pid == pid) && counts(out, place);
        free(entries[i]);
    }
    free(entries);
    return found;
}

bool vg_unseen_note_find(int32_t pid, struct vg_unseen_note *out)
{
    struct vg_unseen_note note;
    bool found = false;
    for (enum note_place place = 0; place < NOTE_PLACES; place++) {
        if (!find_in(place, pid, &note) ||
            (found && note.start_realtime_ns < out->start_realtime_ns))
            continue;
        *out = note;
        found = true;
    }
    return found;
}

/* ---- telling ---- */

enum { SHOWN_CAP = 80 }; /* of a command: enough to know it by */

static const char *shorten_command(const struct vg_unseen_note *note, char *out)
{
    vg_text_sanitize(out, SHOWN_CAP, note->command, strlen(note->command));
    return out;
}

void vg_unseen_note_tell(const struct vg_unseen_note *note)
{
    char shown[SHOWN_CAP];
    shorten_command(note, shown);
    if (note->end == VG_UNSEEN_ELSEWHERE)
        vg_log_line("\"%s\" is recorded elsewhere (VRAMGUARD_LOG)", shown);
    else if (note->end == VG_UNSEEN_UNWRITTEN)
        vg_log_line("nothing is recorded: no run file could be written for \"%s\"", shown);
    else if (note->why_not[0])
        vg_log_line("nothing is recorded: \"%s\" could not be watched: %s", shown, note->why_not);
    else
        vg_log_line("nothing is recorded: no allocation of GPU memory was seen in \"%s\"", shown);
}

void vg_unseen_note_warn(uint64_t shown_start_ns)
{
    struct vg_unseen_note note;
    char shown[SHOWN_CAP];
    if (!vg_unseen_note_find(0, &note) || note.start_realtime_ns < shown_start_ns)
        return;
    const bool is_open = note.end == VG_UNSEEN_OPEN;
    vg_log_line("the last command of vramguard run, \"%s\" (pid %d), is %s%s%s",
                shorten_command(&note, shown), note.id.pid,
                note.end == VG_UNSEEN_ELSEWHERE ? "recorded elsewhere (VRAMGUARD_LOG)"
                : !is_open                      ? "not recorded: no run file could be written"
                : note.why_not[0]               ? "not recorded: "
                : vg_process_alive(&note.id)
                    ? "not recorded; it runs and has allocated no GPU memory so far"
                    : "not recorded: no allocation of GPU memory was seen",
                is_open ? note.why_not : "", shown_start_ns ? "; this is an earlier run:" : "");
}
