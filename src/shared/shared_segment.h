/* Memory that this user's guarded processes share and that nobody can cut short or lose: a System V
 * segment (shmget(2)) by a key made of its name. No file, no folder, no descriptor.
 *
 * Used for the accounts of shared limits, which must hold whatever becomes of /dev/shm. A segment
 * can be removed (ipcrm, logind's RemoveIPC at the last logout of its user) while programs have it:
 * then it has no key any more, and those who come find it among all segments, since Linux lets one
 * attach it as long as somebody has it. */
#ifndef VRAMGUARD_SHARED_SHARED_SEGMENT_H
#define VRAMGUARD_SHARED_SHARED_SEGMENT_H

#include "shared/shared_file.h"

/* Attaches the segment of this pid namespace, since whether a process of another one still counts
 * would not be known, that stands for the file `name` of that layout (vg_shared_file_name), made,
 * all zero but its head, when there is none. Returns 0 or -errno: -EPROTO when another program uses
 * the key, -ENOSYS where the system has no such segments. Waits for nobody; any thread. The mapping
 * is the caller's (shmdt(2)). */
int vg_shared_segment_map(const char *name, const struct vg_shared_layout *layout, void **out);

#endif
