/* A region of memory that grows without moving, kept in the recorder file while that is possible.
 *
 * Address space for the largest size is reserved at the start; each growth maps a new extent of the
 * file behind the last one. When the file cannot grow (disk full, no file at all) the area goes on
 * in private memory: the process keeps its tables, only the post-mortem is incomplete. */
#ifndef VRAMGUARD_RECORD_AREA_H
#define VRAMGUARD_RECORD_AREA_H

#include <stdint.h>
#include <sys/types.h>

#include "base/lock.h"
#include "record/format.h"

struct vg_area_file {
    char path[4096]; /* "" = no file */
    dev_t device;    /* what `path` must still be when it is opened again */
    ino_t inode;
    uint64_t size_bytes;
    struct vg_file_header *header;
    int error;           /* why the file cannot grow any more; 0 while it can */
    struct vg_lock lock; /* guards all of the above and the extent table */
};

struct vg_area {
    char *base;
    uint64_t reserved_bytes;
    _Atomic uint64_t usable_bytes; /* mapped so far */
    enum vg_file_area kind;
    struct vg_area_file *file;
};

/* Reserves address space. `largest_bytes` is a multiple of the page size. Returns 0 or -errno. */
int vg_area_init(struct vg_area *area, enum vg_file_area kind, struct vg_area_file *file,
                 uint64_t largest_bytes);

/* Gives the address space back, with what is mapped there. Safe on an area that was never reserved.
 */
void vg_area_release(struct vg_area *area);

/* Bytes of an area's first extent. */
enum { VG_AREA_FIRST_BYTES = 64 * 1024 };

/* Maps the area's first extent from the new file open as `fd`, whose blocks from file->size_bytes
 * on are already allocated; saves opening the file once more. Returns 0 or -errno. */
int vg_area_map_first(struct vg_area *area, int fd);

/* Makes at least `needed_bytes` of the area usable. Takes the file's lock. Returns 0, or -ENOMEM
 * when the reservation is used up or there is no memory at all. */
int vg_area_grow(struct vg_area *area, uint64_t needed_bytes);

/* End of the extent that byte `offset` of an area lies in. The sizes of extents follow from their
 * place alone: 64 KiB, then doubling the area up to steps of 16 MiB. */
uint64_t vg_area_extent_end(uint64_t offset_bytes);

#endif
