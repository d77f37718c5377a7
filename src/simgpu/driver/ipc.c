/* Interprocess communication ("CUDA Driver API", section "Memory Management"). */
#include "ipc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "event.h"
#include "function_table.h"
#include "memory.h"
#include "object.h"
#include "options.h"
#include "process.h"
#include "small.h"
#include "state.h"

#define MEMORY_MAGIC     0x4d495047u /* "GPIM" */
#define EVENT_MAGIC      0x45495047u
#define LAZY_PEER_ACCESS 1u
#define PAGE_BYTES       4096

/* What a CUipcMemHandle holds. */
struct ticket {
    uint32_t magic;
    int32_t pid;
    uint64_t start_ticks;
    int32_t fd; /* in the exporter */
    int32_t device;
    uint64_t inode;
    uint64_t block_bytes;
    uint64_t offset; /* of the allocation in the blocks */
    uint64_t bytes;
};
_Static_assert(sizeof(struct ticket) <= sizeof(CUipcMemHandle), "must fit the handle");

/* Blocks that live in a file. */
struct exported {
    struct exported *next;
    uint64_t base, bytes;
    int fd;
    uint64_t inode;
};

struct opened {
    struct ticket ticket;
    void *pages; /* of all the blocks */
    unsigned int opens;
};

static struct exported *exports; /* rarely more than a few */

static void *pages_at(uint64_t address)
{
    return (void *)(uintptr_t)address;
}

/* Copies the pages that are not all zero: the file stays as sparse as the memory was. */
static int fill_file(int fd, uint64_t base, uint64_t bytes)
{
    static const char zeros[PAGE_BYTES];
    if (ftruncate(fd, (off_t)bytes) != 0)
        return -errno;
    for (uint64_t offset = 0; offset < bytes; offset += PAGE_BYTES) {
        const void *page = pages_at(base + offset);
        if (memcmp(page, zeros, PAGE_BYTES) != 0 &&
            pwrite(fd, page, PAGE_BYTES, (off_t)offset) != PAGE_BYTES)
            return -ENOSPC;
    }
    return 0;
}

static struct exported *find_export(uint64_t base)
{
    struct exported *found = exports;
    while (found != NULL && found->base != base)
        found = found->next;
    return found;
}

/* Moves the blocks into a file in place. */
static struct exported *make_export(uint64_t base, uint64_t bytes)
{
    struct exported *made = calloc(1, sizeof(*made));
    int fd = made != NULL ? memfd_create("simgpu-ipc", MFD_CLOEXEC) : -1;
    struct stat status;
    if (fd < 0 || fill_file(fd, base, bytes) != 0 || fstat(fd, &status) != 0 ||
        mmap(pages_at(base), bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) ==
            MAP_FAILED) {
        if (fd >= 0)
            close(fd);
        free(made);
        return NULL;
    }
    madvise(pages_at(base), bytes, MADV_DONTFORK);
    *made = (struct exported){ exports, base, bytes, fd, status.st_ino };
    exports = made;
    return made;
}

void ipc_forget(uint64_t base, uint64_t bytes)
{
    for (struct exported **link = &exports; *link != NULL;) {
        struct exported *found = *link;
        if (found->base - base >= bytes) {
            link = &found->next;
            continue;
        }
        *link = found->next;
        void *pages = mmap(pages_at(found->base), found->bytes, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
        if (pages != MAP_FAILED) {
            madvise(pages, found->bytes, MADV_NOHUGEPAGE);
            madvise(pages, found->bytes, MADV_DONTFORK);
        }
        close(found->fd);
        free(found);
    }
}

/* Documented: for memory of cuMemAlloc. A small allocation takes its whole block along, as the real
 * driver's do. */
CUresult sim_cuIpcGetMemHandle(CUipcMemHandle *handle, CUdeviceptr address)
{
    if (handle == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct memory_view view;
    struct process_identity self;
    if (!memory_look(address, &view) || view.kind != RANGE_DEVICE ||
        process_identify(getpid(), &self) != 0)
        return sim_unlock_with(CUDA_ERROR_INVALID_VALUE);
    uint64_t block = view.range != NULL ? view.base : view.base / BLOCK_BYTES * BLOCK_BYTES;
    uint64_t block_bytes = view.range != NULL ? view.extent_bytes : BLOCK_BYTES;
    struct exported *exported = find_export(block);
    if (exported == NULL)
        exported = make_export(block, block_bytes);
    if (exported == NULL)
        return sim_unlock_with(CUDA_ERROR_OUT_OF_MEMORY);
    struct ticket ticket = {
        MEMORY_MAGIC,    self.pid,    self.start_ticks,  exported->fd, view.context->device,
        exported->inode, block_bytes, view.base - block, view.bytes
    };
    memset(handle, 0, sizeof(*handle));
    memcpy(handle, &ticket, sizeof(ticket));
    return sim_unlock_with(CUDA_SUCCESS);
}

/* Opens the exporter's file, if that still runs and the file is still the same one. */
static int open_file(const struct ticket *ticket)
{
    struct process_identity exporter = { ticket->pid, ticket->start_ticks };
    if (!process_is_alive(&exporter))
        return -ESRCH;
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/fd/%d", ticket->pid, ticket->fd);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    struct stat status;
    if (fd < 0)
        return -errno;
    if (fstat(fd, &status) == 0 && status.st_ino == ticket->inode)
        return fd;
    close(fd);
    return -ESTALE;
}

/* Documented: opening what is open already gives the same address and counts. */
static struct range *find_import(const struct context *context, const struct ticket *ticket)
{
    for (struct range *range = context->ranges; range != NULL; range = range->next) {
        struct opened *opened = range->detail;
        if (range->kind == RANGE_IMPORTED && memcmp(&opened->ticket, ticket, sizeof(*ticket)) == 0)
            return range;
    }
    return NULL;
}

static CUresult map_import(struct context *context, const struct ticket *ticket, struct range **out)
{
    int fd = open_file(ticket);
    if (fd < 0)
        return CUDA_ERROR_INVALID_VALUE;
    void *pages = mmap(NULL, ticket->block_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    struct range *range = calloc(1, sizeof(*range));
    struct opened *opened = calloc(1, sizeof(*opened));
    if (pages == MAP_FAILED || range == NULL || opened == NULL) {
        if (pages != MAP_FAILED)
            munmap(pages, ticket->block_bytes);
        free(range);
        free(opened);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    *opened = (struct opened){ *ticket, pages, 0 };
    range->kind = RANGE_IMPORTED;
    range->base = (uint64_t)(uintptr_t)pages + ticket->offset;
    range->bytes = ticket->bytes;
    range->extent_bytes = ticket->bytes;
    range->serial = range_new_serial();
    range->context = context;
    range->detail = opened;
    range_add(range);
    *out = range;
    return CUDA_SUCCESS;
}

/* A context of another device than the exporter's opens it as a peer. */
CUresult sim_cuIpcOpenMemHandle_v2(CUdeviceptr *address, CUipcMemHandle handle, unsigned int flags)
{
    struct ticket ticket;
    memcpy(&ticket, &handle, sizeof(ticket));
    if (address == NULL || flags != LAZY_PEER_ACCESS || ticket.magic != MEMORY_MAGIC)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct context *context;
    CUresult result = context_current(&context);
    if (result == CUDA_SUCCESS && ticket.pid == getpid())
        result = CUDA_ERROR_INVALID_CONTEXT; /* the exporter itself */
    if (result != CUDA_SUCCESS)
        return sim_unlock_with(result);
    struct range *range = find_import(context, &ticket);
    if (range == NULL)
        result = map_import(context, &ticket, &range);
    if (result == CUDA_SUCCESS) {
        ((struct opened *)range->detail)->opens++;
        *address = range->base;
    }
    return sim_unlock_with(result);
}

CUresult sim_cuIpcOpenMemHandle(CUdeviceptr *address, CUipcMemHandle handle, unsigned int flags)
{
    return sim_cuIpcOpenMemHandle_v2(address, handle, flags);
}

int ipc_ordinal(const struct range *range)
{
    const struct opened *opened = range->detail;
    for (int i = 0; i < sim_device_count; i++)
        if (sim_devices[i] == opened->ticket.device)
            return i;
    return range->context->ordinal;
}

void ipc_end_range(struct range *range)
{
    struct opened *opened = range->detail;
    range_remove(range);
    munmap(opened->pages, opened->ticket.block_bytes);
    free(opened);
    free(range);
}

CUresult sim_cuIpcCloseMemHandle(CUdeviceptr address)
{
    sim_lock_all();
    struct range *range = range_find_base(address, RANGE_IMPORTED);
    if (range == NULL)
        return sim_unlock_with(CUDA_ERROR_INVALID_VALUE);
    if (--((struct opened *)range->detail)->opens == 0)
        ipc_end_range(range);
    return sim_unlock_with(CUDA_SUCCESS);
}

/* An event is complete as soon as it is recorded, and counts as complete before: there is nothing
 * that two processes would have to share. */
CUresult sim_cuIpcGetEventHandle(CUipcEventHandle *handle, CUevent event_handle)
{
    if (handle == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    const struct event *event = OBJECT(OBJECT_EVENT, event_handle);
    if (event == NULL || (event->flags & CU_EVENT_INTERPROCESS) == 0)
        return sim_unlock_with(CUDA_ERROR_INVALID_HANDLE);
    uint32_t magic = EVENT_MAGIC;
    memset(handle, 0, sizeof(*handle));
    memcpy(handle, &magic, sizeof(magic));
    return sim_unlock_with(CUDA_SUCCESS);
}

CUresult sim_cuIpcOpenEventHandle(CUevent *event, CUipcEventHandle handle)
{
    uint32_t magic;
    memcpy(&magic, &handle, sizeof(magic));
    if (magic != EVENT_MAGIC)
        return CUDA_ERROR_INVALID_VALUE;
    return sim_cuEventCreate(event, CU_EVENT_INTERPROCESS | CU_EVENT_DISABLE_TIMING);
}
