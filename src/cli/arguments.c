#include "cli/arguments.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "cli/command.h"
#include "cli/complain.h"

/* getopt_long(3), under argp, writes what was typed to stderr as it is, line ends and control
 * characters included. So that goes into memory first: stderr is a variable (glibc manual,
 * "Standard Streams"). Parsing writes one line at most. */
int vg_arguments_parse(const struct argp *argp, int argc, char **argv, unsigned flags, void *input)
{
    char *said = NULL;
    size_t length = 0;
    FILE *const terminal = stderr, *const memory = open_memstream(&said, &length);
    if (memory)
        stderr = memory;
    const int error = argp_parse(argp, argc, argv, flags, NULL, input);
    stderr = terminal;
    if (memory && fclose(memory) == 0 && length > 0) {
        if (said[length - 1] == '\n')
            said[length - 1] = '\0';
        vg_text_repair(said, length + 1);
        fprintf(stderr, "%s\n", said);
    }
    free(said);
    return error == 0 ? 0 : VG_EXIT_USAGE;
}

void vg_arguments_init(struct argp_state *state)
{
    state->err_stream = NULL;
}

error_t vg_arguments_wrong(const struct argp_state *state, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vg_complainv(state->argv[0], format, arguments);
    va_end(arguments);
    return EINVAL;
}

error_t vg_arguments_number(const struct argp_state *state, const char *name, const char *text,
                            uint64_t minimum, uint64_t maximum, uint64_t *out)
{
    char *end;
    errno = 0;
    const unsigned long long number = strtoull(text, &end, 10);
    if (errno || *text < '0' || *text > '9' || *end != '\0' || number < minimum || number > maximum)
        return vg_arguments_wrong(state, "%s=\"%s\": not a number from %llu to %llu", name, text,
                                  (unsigned long long)minimum, (unsigned long long)maximum);
    *out = number;
    return 0;
}
