/* `vramguard report`: the post-mortem of a recorded run. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/complain.h"
#include "cli/console.h"
#include "cli/json_run.h"
#include "cli/report_text.h"
#include "cli/run_view.h"
#include "cli/runs.h"
#include "cli/unseen_note.h"

enum { KEY_WIDTH = 256, KEY_NO_COLOR, KEY_FAILURE, KEY_ALL, KEY_ALL_FRAMES, KEY_JSON };

struct report_arguments {
    const char *target; /* file or pid, NULL for the latest run */
    bool json;
    struct vg_report_choice choice;
};

/* Complains where it is not. */
static bool has_wanted_failure(const struct report_arguments *arguments, const struct vg_run *run)
{
    if (arguments->choice.failure <= run->failure_count)
        return true;
    vg_complain("vramguard report", "there is no failure %llu; %u are recorded",
                (unsigned long long)arguments->choice.failure, run->failure_count);
    return false;
}

/* ---- the command ---- */

static error_t parse_argument(int key, char *argument, struct argp_state *state)
{
    struct report_arguments *const arguments = state->input;
    uint64_t number;
    error_t error;
    switch (key) {
    case ARGP_KEY_INIT: vg_arguments_init(state); return 0;
    case KEY_WIDTH:
        error = vg_arguments_number(state, "--width", argument, 60, 200, &number);
        if (!error)
            arguments->choice.style.columns = (unsigned)number;
        return error;
    case KEY_NO_COLOR: arguments->choice.style.color = false; return 0;
    case KEY_FAILURE:
        return vg_arguments_number(state, "--failure", argument, 1, UINT32_MAX,
                                   &arguments->choice.failure);
    case KEY_ALL: arguments->choice.all = true; return 0;
    case KEY_ALL_FRAMES: arguments->choice.all_frames = true; return 0;
    case KEY_JSON: arguments->json = true; return 0;
    case ARGP_KEY_ARG:
        if (arguments->target)
            return vg_arguments_wrong(state, "unexpected argument \"%s\"", argument);
        arguments->target = argument;
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static bool is_directory(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

/* The file of the run that `target` names: the latest for NULL or of a directory, the newest with
 * that pid for a number, else a path. Returns 0, or VG_EXIT_FAILED after one line on stderr. */
static int find_run(const char *target, char *out, size_t cap)
{
    static struct vg_runs runs;
    struct vg_unseen_note note;
    char why[320];
    const bool is_number = target && target[0] && strspn(target, "0123456789") == strlen(target);
    const char *const directory = target && is_directory(target) ? target : NULL;
    if (directory)
        target = NULL; /* the latest of those in there */
    if (target && (!is_number || access(target, F_OK) == 0)) {
        snprintf(out, cap, "%s", target);
        return 0;
    }
    if (vg_runs_scan(&runs, directory, why, sizeof why) != 0) {
        if (!target && !directory)
            vg_unseen_note_warn(0);
        vg_complain("vramguard report", "%s", why);
        return VG_EXIT_FAILED;
    }
    size_t i = 0;
    while (i < runs.count && target && strtoull(target, NULL, 10) != (uint64_t)runs.entries[i].pid)
        i++;
    const bool found = i < runs.count;
    if (!target && !directory)
        vg_unseen_note_warn(found ? runs.entries[i].start_realtime_ns : 0);
    if (found)
        snprintf(out, cap, "%s", runs.entries[i].path);
    else if (target && vg_unseen_note_find((int32_t)strtoull(target, NULL, 10), &note))
        vg_unseen_note_tell(&note);
    else if (target)
        vg_complain("vramguard report", "no run of pid %s is recorded in %s", target,
                    runs.directory);
    else
        vg_complain("vramguard report", "no runs are recorded in %s", runs.directory);
    vg_runs_free(&runs);
    return found ? 0 : VG_EXIT_FAILED;
}

static int print_report(const struct report_arguments *arguments, struct vg_run_view *view)
{
    char damage[256];
    if (!has_wanted_failure(arguments, &view->run))
        return VG_EXIT_FAILED;
    if (arguments->json)
        vg_json_print(vg_json_run(&view->run, arguments->choice.failure));
    else
        vg_report_text_print(&arguments->choice, view);
    fflush(stdout);
    if (vg_reader_describe_damage(&view->reader, damage, sizeof damage))
        vg_complain("vramguard", "the recorder file is incomplete: %s", damage);
    return 0;
}

static int run_report_command(int argc, char **argv)
{
    static const struct argp_option options[] = {
        { "width", KEY_WIDTH, "N", 0,
          "Lines of at most N columns (60 to 200; default: the "
          "terminal's, or 80)",
          0 },
        { "no-color", KEY_NO_COLOR, NULL, 0, "No colours, on a terminal either", 0 },
        { "failure", KEY_FAILURE, "N", 0, "The N-th failure in full instead of the last", 0 },
        { "all", KEY_ALL, NULL, 0, "All recorded failures in full", 0 },
        { "all-frames", KEY_ALL_FRAMES, NULL, 0,
          "Stacks with the Python interpreter's own frames, which Python frames stand for", 0 },
        { "json", KEY_JSON, NULL, 0,
          "All that is recorded as JSON, for programs; with --failure, of the failures only that "
          "one",
          0 },
        { 0 }
    };
    static const struct argp argp = {
        .options = options,
        .parser = parse_argument,
        .args_doc = "[FILE|PID|DIRECTORY]",
        .doc =
            "Prints the post-mortem of a recorded run, the latest (of DIRECTORY) or the one named: "
            "how it "
            "ended, why it ran out of memory, and what it held. For runs that were killed, "
            "too.",
    };
    const unsigned columns = vg_console_columns();
    struct report_arguments arguments = { .choice.style = { .columns = columns ? columns
                                                                               : VG_REPORT_COLUMNS,
                                                            .color = vg_console_wants_color() } };
    static struct vg_run_view view;
    static char path[4096];
    char why[160];
    if (vg_arguments_parse(&argp, argc, argv, 0, &arguments) != 0)
        return VG_EXIT_USAGE;
    if (find_run(arguments.target, path, sizeof path) != 0)
        return VG_EXIT_FAILED;
    if (vg_run_view_open(&view, path, true, why, sizeof why) != 0) {
        vg_complain("vramguard report", "cannot read %s: %s", path, why);
        return VG_EXIT_FAILED;
    }
    const int code = print_report(&arguments, &view);
    vg_run_view_close(&view);
    return code;
}

const struct vg_command vg_command_report = {
    .name = "report",
    .arguments = "[FILE|PID|DIRECTORY]",
    .help = "print the post-mortem of a recorded run",
    .run = run_report_command,
};
