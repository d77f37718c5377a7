#include "os/maps.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cancellation.h"
#include "os/process.h"

/* "7f00-7f01 r--p 00000000 08:01 1234    /path" */
bool vg_maps_identify(const struct vg_mapping *mapping, struct vg_mapped_file *out)
{
    unsigned long long inode = 0;
    if (sscanf(mapping->line, "%*s %*s %*s %x:%x %llu", &out->device_major, &out->device_minor,
               &inode) != 3)
        return false;
    out->inode = inode;
    return inode != 0;
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
        const bool whole = !reading->skipping;
        *end = '\0';
        reading->skipping = false;
        /* No other field has a slash. */
        const struct vg_mapping mapping = { .path = strchr(line, '/'), .line = line };
        if (whole && mapping.path && !reading->visit(&mapping, reading->argument))
            return -1;
    }
    return line - text;
}

enum { LINE_BYTES = 4096 }; /* what the kernel hands out at a time, too */

/* `text` holds LINE_BYTES and a NUL. */
static int read_lines(int fd, struct reading *reading, char *text)
{
    size_t used = 0;
    for (size_t total = 0; total < VG_MAPS_BYTES;) {
        const ssize_t got = read(fd, text + used, LINE_BYTES - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? -errno : 0;
        total += (size_t)got;
        used += (size_t)got;
        text[used] = '\0';
        const ssize_t taken = visit_lines(reading, text);
        if (taken < 0)
            return 0;
        used -= (size_t)taken;
        memmove(text, text + taken, used);
        if (used == LINE_BYTES) {
            reading->skipping = true;
            used = 0;
        }
    }
    return 0;
}

int vg_maps_each(pid_t pid, bool (*visit)(const struct vg_mapping *mapping, void *argument),
                 void *argument)
{
    char path[256];
    struct reading reading = { .visit = visit, .argument = argument };
    if (pid == 0)
        snprintf(path, sizeof path, "%s/self/maps", vg_process_proc_root);
    else
        snprintf(path, sizeof path, "%s/%d/maps", vg_process_proc_root, (int)pid);
    /* The stack may be small. */
    void *const text =
        mmap(NULL, LINE_BYTES + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (text == MAP_FAILED)
        return -ENOMEM;
    vg_cancellation_hold();
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const int error = fd < 0 ? -errno : read_lines(fd, &reading, text);
    if (fd >= 0)
        close(fd);
    vg_cancellation_release();
    munmap(text, LINE_BYTES + 1);
    return error;
}
