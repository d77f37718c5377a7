#include "analyze/source_line.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_BYTES_MAX = 4 * 1024 * 1024, CHUNK_BYTES = 4096, TEXT_BYTES = 120 };

/* The file may lie anywhere, so it is only looked at when it is a plain one. */
static int open_source(const char *path, uint64_t changed_before_ns)
{
    struct stat status;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return -1;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
        (uint64_t)status.st_mtim.tv_sec * 1000000000 + (uint64_t)status.st_mtim.tv_nsec <=
            changed_before_ns)
        return fd;
    close(fd);
    return -1;
}

/* The offset of line `number` (from 1), -1 when there is none so near. */
static off_t find_line(int fd, uint32_t number)
{
    char chunk[CHUNK_BYTES];
    off_t offset = 0;
    uint32_t line = 1;
    while (line < number && offset < FILE_BYTES_MAX) {
        const ssize_t got = pread(fd, chunk, sizeof chunk, offset);
        if (got <= 0)
            return -1;
        const char *at = chunk;
        const char *const end = chunk + got;
        while (line < number && (at = memchr(at, '\n', (size_t)(end - at)))) {
            at++;
            line++;
        }
        offset += line == number ? at - chunk : got;
    }
    return line == number ? offset : -1;
}

/* What of `text` is the line, without its indent and what is blank behind it. */
static const char *trim_line(const char *text, size_t length, size_t *out_length)
{
    const char *const newline = memchr(text, '\n', length);
    const char *end = newline ? newline : text + length;
    while (text < end && (*text == ' ' || *text == '\t'))
        text++;
    while (end > text && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r'))
        end--;
    if (end - text > TEXT_BYTES)
        end = text + TEXT_BYTES;
    while (end > text && ((unsigned char)*end & 0xc0) == 0x80 && end - text == TEXT_BYTES)
        end--; /* not in the middle of a letter */
    *out_length = (size_t)(end - text);
    return text;
}

/* The path from the root on; NULL when it is too long, or starts in a folder that is not known. */
static const char *absolute_path(const struct vg_file_header *header, const char *path, char *out,
                                 size_t cap)
{
    if (path[0] == '/')
        return path;
    if (!path[0] || !header->folder[0])
        return NULL;
    const int length = snprintf(out, cap, "%s/%s", header->folder, path);
    return length > 0 && (size_t)length < cap ? out : NULL;
}

void vg_source_line_read(struct vg_region *region, const struct vg_file_header *header,
                         struct vg_run_line *line)
{
    char joined[2 * sizeof header->folder];
    char text[4 * TEXT_BYTES];
    size_t length;
    const int saved_errno = errno;
    const char *const path = absolute_path(header, line->path, joined, sizeof joined);
    const int fd = path && line->line > 0 ? open_source(path, header->start_realtime_ns) : -1;
    if (fd >= 0) {
        const off_t offset = find_line(fd, line->line);
        const ssize_t got = offset >= 0 ? pread(fd, text, sizeof text - 1, offset) : 0;
        close(fd);
        if (got > 0) {
            text[got] = '\0';
            const char *const start = trim_line(text, (size_t)got, &length);
            line->text = vg_region_text(region, start, length);
        }
    }
    errno = saved_errno;
}
