/* Where the parts of this installation lie. They are found from where this program lies, so that a
 * tree can be moved as a whole: a build, a tarball, a wheel's environment, a package. */
#ifndef VRAMGUARD_CLI_INSTALL_PATHS_H
#define VRAMGUARD_CLI_INSTALL_PATHS_H

#include <stddef.h>

enum { VG_PATH_CAP = 4096 };

/* The path of libvramguard.so. Returns 0 or -ENOENT. */
int vg_install_library(char *out, size_t cap);

/* The folder of the simulated driver. Returns 0 or -ENOENT. */
int vg_install_simgpu(char *out, size_t cap);

/* What the loader takes for separators in LD_PRELOAD and LD_LIBRARY_PATH, and knows no way to quote
 * (ld.so(8)). */
#define VG_LOADER_SEPARATORS " :;"

/* Gives the folder another path, a link in the folder of the registry, if it contains what the
 * loader takes for a separator; leaves it as it is where no link can be made. */
void vg_install_make_loadable(char *folder, size_t cap);

/* As vg_install_library, by a path that LD_PRELOAD can name. */
int vg_install_loadable_library(char *out, size_t cap);

/* One line on stderr: `name` is not where this program looks for it. `who` begins the line. */
void vg_install_report_missing(const char *who, const char *name);

#endif
