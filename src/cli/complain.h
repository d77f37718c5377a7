/* The tool's error lines. What users type and what files hold may control a terminal; here it does
 * not. */
#ifndef VRAMGUARD_CLI_COMPLAIN_H
#define VRAMGUARD_CLI_COMPLAIN_H

#include <stdarg.h>

/* Writes "WHO: <text>\n" to stderr, in one piece of at most 4 KiB, with control
 * characters and broken UTF-8 replaced by '?'. `who`: "vramguard report". One thread. */
void vg_complain(const char *who, const char *format, ...) __attribute__((format(printf, 2, 3)));
void vg_complainv(const char *who, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));

#endif
