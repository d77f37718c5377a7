/* Parsing of arguments with argp (glibc manual, section Argp), except that wrong use is answered by
 * one line and never by two. */
#ifndef VRAMGUARD_CLI_ARGUMENTS_H
#define VRAMGUARD_CLI_ARGUMENTS_H

#include <argp.h>
#include <stdint.h>

/* Parses with argp_parse. `argp`'s parser calls vg_arguments_init for ARGP_KEY_INIT. Returns 0, or
 * VG_EXIT_USAGE after one line on stderr, in which control characters and broken UTF-8 of the
 * arguments are replaced by '?'. --help does not return. One thread. */
int vg_arguments_parse(const struct argp *argp, int argc, char **argv, unsigned flags, void *input);

/* For ARGP_KEY_INIT: keeps argp from adding a second line to getopt's error message. */
void vg_arguments_init(struct argp_state *state);

/* One line "vramguard list: <text>" on stderr. Returns EINVAL, for the parser to return. */
error_t vg_arguments_wrong(const struct argp_state *state, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Reads a whole number from `minimum` to `maximum` of option `name` from `text`. Returns 0, or
 * EINVAL after one line on stderr. */
error_t vg_arguments_number(const struct argp_state *state, const char *name, const char *text,
                            uint64_t minimum, uint64_t maximum, uint64_t *out);

#endif
