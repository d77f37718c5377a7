/* The files that a process has mapped, from /proc/PID/maps (proc(5)). */
#ifndef VRAMGUARD_OS_MAPS_H
#define VRAMGUARD_OS_MAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Both end with the call that they are passed to. */
struct vg_mapping {
    const char *path; /* as /proc tells it */
    const char *line; /* all that /proc tells of it */
};

/* Which file it is, whatever its path. */
struct vg_mapped_file {
    uint64_t inode;
    unsigned device_major, device_minor;
};

/* Reads the file's identity from the mapping's line. Returns whether it has one. */
bool vg_maps_identify(const struct vg_mapping *mapping, struct vg_mapped_file *out);

/* Calls `visit` for each mapping of a file in process `pid` (0: the caller), neighbours of the same
 * file each for itself, until it returns false or VG_MAPS_BYTES of text have been read. Lines
 * longer than 4 KiB are left out. Returns 0 or -errno (-EACCES for another user's process). Any
 * thread; in the kernel the reader waits for whoever changes the mappings of that process. */
enum { VG_MAPS_BYTES = 4 << 20 };
int vg_maps_each(pid_t pid, bool (*visit)(const struct vg_mapping *mapping, void *argument),
                 void *argument);

#endif
