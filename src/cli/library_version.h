/* The version of the preload library that this tool would use: told without loading it. */
#ifndef VRAMGUARD_CLI_LIBRARY_VERSION_H
#define VRAMGUARD_CLI_LIBRARY_VERSION_H

#include <stddef.h>

/* Reads the version that is written in the library at `path` (base/version.h). Returns 0, -ENOENT
 * when there is none in it, or another -errno. */
int vg_library_version(const char *path, char *out, size_t cap);

#endif
