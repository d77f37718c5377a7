#include "physical.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "object.h"
#include "options.h"
#include "shared.h"
#include "space.h"
#include "state.h"

#define EXPORT_MAGIC   0x4d454d55504753ull /* "SGPUMEM" */
#define COMMON_BYTES   (1ull << 44)        /* of the common file: far more than can be in use */
#define SHAREABLE_KIND 1                   /* CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR */

/* Behind the pages of an exported file, so that an importer knows what it got. */
struct trailer {
    uint64_t magic;
    uint64_t bytes;
    int32_t device;
    int32_t reserved;
    CUmemAllocationProp properties;
};

struct backing {
    struct backing *next; /* of those with their own file */
    uint64_t bytes;
    int fd;
    uint64_t offset; /* in the file */
    bool own_file;
    ino_t inode;
    int charged_device; /* -1: charged to nobody, or to another process */
    unsigned int users;
};

/* Handles that cannot be exported share one file: thousands of handles need no thousands of file
 * descriptors. Its pages appear when they are touched. */
static int common_fd = -1;
static struct space common_space;
static struct backing *own_files;

static int open_common(void)
{
    if (common_fd >= 0)
        return 0;
    int fd = memfd_create("simgpu", MFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    space_init(&common_space);
    if (ftruncate(fd, (off_t)COMMON_BYTES) != 0 ||
        space_give(&common_space, 0, COMMON_BYTES) != 0) {
        close(fd);
        return -ENOMEM;
    }
    common_fd = fd;
    return 0;
}

/* Makes the file of its own that `backing` gets, and puts it on the list. */
static int adopt_file(struct backing *backing, int fd)
{
    struct stat status;
    if (fd < 0)
        return -EBADF;
    if (fstat(fd, &status) != 0) {
        close(fd);
        return -EBADF;
    }
    backing->fd = fd;
    backing->own_file = true;
    backing->inode = status.st_ino;
    backing->next = own_files;
    own_files = backing;
    return 0;
}

static int open_own(struct backing *backing, const struct physical *physical)
{
    int fd = memfd_create("simgpu-shared", MFD_CLOEXEC);
    struct trailer trailer = { .magic = EXPORT_MAGIC,
                               .bytes = physical->bytes,
                               .device = physical->device,
                               .properties = physical->properties };
    if (fd >= 0 &&
        pwrite(fd, &trailer, sizeof(trailer), (off_t)physical->bytes) != sizeof(trailer)) {
        close(fd);
        return -ENOMEM;
    }
    return adopt_file(backing, fd);
}

/* Finds the pages for a new handle. */
static int open_pages(struct backing *backing, const struct physical *physical)
{
    if (physical->properties.requestedHandleTypes == SHAREABLE_KIND)
        return open_own(backing, physical);
    int result = open_common();
    if (result == 0)
        result = space_take(&common_space, backing->bytes, &backing->offset);
    backing->fd = common_fd;
    return result;
}

static void close_pages(struct backing *backing)
{
    if (!backing->own_file) {
        fallocate(backing->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)backing->offset,
                  (off_t)backing->bytes);
        space_give(&common_space, backing->offset, backing->bytes);
        return;
    }
    struct backing **link = &own_files;
    while (*link != backing)
        link = &(*link)->next;
    *link = backing->next;
    close(backing->fd);
}

static void drop_backing(struct backing *backing)
{
    if (--backing->users > 0)
        return;
    close_pages(backing);
    if (backing->charged_device >= 0)
        shared_give(backing->charged_device, backing->bytes);
    free(backing);
}

/* The pages of a new handle, paid for; NULL: out of the device's or the host's memory. */
static struct backing *make_backing(const struct physical *physical)
{
    struct backing *backing = calloc(1, sizeof(*backing));
    if (backing == NULL)
        return NULL;
    backing->bytes = physical->bytes;
    backing->charged_device = physical->device;
    backing->users = 1;
    if (backing->charged_device >= 0 && shared_take(backing->charged_device, backing->bytes) != 0) {
        free(backing);
        return NULL;
    }
    if (open_pages(backing, physical) == 0)
        return backing;
    if (backing->charged_device >= 0)
        shared_give(backing->charged_device, backing->bytes);
    free(backing);
    return NULL;
}

/* Gives the object its handle and first reference; takes over one use of `backing`. */
static CUresult finish_object(struct physical *physical, struct backing *backing,
                              struct physical **out)
{
    physical->backing = backing;
    physical->references = 1;
    physical->handle = backing != NULL ? object_add(OBJECT_PHYSICAL, physical, NULL) : 0;
    if (physical->handle == 0) {
        if (backing != NULL)
            drop_backing(backing);
        free(physical);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    *out = physical;
    return CUDA_SUCCESS;
}

CUresult physical_create(const CUmemAllocationProp *properties, uint64_t bytes, int ordinal,
                         struct physical **out)
{
    struct physical *physical = calloc(1, sizeof(*physical));
    if (physical == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    physical->properties = *properties;
    physical->bytes = bytes;
    physical->ordinal = ordinal;
    physical->device = ordinal >= 0 ? sim_devices[ordinal] : -1;
    return finish_object(physical, make_backing(physical), out);
}

struct physical *physical_get(CUmemGenericAllocationHandle handle)
{
    struct physical *physical = object_get(OBJECT_PHYSICAL, handle);
    return physical != NULL && physical->references > 0 ? physical : NULL;
}

static void end_if_unused(struct physical *physical)
{
    if (physical->references > 0 || physical->mappings > 0)
        return;
    object_remove(physical->handle);
    drop_backing(physical->backing);
    free(physical);
}

void physical_release(struct physical *physical)
{
    physical->references--;
    end_if_unused(physical);
}

void physical_unmapped(struct physical *physical)
{
    physical->mappings--;
    end_if_unused(physical);
}

int physical_file(const struct physical *physical, uint64_t *offset)
{
    *offset = physical->backing->offset;
    return physical->backing->fd;
}

int physical_export(const struct physical *physical)
{
    if (!physical->backing->own_file)
        return -EINVAL;
    int fd = fcntl(physical->backing->fd, F_DUPFD_CLOEXEC, 0);
    return fd >= 0 ? fd : -errno;
}

/* The device as this process counts, or -1 if it does not see it. */
static int ordinal_of(int device)
{
    for (int i = 0; i < sim_device_count; i++)
        if (sim_devices[i] == device)
            return i;
    return -1;
}

/* The pages behind an exported file: known here already, or another process's. */
static struct backing *import_backing(int fd, const struct stat *status, uint64_t bytes)
{
    for (struct backing *known = own_files; known != NULL; known = known->next) {
        if (known->inode == status->st_ino) {
            known->users++;
            return known;
        }
    }
    struct backing *backing = calloc(1, sizeof(*backing));
    if (backing == NULL)
        return NULL;
    backing->bytes = bytes;
    backing->charged_device = -1;
    backing->users = 1;
    if (adopt_file(backing, fcntl(fd, F_DUPFD_CLOEXEC, 0)) == 0)
        return backing;
    free(backing);
    return NULL;
}

CUresult physical_import(int fd, struct physical **out)
{
    struct stat status;
    struct trailer trailer;
    if (fstat(fd, &status) != 0 || status.st_size < (off_t)sizeof(trailer) ||
        pread(fd, &trailer, sizeof(trailer), status.st_size - (off_t)sizeof(trailer)) !=
            sizeof(trailer) ||
        trailer.magic != EXPORT_MAGIC)
        return CUDA_ERROR_INVALID_VALUE;
    struct physical *physical = calloc(1, sizeof(*physical));
    if (physical == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    physical->properties = trailer.properties;
    physical->bytes = trailer.bytes;
    physical->device = trailer.device;
    physical->ordinal = trailer.device >= 0 ? ordinal_of(trailer.device) : -1;
    return finish_object(physical, import_backing(fd, &status, trailer.bytes), out);
}
