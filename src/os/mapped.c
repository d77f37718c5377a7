#include "os/mapped.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PAGES = 4 };

bool vg_is_mapped(const void *at, size_t bytes)
{
    const uintptr_t page_bytes = (uintptr_t)sysconf(_SC_PAGESIZE), start = (uintptr_t)at;
    const uintptr_t first = start & ~(page_bytes - 1);
    unsigned char resident[PAGES];
    if (start + bytes < start || start + bytes - first > PAGES * page_bytes)
        return false;
    const int saved_errno = errno;
    const bool mapped = mincore((void *)first, start + bytes - first, resident) == 0;
    errno = saved_errno;
    return mapped;
}

bool vg_is_readable(const void *at)
{
    enum { NO_SUCH_CHANGE = -1, KERNEL_SET_BYTES = 8 };
    const uintptr_t word = (uintptr_t)at & ~(uintptr_t)(KERNEL_SET_BYTES - 1);
    const int saved_errno = errno;
    errno = 0;
    syscall(SYS_rt_sigprocmask, NO_SUCH_CHANGE, word, NULL, KERNEL_SET_BYTES);
    const bool readable = errno == EINVAL;
    errno = saved_errno;
    return readable;
}
