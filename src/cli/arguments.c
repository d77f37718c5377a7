#include "cli/arguments.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/command.h"

int vg_arguments_parse(const struct argp *argp, int argc, char **argv, unsigned flags, void *input)
{
    return argp_parse(argp, argc, argv, flags, NULL, input) == 0 ? 0 : VG_EXIT_USAGE;
}

void vg_arguments_init(struct argp_state *state)
{
    state->err_stream = NULL;
}

error_t vg_arguments_wrong(const struct argp_state *state, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s: ", state->argv[0]);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
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
