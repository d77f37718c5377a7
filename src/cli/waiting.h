/* `vramguard list --waiting`: who waits for which GPU's memory, in the order of their places. */
#ifndef VRAMGUARD_CLI_WAITING_H
#define VRAMGUARD_CLI_WAITING_H

#include <stdbool.h>

/* Prints the lines of all GPUs. Returns the exit code. */
int vg_waiting_show(bool json);

#endif
