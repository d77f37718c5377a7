#include "cli/library_version.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "base/version.h"

/* The text up to `end` behind the mark in the file's bytes. */
static int find_version(const char *bytes, size_t size_bytes, char *out, size_t cap)
{
    const size_t mark_length = strlen(VG_VERSION_MARK);
    const char *const mark = memmem(bytes, size_bytes, VG_VERSION_MARK, mark_length);
    if (!mark)
        return -ENOENT;
    const char *const text = mark + mark_length;
    vg_text_sanitize(out, cap, text, strnlen(text, (size_t)(bytes + size_bytes - text)));
    return 0;
}

int vg_library_version(const char *path, char *out, size_t cap)
{
    struct stat status;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    void *bytes = MAP_FAILED;
    if (fstat(fd, &status) == 0 && status.st_size > 0)
        bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    const int error = bytes == MAP_FAILED ? -errno : 0;
    close(fd);
    if (error || bytes == MAP_FAILED)
        return error ? error : -ENOENT;
    const int result = find_version(bytes, (size_t)status.st_size, out, cap);
    munmap(bytes, (size_t)status.st_size);
    return result;
}
