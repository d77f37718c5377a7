/* The command line tool: a table of commands. */
#include <argp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/option.h"
#include "base/spelling.h"
#include "base/version.h"
#include "cli/command.h"
#include "cli/complain.h"
#include "cli/install_paths.h"
#include "cli/library_version.h"
#include "oom/policy.h"

static const struct vg_command *const commands[] = {
    &vg_command_run,     &vg_command_list, &vg_command_report,
    &vg_command_options, &vg_command_env,  &vg_command_doctor,
};

enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

static void print_help(void)
{
    puts(
        "Usage: vramguard COMMAND [ARGUMENT...]\n"
        "Says why a program ran out of GPU memory, and who holds it.\n");
    for (int i = 0; i < COMMAND_COUNT; i++) {
        char synopsis[64];
        snprintf(synopsis, sizeof synopsis, "%s %s", commands[i]->name, commands[i]->arguments);
        printf("  %-42s %s\n", synopsis, commands[i]->help);
    }
    puts(
        "\n  vramguard COMMAND --help                   all about one command\n"
        "  vramguard --version                        the version");
}

static const struct vg_command *find_command(const char *name)
{
    for (int i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    return NULL;
}

static int unknown_command(const char *name)
{
    const struct vg_command *best = NULL;
    unsigned best_distance = 3; /* anything further away is another word */
    for (int i = 0; i < COMMAND_COUNT; i++) {
        const bool begins = name[0] && strncmp(commands[i]->name, name, strlen(name)) == 0;
        const unsigned d = begins ? 0 : vg_spelling_distance(name, commands[i]->name);
        if (d < best_distance) {
            best = commands[i];
            best_distance = d;
        }
    }
    if (best)
        vg_complain("vramguard", "unknown command \"%s\"; did you mean \"%s\"?", name, best->name);
    else
        vg_complain("vramguard", "unknown command \"%s\"; see vramguard --help", name);
    return VG_EXIT_USAGE;
}

static int run_command(const struct vg_command *command, int argc, char **argv)
{
    char name[64];
    snprintf(name, sizeof name, "vramguard %s", command->name);
    argv[0] = name; /* what messages and help begin with */
    const int code = command->run(argc, argv);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        vg_complain("vramguard", "cannot write the output");
        return code ? code : VG_EXIT_FAILED;
    }
    return code;
}

/* The tool's version, and the library's when that is another one. */
static int print_version(void)
{
    char path[VG_PATH_CAP], version[64] = "unknown";
    puts("vramguard " VG_VERSION_TEXT);
    if (vg_install_library(path, sizeof path) != 0) {
        vg_install_report_missing("vramguard", "libvramguard.so");
        return VG_EXIT_FAILED;
    }
    vg_library_version(path, version, sizeof version);
    if (strcmp(version, VG_VERSION_TEXT) == 0)
        return 0;
    vg_complain("vramguard", "%s is of another version: %s", path, version);
    return VG_EXIT_FAILED;
}

int main(int argc, char **argv)
{
    static char help_option[] = "--help";
    argp_err_exit_status = VG_EXIT_USAGE;
    vg_policy_check_options();
    if (argc < 2) {
        vg_complain("vramguard", "no command given; see vramguard --help");
        return VG_EXIT_USAGE;
    }
    const char *const word = argv[1];
    const bool wants_help = strcmp(word, "help") == 0;
    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) {
        return print_version();
    }
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || (wants_help && argc == 2)) {
        print_help();
        return 0;
    }
    const struct vg_command *const command = find_command(wants_help ? argv[2] : word);
    if (!command)
        return unknown_command(wants_help ? argv[2] : word);
    if (wants_help) {
        argv[2] = help_option;
        return run_command(command, 2, argv + 1);
    }
    return run_command(command, argc - 1, argv + 1);
}
