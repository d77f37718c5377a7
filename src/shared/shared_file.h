/* Files that this user's guarded processes share: fixed in size, mapped by all of them, in a
 * directory that is this user's alone. Used by the registry and by the accounts of shared limits.
 *
 * A directory or a file that is not ours, or of another version, is refused: what it is used for
 * must go without. Nobody is waited for. */
#ifndef VRAMGUARD_SHARED_SHARED_FILE_H
#define VRAMGUARD_SHARED_SHARED_FILE_H

#include <stddef.h>
#include <stdint.h>

/* Where the files live; tests set another place. NULL = /dev/shm/vramguard-<uid>. */
extern const char *vg_registry_directory;

/* How such a file begins. */
struct vg_shared_head {
    char magic[8];
    uint32_t version, slot_bytes;
    char reserved[48];
};

/* What a file must be to be accepted. */
struct vg_shared_layout {
    const char *magic; /* 8 bytes */
    uint32_t version, slot_bytes;
    uint32_t size_bytes; /* of the whole file */
};

/* The directory's path, whoever made it. */
void vg_shared_directory_path(char *out, size_t cap);

/* Opens the directory, made with mode 0700 when there is none. /dev/shm is writable by everybody,
 * so it must be a real directory and nobody else's. Returns a descriptor, which the caller closes,
 * or -errno; -EPERM when it is open to others. */
int vg_shared_directory(void);

/* How the file of that layout called `name` is called in the directory: each version has its own,
 * so that a file which an older one has left is in nobody's way. Containers that share the folder
 * share the files: processes of other pid namespaces are told apart by their owner words
 * (os/process.h). `out` holds 128 bytes at least. */
void vg_shared_file_name(const char *name, const struct vg_shared_layout *layout, char *out,
                         size_t cap);

/* Maps the file `name` of the directory, which is made, all zero but its head, when there is none.
 * To be called under a shield (base/signal_block.h). A regular file of ours that is not as
 * `layout` says, cut short say, is replaced by a new one. Returns 0, or -errno. The mapping is the
 * caller's. */
int vg_shared_map(const char *name, const struct vg_shared_layout *layout, void **out);

/* Which file lies at `name` of the directory now? Returns 0 or -errno; the directory is made when
 * there is none. */
int vg_shared_identify(const char *name, const struct vg_shared_layout *layout,
                       uint64_t *out_device_number, uint64_t *out_inode);

/* What an error of the above means to the user. Static. */
const char *vg_shared_reason(int error);

#endif
