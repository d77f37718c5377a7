/* `vramguard doctor`: what works on this machine, and what to do about the rest. */
#include <stdarg.h>
#include <stdio.h>

#include "base/text.h"
#include "base/version.h"
#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/console.h"
#include "cli/doctor.h"
#include "view/wrap.h"

enum { KEY_PROBE = 256, INDENT = 22, LINE_CAP = 4608, COLUMNS = 80 };

struct doctor_arguments {
    bool probe;
    char **command; /* NULL: none */
};

/* A paragraph behind its key, as wide as the terminal. */
static void print_paragraph(const char *key, const char *format, va_list arguments)
{
    char said[LINE_CAP], lines[2 * LINE_CAP];
    struct vg_text text = vg_text_over(said, sizeof said);
    const unsigned columns = vg_console_columns();
    vg_text_addv(&text, format, arguments);
    vg_text_repair(said, sizeof said); /* variables and commands are the user's */
    text = vg_text_over(lines, sizeof lines);
    vg_wrap_add_keyed(&text, key, said, INDENT, columns ? columns : COLUMNS, VG_WRAP_WORDS);
    fputs(lines, stdout);
}

void vg_doctor_say(struct vg_doctor *doctor, enum vg_finding finding, const char *what,
                   const char *format, ...)
{
    static const char *const words[] = {
        [VG_FINDING_OK] = "ok", [VG_FINDING_NOTE] = "note", [VG_FINDING_PROBLEM] = "problem"
    };
    char key[64];
    va_list arguments;
    snprintf(key, sizeof key, "%-8s %s", words[finding], what);
    doctor->problems += finding == VG_FINDING_PROBLEM;
    doctor->notes += finding == VG_FINDING_NOTE;
    va_start(arguments, format);
    print_paragraph(key, format, arguments);
    va_end(arguments);
}

void vg_doctor_advise(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_paragraph("         do", format, arguments);
    va_end(arguments);
}

static error_t parse_argument(int key, char *argument, struct argp_state *state)
{
    struct doctor_arguments *const arguments = state->input;
    (void)argument;
    switch (key) {
    case ARGP_KEY_INIT: vg_arguments_init(state); return 0;
    case KEY_PROBE: arguments->probe = true; return 0;
    case ARGP_KEY_ARG: /* the first word of the command; all after it are the command's */
        arguments->command = &state->argv[state->next - 1];
        state->next = state->argc;
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static void print_sum(const struct vg_doctor *doctor)
{
    if (doctor->problems > 0)
        printf("\n%u problem%s\n", doctor->problems, doctor->problems == 1 ? "" : "s");
    else
        printf("\nno problem\n");
}

static int run_doctor_command(int argc, char **argv)
{
    static const struct argp_option options[] = {
        { "probe", KEY_PROBE, NULL, OPTION_HIDDEN, "What it asks of itself", 0 }, { 0 }
    };
    static const struct argp argp = {
        .options = options,
        .parser = parse_argument,
        .args_doc = "[-- COMMAND [ARGUMENT...]]",
        .doc =
            "Looks at what vramguard needs on this machine: the driver, NVML, the GPUs, whether "
            "each way of programs to the driver is seen, Python, the folders that are written "
            "to, variables; and, for COMMAND, whether it can be watched (it is not run). Each "
            "problem comes with what to do about it. The exit code is 1 if there is one.",
    };
    static struct vg_doctor doctor;
    struct doctor_arguments arguments = { 0 };
    if (vg_arguments_parse(&argp, argc, argv, ARGP_IN_ORDER, &arguments) != 0)
        return VG_EXIT_USAGE;
    if (arguments.probe)
        return vg_doctor_probe();
    vg_doctor_installation(&doctor);
    vg_doctor_gpu(&doctor);
    vg_doctor_program(&doctor, arguments.command);
    vg_doctor_machine(&doctor);
    print_sum(&doctor);
    return doctor.problems ? VG_EXIT_FAILED : 0;
}

const struct vg_command vg_command_doctor = {
    .name = "doctor",
    .arguments = "[-- COMMAND]",
    .help = "look for what is in the way, and say what to do",
    .run = run_doctor_command,
};
