/* Programs that are left alone: VRAMGUARD_EXCLUDE. */
#ifndef VRAMGUARD_GUARD_EXCLUDE_H
#define VRAMGUARD_GUARD_EXCLUDE_H

#include <stdbool.h>

/* Does one of `patterns` ("Xorg,nvidia-*", with * and ? as in a shell) fit the name of this
 * process's executable? */
bool vg_exclude_matches(const char *patterns);

/* The same for the executable's name `name`. */
bool vg_exclude_fits(const char *patterns, const char *name);

#endif
