/* `vramguard run`: starts a program with the library preloaded. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/option.h"
#include "base/size.h"
#include "base/text.h"
#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/complain.h"
#include "cli/gpu_select.h"
#include "cli/install_paths.h"
#include "cli/reach.h"
#include "cli/unseen_note.h"
#include "cli/watcher.h"
#include "oom/policy.h"
#include "view/wrap.h"

/* As of env(1), timeout(1) and others: 125 this program itself failed, 126 the command cannot be
 * run, 127 there is no such command. */
enum { EXIT_OURS = 125, EXIT_NOT_EXECUTABLE = 126, EXIT_NOT_FOUND = 127 };

enum { KEY_SIMULATE = 256, KEY_GPU, KEY_OPTION /* + index of the row */, TEXT_CAP = 256 };

struct run_arguments {
    const char *simulate; /* the devices, NULL for none */
    bool place;           /* --gpu auto */
    char **command;       /* NULL terminated; NULL until it is found */
};

/* ---- options ---- */

/* "VRAMGUARD_LOG" is --log, plain "VRAMGUARD" has its field's name. */
static void option_name(const struct vg_option_row *row, char *out, size_t cap)
{
    static const char prefix[] = "VRAMGUARD_";
    const bool has_prefix = strncmp(row->environment, prefix, sizeof prefix - 1) == 0;
    snprintf(out, cap, "%s", has_prefix ? row->environment + sizeof prefix - 1 : row->field);
    for (char *c = out; *c; c++)
        *c = *c == '_' ? '-' : *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
}

static error_t set_option(struct argp_state *state, const struct vg_option_row *row,
                          const char *text)
{
    static struct vg_option_value value;
    char why[128], name[64];
    option_name(row, name, sizeof name);
    if (vg_option_parse(row, text, &value, why, sizeof why) != 0)
        return vg_arguments_wrong(state, "--%s=\"%s\": %s (%s)", name, text, why, row->allowed);
    return setenv(row->environment, text, 1) == 0 ? 0 : ENOMEM;
}

static error_t check_devices(const struct argp_state *state, const char *devices)
{
    char size[64];
    uint64_t bytes;
    for (const char *p = devices;;) {
        const size_t length = strcspn(p, ",");
        snprintf(size, sizeof size, "%.*s", (int)length, p);
        if (length >= sizeof size || vg_size_parse(size, &bytes) != 0 || bytes == 0)
            return vg_arguments_wrong(state, "--simulate=\"%s\": \"%s\": %s", devices, size,
                                      vg_size_complaint(size));
        if (p[length] == '\0')
            return 0;
        p += length + 1;
    }
}

static error_t parse_argument(int key, char *argument, struct argp_state *state)
{
    struct run_arguments *const arguments = state->input;
    size_t count;
    const struct vg_option_row *const rows = vg_option_rows(&count);
    switch (key) {
    case ARGP_KEY_INIT: vg_arguments_init(state); return 0;
    case KEY_SIMULATE: arguments->simulate = argument; return check_devices(state, argument);
    case KEY_GPU:
        arguments->place = strcmp(argument, "auto") == 0;
        return arguments->place
                   ? 0
                   : vg_arguments_wrong(
                         state,
                         "--gpu=\"%s\": only \"auto\"; to choose GPU 0: CUDA_VISIBLE_DEVICES=0",
                         argument);
    case ARGP_KEY_ARG: /* the first word of the command; all after it are the command's */
        arguments->command = &state->argv[state->next - 1];
        state->next = state->argc;
        return 0;
    case ARGP_KEY_NO_ARGS:
        return vg_arguments_wrong(state, "no command given (vramguard run [OPTION...] -- COMMAND)");
    default:
        if (key >= KEY_OPTION && (size_t)(key - KEY_OPTION) < count)
            return set_option(state, &rows[key - KEY_OPTION], argument);
        return ARGP_ERR_UNKNOWN;
    }
}

/* The options of the table, as argp wants them. */
static void fill_options(struct argp_option *options, char (*names)[TEXT_CAP],
                         char (*helps)[2 * TEXT_CAP])
{
    size_t count;
    const struct vg_option_row *const rows = vg_option_rows(&count);
    for (size_t i = 0; i < count; i++) {
        option_name(&rows[i], names[i], TEXT_CAP);
        snprintf(helps[i], sizeof helps[i], "%s: %s; default %s (%s)", rows[i].help,
                 rows[i].allowed, rows[i].default_text[0] ? rows[i].default_text : "not set",
                 rows[i].environment);
        options[i] = (struct argp_option){
            .name = names[i], .key = KEY_OPTION + (int)i, .arg = "VALUE", .doc = helps[i]
        };
    }
}

/* What --policy can name, from the table of actions: shown below the options. */
static void describe_policies(char *out, size_t cap)
{
    enum { INDENT = 9, COLUMNS = 77 };
    size_t count;
    const struct vg_action *const *const actions = vg_policy_actions(&count);
    struct vg_text text = vg_text_over(out, cap);
    vg_text_add(&text,
                "Runs COMMAND with vramguard watching its GPU memory. The command's exit code is "
                "its own; 127 means that there is no such command, 126 that it cannot be run, 125 "
                "that vramguard could not start it.\vWhat --policy tries, in the order given:\n");
    for (size_t i = 0; i < count; i++)
        vg_wrap_add_keyed(&text, actions[i]->name, actions[i]->help, INDENT, COLUMNS,
                          VG_WRAP_WORDS);
    vg_wrap_add_keyed(&text, "off", "try nothing, only report", INDENT, COLUMNS, VG_WRAP_WORDS);
}

/* ---- environment ---- */

/* Sets `variable` to "first:what it was". */
static int prepend_variable(const char *variable, const char *first)
{
    const char *const before = getenv(variable);
    char *joined;
    const char *const separator = strpbrk(first, VG_LOADER_SEPARATORS);
    if (separator) {
        vg_complain("vramguard run", "%s cannot name \"%s\": it contains a '%c'", variable, first,
                    *separator);
        return EXIT_OURS;
    }
    if (asprintf(&joined, "%s%s%s", first, before && *before ? ":" : "", before ? before : "") < 0)
        return EXIT_OURS;
    const int result = setenv(variable, joined, 1);
    free(joined);
    return result == 0 ? 0 : EXIT_OURS;
}

/* Our CUDA runtime before any other that the program brings (PyTorch, CuPy), and device files. */
static int preload_simulation(const char *folder)
{
    static const char *const names[] = { "libcudart.so.11.0", "libcudart.so.12", "libcudart.so.13",
                                         "libsimgpu_device_files.so" };
    char library[VG_PATH_CAP];
    int error = 0;
    for (size_t i = 0; !error && i < sizeof names / sizeof names[0]; i++)
        if ((size_t)snprintf(library, sizeof library, "%s/%s", folder, names[i]) < sizeof library &&
            access(library, R_OK) == 0)
            error = prepend_variable("LD_PRELOAD", library);
    return error;
}

static int preload_library(void)
{
    char library[VG_PATH_CAP];
    if (vg_install_loadable_library(library, sizeof library) == 0)
        return prepend_variable("LD_PRELOAD", library);
    vg_install_report_missing("vramguard run", "libvramguard.so");
    return EXIT_OURS;
}

/* Leaves the simulated driver's folder in `driver`. */
static int simulate_devices(const char *devices, char *driver, size_t cap)
{
    if (vg_install_simgpu(driver, cap) != 0) {
        vg_install_report_missing("vramguard run", "simgpu/libcuda.so.1");
        return EXIT_OURS;
    }
    vg_install_make_loadable(driver, cap);
    if (setenv("SIMGPU_DEVICES", devices, 1) != 0)
        return EXIT_OURS;
    return prepend_variable("LD_LIBRARY_PATH", driver);
}

static int select_gpu(const char *driver_folder)
{
    const char *const need = getenv("VRAMGUARD_NEED");
    uint64_t need_bytes = 0;
    if (need && *need && vg_size_parse(need, &need_bytes) != 0)
        need_bytes = 0; /* the library says what is wrong with it */
    return vg_gpu_select(driver_folder, need_bytes) == 0 ? 0 : EXIT_OURS;
}

/* Starts who says at the end that nothing was recorded, if that is so; the library says it where
 * nobody can be started, and if it will not be there, it is said now. Leaves the note's path in
 * `note`, "" where none can be left. */
static void watch_for_end(const struct run_arguments *arguments, const struct vg_reach *reach,
                          char *note, size_t cap)
{
    struct vg_unseen_note left;
    if (vg_option_is_switched_off() ||
        vg_unseen_note_make(arguments->command, reach->why_not, note, cap) != 0)
        note[0] = '\0';
    else if (!vg_watcher_start(note) && reach->why_not[0] && vg_unseen_note_read(note, &left) == 0)
        vg_unseen_note_tell(&left);
}

static int exec_command(char **command, const char *note)
{
    execvp(command[0], command);
    const int error = errno;
    if (note[0])
        unlink(note); /* it never ran */
    vg_complain("vramguard run", "cannot run \"%s\": %s", command[0], strerror(error));
    return error == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
}

/* Last of all: becomes the command. What is asked of the machine before is asked without the
 * library. */
static int start_command(const struct run_arguments *arguments, const char *driver)
{
    char note[VG_PATH_CAP];
    struct vg_reach reach;
    vg_reach_inspect(arguments->command[0], &reach);
    int error = 0;
    if (!reach.must_not_preload && driver)
        error = preload_simulation(driver);
    if (!reach.must_not_preload && !error)
        error = preload_library();
    if (error)
        return error;
    watch_for_end(arguments, &reach, note, sizeof note);
    return exec_command(arguments->command, note);
}

static int run_run_command(int argc, char **argv)
{
    enum { ROWS_CAP = sizeof(struct vg_options) / sizeof(struct vg_option_value) };
    static char names[ROWS_CAP][TEXT_CAP], helps[ROWS_CAP][2 * TEXT_CAP];
    static struct argp_option options[ROWS_CAP + 3] = {
        { "simulate", KEY_SIMULATE, "SIZE[,SIZE...]", 0,
          "Run on simulated GPUs of these sizes, for example 24GiB: no GPU is needed", 0 },
        { "gpu", KEY_GPU, "auto", 0,
          "Choose the visible GPU with the most free memory and reserve it", 0 },
    };
    static char doc[2048];
    fill_options(options + 2, names, helps);
    describe_policies(doc, sizeof doc);
    const struct argp argp = {
        .options = options,
        .parser = parse_argument,
        .args_doc = "-- COMMAND [ARGUMENT...]",
        .doc = doc,
    };
    struct run_arguments arguments = { 0 };
    if (vg_arguments_parse(&argp, argc, argv, ARGP_IN_ORDER, &arguments) != 0)
        return VG_EXIT_USAGE;
    char driver[VG_PATH_CAP];
    int error =
        arguments.simulate ? simulate_devices(arguments.simulate, driver, sizeof driver) : 0;
    if (!error && arguments.place)
        error = select_gpu(arguments.simulate ? driver : NULL);
    return error ? error : start_command(&arguments, arguments.simulate ? driver : NULL);
}

const struct vg_command vg_command_run = {
    .name = "run",
    .arguments = "[OPTION...] -- COMMAND",
    .help = "run a program with vramguard watching",
    .run = run_run_command,
};
