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

/* Handles that cannot be exported share one file: thousands of handles need no thousands of file
 * descriptors. Its pages appear when they are touched. */
static int common_fd = -1;
static struct space common_space;

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

static int open_own(struct physical *physical)
{
    int fd = memfd_create("simgpu-shared", MFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    struct trailer trailer = { .magic = EXPORT_MAGIC,
                               .bytes = physical->bytes,
                               .device = physical->device,
                               .properties = physical->properties };
    if (pwrite(fd, &trailer, sizeof(trailer), (off_t)physical->bytes) != sizeof(trailer)) {
        close(fd);
        return -ENOMEM;
    }
    physical->fd = fd;
    return 0;
}

/* Gives the handle its pages. */
static int open_pages(struct physical *physical)
{
    physical->own_file = physical->properties.requestedHandleTypes == SHAREABLE_KIND;
    if (physical->own_file)
        return open_own(physical);
    int result = open_common();
    if (result == 0)
        result = space_take(&common_space, physical->bytes, &physical->offset);
    physical->fd = common_fd;
    return result;
}

static void close_pages(struct physical *physical)
{
    if (physical->own_file) {
        close(physical->fd);
        return;
    }
    fallocate(physical->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)physical->offset,
              (off_t)physical->bytes);
    space_give(&common_space, physical->offset, physical->bytes);
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
    physical->references = 1;
    physical->charged = physical->device >= 0;
    if (physical->charged && shared_take(physical->device, bytes) != 0) {
        free(physical);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    bool opened = open_pages(physical) == 0;
    physical->handle = opened ? object_add(OBJECT_PHYSICAL, physical, NULL) : 0;
    if (physical->handle == 0) {
        if (opened)
            close_pages(physical);
        if (physical->charged)
            shared_give(physical->device, bytes);
        free(physical);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    *out = physical;
    return CUDA_SUCCESS;
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
    close_pages(physical);
    if (physical->charged)
        shared_give(physical->device, physical->bytes);
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

int physical_export(const struct physical *physical)
{
    int fd = fcntl(physical->fd, F_DUPFD_CLOEXEC, 0);
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
    int own = physical != NULL ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
    if (own < 0) {
        free(physical);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    physical->properties = trailer.properties;
    physical->bytes = trailer.bytes;
    physical->device = trailer.device;
    physical->ordinal = trailer.device >= 0 ? ordinal_of(trailer.device) : -1;
    physical->fd = own;
    physical->own_file = true;
    physical->references = 1;
    physical->handle = object_add(OBJECT_PHYSICAL, physical, NULL);
    if (physical->handle == 0) {
        close(own);
        free(physical);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    *out = physical;
    return CUDA_SUCCESS;
}
