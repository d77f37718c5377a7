/* `vramguard options`: the table of options, for people and for the README. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/option.h"
#include "cli/arguments.h"
#include "cli/command.h"

static void print_plain(const struct vg_option_row *row)
{
    printf("%s\n    %s\n    allowed: %s; default: %s\n", row->environment, row->help, row->allowed,
           row->default_text[0] ? row->default_text : "not set");
}

/* '|' would end a cell. */
static void print_cell(const char *text)
{
    for (; *text; text++)
        if (*text == '|')
            fputs("\\|", stdout);
        else
            putchar(*text);
    fputs(" |", stdout);
}

static void print_markdown(const struct vg_option_row *row)
{
    printf("| `%s` | ", row->environment);
    print_cell(row->help);
    putchar(' ');
    print_cell(row->allowed);
    putchar(' ');
    print_cell(row->default_text[0] ? row->default_text : "not set");
    putchar('\n');
}

static error_t parse_argument(int key, char *argument, struct argp_state *state)
{
    bool *const markdown = state->input;
    (void)argument;
    switch (key) {
    case ARGP_KEY_INIT: vg_arguments_init(state); return 0;
    case 'm': *markdown = true; return 0;
    case ARGP_KEY_ARG: return vg_arguments_wrong(state, "unexpected argument \"%s\"", argument);
    default: return ARGP_ERR_UNKNOWN;
    }
}

static int run_options_command(int argc, char **argv)
{
    static const struct argp_option options[] = {
        { "markdown", 'm', NULL, 0, "As a Markdown table", 0 }, { 0 }
    };
    static const struct argp argp = {
        .options = options,
        .parser = parse_argument,
        .doc =
            "Prints the environment variables that the library reads. Each is also an option of "
            "`vramguard run`.",
    };
    bool markdown = false;
    if (vg_arguments_parse(&argp, argc, argv, 0, &markdown) != 0)
        return VG_EXIT_USAGE;
    size_t count;
    const struct vg_option_row *const rows = vg_option_rows(&count);
    if (markdown)
        puts("| variable | what it does | allowed | default |\n|---|---|---|---|");
    for (size_t i = 0; i < count; i++)
        markdown ? print_markdown(&rows[i]) : print_plain(&rows[i]);
    return 0;
}

const struct vg_command vg_command_options = {
    .name = "options",
    .arguments = "[--markdown]",
    .help = "print the library's options",
    .run = run_options_command,
};
