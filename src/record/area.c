#include "record/area.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/signal_block.h"

enum { LARGEST_EXTENT_BYTES = 16 * 1024 * 1024 };

int vg_area_init(struct vg_area *area, enum vg_file_area kind, struct vg_area_file *file,
                 uint64_t largest_bytes)
{
    void *const base =
        mmap(NULL, largest_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED)
        return -errno;
    *area = (struct vg_area){
        .base = base, .reserved_bytes = largest_bytes, .kind = kind, .file = file
    };
    return 0;
}

void vg_area_release(struct vg_area *area)
{
    if (area->base)
        munmap(area->base, area->reserved_bytes);
    area->base = NULL;
}

uint64_t vg_area_extent_end(uint64_t offset_bytes)
{
    if (offset_bytes >= LARGEST_EXTENT_BYTES)
        return (offset_bytes / LARGEST_EXTENT_BYTES + 1) * LARGEST_EXTENT_BYTES;
    uint64_t end = VG_AREA_FIRST_BYTES;
    while (end <= offset_bytes)
        end *= 2;
    return end;
}

/* The file is opened anew for each growth and closed again: a descriptor kept open could be closed
 * by the program, its number reused, and our data written into a file of the program's. */
static int open_same_file(const struct vg_area_file *file)
{
    struct stat status;
    const int fd = open(file->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY);
    if (fd < 0)
        return -errno;
    if (fstat(fd, &status) != 0 || status.st_dev != file->device || status.st_ino != file->inode) {
        close(fd);
        return -ESTALE;
    }
    return fd;
}

/* Allocates the blocks before mapping them: a write into a mapped hole on a full disk would be
 * SIGBUS in the program. */
static int map_extent(struct vg_area_file *file, char *at, uint64_t size_bytes)
{
    struct vg_signal_block shield;
    int error = 0;
    if (!vg_signal_block_begin(&shield)) {
        vg_signal_block_end(&shield);
        return -EAGAIN;
    }
    const int fd = open_same_file(file);
    if (fd < 0)
        error = fd;
    else {
        error = vg_signal_block_fallocate(fd, file->size_bytes, size_bytes);
        if (!error && mmap(at, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
                           (off_t)file->size_bytes) == MAP_FAILED)
            error = -errno;
        close(fd);
    }
    vg_signal_block_end(&shield);
    return error;
}

static int free_extent_entry(const struct vg_file_header *header)
{
    for (int i = 0; i < VG_FILE_EXTENTS; i++)
        if (header->extents[i].area == VG_AREA_NONE)
            return i;
    return -EFBIG;
}

/* Enters a mapped extent into the file's table. */
static void note_extent(const struct vg_area *area, int index, uint64_t size_bytes)
{
    struct vg_area_file *const file = area->file;
    struct vg_file_extent *const extent = &file->header->extents[index];
    extent->offset_bytes = file->size_bytes;
    extent->size_bytes = size_bytes;
    __atomic_store_n(&extent->area, area->kind, __ATOMIC_RELEASE);
    file->size_bytes += size_bytes;
}

static int grow_in_file(struct vg_area *area, char *at, uint64_t size_bytes)
{
    const int index = free_extent_entry(area->file->header);
    if (index < 0)
        return index;
    const int error = map_extent(area->file, at, size_bytes);
    if (!error)
        note_extent(area, index, size_bytes);
    return error;
}

int vg_area_map_first(struct vg_area *area, int fd)
{
    if (mmap(area->base, VG_AREA_FIRST_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
             (off_t)area->file->size_bytes) == MAP_FAILED)
        return -errno;
    note_extent(area, free_extent_entry(area->file->header), VG_AREA_FIRST_BYTES);
    area->usable_bytes = VG_AREA_FIRST_BYTES;
    return 0;
}

static int grow_locked(struct vg_area *area, uint64_t needed_bytes)
{
    uint64_t usable = atomic_load_explicit(&area->usable_bytes, memory_order_relaxed);
    while (usable < needed_bytes) {
        const uint64_t size = vg_area_extent_end(usable) - usable;
        if (usable + size > area->reserved_bytes)
            return -ENOMEM;
        char *const at = area->base + usable;
        if (area->file->path[0]) {
            area->file->error = grow_in_file(area, at, size);
            if (area->file->error) {
                area->file->path[0] = '\0';
                area->file->header->memory_only = 1;
            }
        }
        if (!area->file->path[0] &&
            mmap(at, size, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED)
            return -ENOMEM;
        if (!area->file->path[0] && size >= 4 * 1024 * 1024)
            madvise(at, size, MADV_HUGEPAGE); /* random access: fewer TLB misses */
        usable += size;
        atomic_store_explicit(&area->usable_bytes, usable, memory_order_release);
    }
    return 0;
}

int vg_area_grow(struct vg_area *area, uint64_t needed_bytes)
{
    const int saved_errno = errno;
    vg_lock_take(&area->file->lock);
    const int error = grow_locked(area, needed_bytes);
    const int file_error = area->file->error;
    vg_lock_release(&area->file->lock);
    if (file_error)
        vg_warn_once(VG_FAULT_RECORDER_FULL,
                     "cannot extend the recorder file (%s): its record of this run stays "
                     "incomplete; the program and the reports on stderr are not affected",
                     strerror(-file_error));
    errno = saved_errno;
    return error;
}
