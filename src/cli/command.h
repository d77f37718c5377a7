/* The commands of the tool. A new one is a file that defines a `const struct vg_command` and a line
 * in main.c's table; help and suggestions follow from it. */
#ifndef VRAMGUARD_CLI_COMMAND_H
#define VRAMGUARD_CLI_COMMAND_H

struct vg_command {
    const char *name;
    const char *arguments; /* as in a synopsis: "[FILE|PID]" */
    const char *help;      /* one line */
    /* Runs it. argv[0] is "vramguard NAME", the rest are the command's own arguments. Returns the
     * exit code: 0, 1 for what went wrong, 2 for wrong use; then one line is on stderr. */
    int (*run)(int argc, char **argv);
};

enum { VG_EXIT_FAILED = 1, VG_EXIT_USAGE = 2 };

extern const struct vg_command vg_command_run, vg_command_list, vg_command_report,
    vg_command_options, vg_command_env, vg_command_doctor;

#endif
