/* Looking before reading what the program points to. */
#ifndef VRAMGUARD_OS_MAPPED_H
#define VRAMGUARD_OS_MAPPED_H

#include <stdbool.h>
#include <stddef.h>

/* Are the `bytes` bytes at `at` memory of this process? A system call (mincore(2)); errno is
 * preserved. Pages that may not be read count, too, and another thread may unmap them: this is for
 * pointers that are wrong, not for hostile ones. */
bool vg_is_mapped(const void *at, size_t bytes);

/* Can the eight bytes around `at` be read? Makes one system call, which needs no descriptor and
 * raises no signal (rt_sigprocmask(2) reads its new mask before it looks at what to do with it).
 * errno is preserved. */
bool vg_is_readable(const void *at);

#endif
