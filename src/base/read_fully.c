#include "base/read_fully.h"

#include <errno.h>
#include <stdbool.h>
#include <unistd.h>

/* What one call has read: more may follow. */
static bool goes_on(ssize_t got, size_t *length, ssize_t *result)
{
    if (got < 0 && errno == EINTR)
        return true;
    if (got > 0)
        *length += (size_t)got;
    *result = got < 0 ? -errno : (ssize_t)*length;
    return got > 0;
}

ssize_t vg_read_fully(int fd, void *out, size_t cap_bytes)
{
    size_t length = 0;
    ssize_t result = 0;
    while (length < cap_bytes &&
           goes_on(read(fd, (char *)out + length, cap_bytes - length), &length, &result))
        ;
    return result;
}

ssize_t vg_read_fully_at(int fd, void *out, size_t cap_bytes, uint64_t offset_bytes)
{
    size_t length = 0;
    ssize_t result = 0;
    while (length < cap_bytes && goes_on(pread(fd, (char *)out + length, cap_bytes - length,
                                               (off_t)(offset_bytes + length)),
                                         &length, &result))
        ;
    return result;
}
