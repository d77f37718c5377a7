/* Where recorder files live and what they are called. Shared by the writer and the tool. */
#ifndef VRAMGUARD_RECORD_RUN_FILE_H
#define VRAMGUARD_RECORD_RUN_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VG_RUN_FILE_SUFFIX ".vgr"

/* The state directory: $XDG_STATE_HOME/vramguard, else $HOME/.local/state/vramguard (XDG Base
 * Directory Specification 0.8; a relative XDG_STATE_HOME is ignored as it demands). Returns 0, or
 * -ENOENT when neither variable is usable, -ENAMETOOLONG. */
int vg_run_file_directory(char *out, size_t cap);

/* Expands VRAMGUARD_LOG: %p pid, %h host, %e executable, %t start time (20261123-140501), %% a
 * percent sign; any other % sequence stays as it is. Returns 0 or -ENAMETOOLONG. */
int vg_run_file_expand(const char *path_template, uint64_t start_realtime_ns, char *out,
                       size_t cap);

/* Opens a new file for this process for reading and writing, never one that exists: in the state
 * directory (made with its parents, mode 0700, when missing), or where `path_template` says unless
 * that is "". A name that is taken gets "-2", "-3" ... appended before its suffix. Files are
 * private to the user (mode 0600). One thread at a time. Stores the absolute path in `out`. Returns
 * a descriptor (O_CLOEXEC) or -errno. */
int vg_run_file_create(const char *path_template, uint64_t start_realtime_ns, char *out,
                       size_t cap);

/* Is `name`, with or without a folder, that of a run file? */
bool vg_run_file_is_name(const char *name);

/* Removes the oldest files of the state directory beyond `keep` (0: nothing is removed) and, oldest
 * first too, what is more than `keep_bytes` on disk in all (0: any amount); never one whose process
 * lives, on another machine for all that can be told. Looks into 256 files at most; the rest goes
 * with later runs. One thread at a time. */
void vg_run_file_prune(unsigned keep, uint64_t keep_bytes);

/* Does any process, of whatever pid namespace of this machine, have the file that is open as `fd`
 * (O_RDONLY) open for writing or mapped? Returns 1 or 0, or -errno where the file system does not
 * tell (fcntl(2), leases: the caller has to own the file). */
int vg_run_file_has_writer(int fd);

#endif
