/* Environment variables that look like an option of ours and are none. */
#ifndef VRAMGUARD_BASE_OPTION_NAMES_H
#define VRAMGUARD_BASE_OPTION_NAMES_H

#include <stdbool.h>
#include <stddef.h>

/* Set by `vramguard run` for what it starts: see record/unseen.h. */
#define VG_RUN_VARIABLE "VRAMGUARD_RUN"

/* Is `assignment` ("NAME=VALUE", as in environ) meant for us under a name that we do not know?
 * Then its name is copied to `out_name` (`cap` >= 1 bytes, made safe to print) and `*out_nearest`
 * is the nearest option (static storage). Names that vramguard sets itself count as known. */
bool vg_option_is_misspelt(const char *assignment, char *out_name, size_t cap,
                           const char **out_nearest);

/* One line on stderr for each misspelt variable of the environment, three at most. Reads environ
 * as getenv does. */
void vg_option_report_misspelt(void);

#endif
