/* `vramguard list`: the recorded runs, newest first. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/amount.h"
#include "base/command_name.h"
#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/complain.h"
#include "cli/console.h"
#include "cli/json_run.h"
#include "cli/run_view.h"
#include "cli/runs.h"
#include "cli/table.h"
#include "cli/time_format.h"
#include "cli/waiting.h"

enum { DEFAULT_COUNT = 20 };

struct list_arguments {
    uint64_t count; /* runs shown at most, 0 for all */
    bool json, waiting;
    const char *directory; /* NULL: the state directory */
};

enum column { PID, WHEN, COMMAND, GPU, PEAK, END, COLUMNS };

/* ---- text ---- */

static void add_row(void *table, const struct vg_run *run, const char *path)
{
    struct vg_table_row *const row = vg_table_add(table);
    struct vg_text cells[COLUMNS];
    (void)path;
    for (int i = 0; i < COLUMNS; i++)
        cells[i] = vg_text_over(row->cells[i], VG_TABLE_CELL_CAP);
    vg_text_addf(&cells[PID], "%d", run->process.pid);
    vg_time_add_day(&cells[WHEN], run->process.start_realtime_ns, vg_time_now_ns());
    vg_command_short(row->cells[COMMAND], VG_TABLE_CELL_CAP, run->process.command);
    vg_run_add_devices(&cells[GPU], run);
    vg_text_add(&cells[PEAK], VG_AMOUNT(vg_run_peak_bytes(run)));
    vg_run_add_end(&cells[END], run);
}

/* ---- JSON ---- */

static void add_entry(void *list, const struct vg_run *run, const char *path)
{
    json_t *const entry = vg_json_process(&run->process);
    json_t *const gpus = vg_json_array();
    for (uint32_t i = 0; i < run->device_count; i++)
        if (!run->devices[i].is_host)
            vg_json_append(gpus, json_integer(run->devices[i].gpu.ordinal));
    vg_json_set(entry, "gpus", gpus);
    vg_json_set_amount(entry, "peak_bytes", vg_run_peak_bytes(run));
    vg_json_set_amount(entry, "live_bytes", vg_run_live_bytes(run));
    vg_json_set_amount(entry, "failures", run->failure_total);
    vg_json_set_amount(entry, "rescues", run->rescue_total);
    vg_json_set_text(entry, "file", path);
    vg_json_append(list, entry);
}

/* ---- the command ---- */

static error_t parse_argument(int key, char *argument, struct argp_state *state)
{
    struct list_arguments *const arguments = state->input;
    switch (key) {
    case ARGP_KEY_INIT: vg_arguments_init(state); return 0;
    case 'n': return vg_arguments_number(state, "-n", argument, 1, 1000000, &arguments->count);
    case 'a': arguments->count = 0; return 0;
    case 'j': arguments->json = true; return 0;
    case 'w': arguments->waiting = true; return 0;
    case ARGP_KEY_ARG:
        if (arguments->directory)
            return vg_arguments_wrong(state, "unexpected argument \"%s\"", argument);
        arguments->directory = argument;
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

/* Calls `visit` for the first `count` of the runs. One that vanished meanwhile is left out. */
static void visit_runs(const struct vg_runs *runs, size_t count,
                       void (*visit)(void *argument, const struct vg_run *run, const char *path),
                       void *argument)
{
    for (size_t i = 0; i < count; i++) {
        static struct vg_run_view view;
        char why[160];
        if (vg_run_view_open(&view, runs->entries[i].path, false, why, sizeof why) != 0)
            continue;
        visit(argument, &view.run, runs->entries[i].path);
        vg_run_view_close(&view);
    }
}

static void show_table(const struct vg_runs *runs, size_t count)
{
    static const char *const titles[COLUMNS] = { "PID", "WHEN", "COMMAND", "GPU", "PEAK", "END" };
    struct vg_table table;
    vg_table_start(&table, titles, COLUMNS, COMMAND);
    visit_runs(runs, count, add_row, &table);
    vg_table_print(&table, vg_console_columns());
}

static void show_json(const struct vg_runs *runs, size_t count)
{
    json_t *const list = vg_json_array();
    visit_runs(runs, count, add_entry, list);
    vg_json_print(list);
}

static void tell_unreadable(const struct vg_runs *runs)
{
    if (runs->unreadable_count > 0)
        vg_complain("vramguard", "%zu file%s in %s cannot be read; %s", runs->unreadable_count,
                    runs->unreadable_count == 1 ? "" : "s", runs->directory, runs->unreadable);
}

static int run_list_command(int argc, char **argv)
{
    static const struct argp_option options[] = {
        { "number", 'n', "N", 0, "Show the newest N runs (default: 20)", 0 },
        { "all", 'a', NULL, 0, "Show all of them", 0 },
        { "json", 'j', NULL, 0, "As JSON, for programs", 0 },
        { "waiting", 'w', NULL, 0,
          "Instead: who waits for GPU memory now, in the order of being served", 0 },
        { 0 }
    };
    static const struct argp argp = {
        .options = options,
        .parser = parse_argument,
        .args_doc = "[DIRECTORY]",
        .doc =
            "Lists the recorded runs, newest first: what ran, on which GPUs, the peak of its "
            "fullest GPU, and how it ended. DIRECTORY is where VRAMGUARD_LOG has put them, "
            "instead of the user's own state directory.",
    };
    struct list_arguments arguments = { .count = DEFAULT_COUNT };
    static struct vg_runs runs;
    char why[320];
    if (vg_arguments_parse(&argp, argc, argv, 0, &arguments) != 0)
        return VG_EXIT_USAGE;
    if (arguments.waiting)
        return vg_waiting_show(arguments.json);
    if (vg_runs_scan(&runs, arguments.directory, why, sizeof why) != 0) {
        vg_complain("vramguard list", "%s", why);
        return VG_EXIT_FAILED;
    }
    const size_t shown =
        arguments.count == 0 || runs.count < arguments.count ? runs.count : arguments.count;
    if (arguments.json)
        show_json(&runs, shown);
    else if (runs.count > 0)
        show_table(&runs, shown);
    else
        printf("No runs are recorded in %s yet; start one with: vramguard run -- COMMAND\n",
               runs.directory);
    if (shown < runs.count && !arguments.json)
        printf("(%zu older: vramguard list --all)\n", runs.count - shown);
    fflush(stdout);
    tell_unreadable(&runs);
    vg_runs_free(&runs);
    return 0;
}

const struct vg_command vg_command_list = {
    .name = "list",
    .arguments = "[-w] [-a] [-n N] [-j] [DIRECTORY]",
    .help = "list the recorded runs, or who waits for memory",
    .run = run_list_command,
};
