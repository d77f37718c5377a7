/* `vramguard env`: how to preload the library by hand. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/complain.h"
#include "cli/install_paths.h"

static error_t parse_argument(int key, char *argument, struct argp_state *state)
{
    bool *const only_path = state->input;
    switch (key) {
    case 'p': *only_path = true; return 0;
    case ARGP_KEY_INIT: vg_arguments_init(state); return 0;
    case ARGP_KEY_ARG: return vg_arguments_wrong(state, "unexpected argument \"%s\"", argument);
    default: return ARGP_ERR_UNKNOWN;
    }
}

/* What is preloaded already stays, behind ours: other libraries only. */
static void print_assignment(const char *library)
{
    static const char separators[] = " :";
    const char *at = getenv("LD_PRELOAD");
    printf("LD_PRELOAD=%s", library);
    for (at = at ? at : ""; *(at += strspn(at, separators));) {
        char other[VG_PATH_CAP];
        const size_t length = strcspn(at, separators);
        snprintf(other, sizeof other, "%.*s", (int)length, at);
        if (strcmp(vg_text_base_name(other), "libvramguard.so") != 0)
            printf(":%s", other);
        at += length;
    }
    putchar('\n');
}

static int run_env_command(int argc, char **argv)
{
    static const struct argp_option options[] = {
        { "path", 'p', NULL, 0, "Print the path alone", 0 }, { 0 }
    };
    static const struct argp argp = {
        .options = options,
        .parser = parse_argument,
        .doc =
            "Prints the assignment that makes programs load vramguard, with the full path and "
            "before what is preloaded already, for "
            "where `vramguard run` cannot be put before a command: in a script `export "
            "$(vramguard env)`, before one command `env $(vramguard env) python train.py`.",
    };
    char library[VG_PATH_CAP];
    bool only_path = false;
    if (vg_arguments_parse(&argp, argc, argv, 0, &only_path) != 0)
        return VG_EXIT_USAGE;
    if (vg_install_loadable_library(library, sizeof library) != 0) {
        vg_install_report_missing(argv[0], "libvramguard.so");
        return VG_EXIT_FAILED;
    }
    if (strpbrk(library, VG_LOADER_SEPARATORS)) {
        vg_complain(argv[0], "LD_PRELOAD cannot name \"%s\"", library);
        return VG_EXIT_FAILED;
    }
    if (only_path)
        puts(library);
    else
        print_assignment(library);
    return 0;
}

const struct vg_command vg_command_env = {
    .name = "env",
    .arguments = "[--path]",
    .help = "print LD_PRELOAD=... for this installation",
    .run = run_env_command,
};
