/* close_range(2), whose function came with glibc 2.34 and its number with 2.33. */
#ifndef VRAMGUARD_OS_CLOSE_RANGE_H
#define VRAMGUARD_OS_CLOSE_RANGE_H

#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_close_range
#define SYS_close_range 436 /* on all architectures (Linux, asm-generic/unistd.h) */
#endif

/* Closes the descriptors from `first` on. Returns 0, or -1 with errno: a kernel before 5.9 has
 * ENOSYS. Safe in a child of vfork. */
static inline int vg_close_from(unsigned first)
{
    return (int)syscall(SYS_close_range, first, ~0U, 0U);
}

#endif
