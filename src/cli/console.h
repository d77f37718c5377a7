/* Standard output: how wide, and whether colours are wanted. */
#ifndef VRAMGUARD_CLI_CONSOLE_H
#define VRAMGUARD_CLI_CONSOLE_H

#include <stdbool.h>

/* Columns of the terminal that standard output is, 0 when it is none. */
unsigned vg_console_columns(void);

/* True when standard output is a terminal and NO_COLOR is unset or empty (https://no-color.org). */
bool vg_console_wants_color(void);

#endif
