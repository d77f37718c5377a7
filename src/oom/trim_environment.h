/* The environment of VRAMGUARD_TRIM_CMD. */
#ifndef VRAMGUARD_OOM_TRIM_ENVIRONMENT_H
#define VRAMGUARD_OOM_TRIM_ENVIRONMENT_H

#include <stddef.h>

#include "oom/trim_command.h"

/* Bytes that vg_trim_environment_fill needs at most. */
size_t vg_trim_environment_bytes(void);

/* Makes the environment in `memory` (`cap` bytes, aligned for pointers): the program's without
 * VRAMGUARD_TRIM_CMD, its LD_PRELOAD without this library, and the facts. Its texts are the
 * program's own. Returns it. */
char **vg_trim_environment_fill(void *memory, size_t cap, const struct vg_trim_facts *facts);

#endif
