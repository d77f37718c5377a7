/* VRAMGUARD_TRIM_LIB: a library of the user's with a function that frees memory. */
#ifndef VRAMGUARD_OOM_TRIM_LIBRARY_H
#define VRAMGUARD_OOM_TRIM_LIBRARY_H

#include "oom/trim_hooks.h"

/* Loads the library that `text` ("path" or "path:symbol"; the symbol is vramguard_trim otherwise)
 * names, on the first call; it stays loaded. Returns its function; NULL when there is none, which
 * is told in one line. Runs the library's constructors under the dynamic loader's lock: a report
 * that is made meanwhile waits for them. Only in the helper. */
vg_trim_function vg_trim_library_open(const char *text);

#endif
