#include "base/maps.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/process.h"

/* "7f00-7f01 r--p 00000000 08:01 1234    /path": the path is what follows the inode and blanks. */
static bool parse(const char *line, struct vg_mapping *out)
{
    int length = 0;
    unsigned long long inode = 0;
    if (sscanf(line, "%*s %*s %*s %x:%x %llu %n", &out->device_major, &out->device_minor, &inode,
               &length) != 3 ||
        inode == 0)
        return false;
    out->inode = inode;
    out->path = line + length;
    return out->path[0] == '/';
}

struct reading {
    bool (*visit)(const struct vg_mapping *mapping, void *argument);
    void *argument;
    bool skipping; /* the rest of a line that is too long */
};

/* Visits the whole lines in `text`. Returns how many bytes they take, -1 when it is over. */
static ssize_t visit_lines(struct reading *reading, char *text)
{
    char *line = text;
    for (char *end; (end = strchr(line, '\n')); line = end + 1) {
        struct vg_mapping mapping;
        const bool whole = !reading->skipping;
        *end = '\0';
        reading->skipping = false;
        /* Half of all mappings are of no file; they are told by a byte more cheaply than parsed. */
        if (whole && strchr(line, '/') && parse(line, &mapping) &&
            !reading->visit(&mapping, reading->argument))
            return -1;
    }
    return line - text;
}

int vg_maps_each(pid_t pid, bool (*visit)(const struct vg_mapping *mapping, void *argument),
                 void *argument)
{
    enum { LINE_BYTES = 4096 }; /* what the kernel hands out at a time, too */
    char path[256], text[LINE_BYTES + 1];
    struct reading reading = { .visit = visit, .argument = argument };
    if (pid == 0)
        snprintf(path, sizeof path, "%s/self/maps", vg_process_proc_root);
    else
        snprintf(path, sizeof path, "%s/%d/maps", vg_process_proc_root, (int)pid);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int error = 0;
    size_t used = 0;
    for (size_t total = 0; total < VG_MAPS_BYTES;) {
        const ssize_t got = read(fd, text + used, LINE_BYTES - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            error = got < 0 ? -errno : 0;
            break;
        }
        total += (size_t)got;
        used += (size_t)got;
        text[used] = '\0';
        const ssize_t taken = visit_lines(&reading, text);
        if (taken < 0)
            break;
        used -= (size_t)taken;
        memmove(text, text + taken, used);
        if (used == LINE_BYTES) {
            reading.skipping = true;
            used = 0;
        }
    }
    close(fd);
    return error;
}
