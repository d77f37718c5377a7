#include "registry/registry.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/shield.h"
#include "base/stderr.h"

#define MAGIC "VRAMREG\n"

enum { VERSION = 1, SLOT_COUNT = 1023 };

/* `owner` is 0 for a free slot, else pid << 32 | low half of the start time: one word, so that a
 * slot is claimed and identified by a single compare-and-swap. */
struct slot {
    _Atomic uint64_t owner;
    _Atomic uint64_t held_bytes;
    uint64_t reserved[6];
};

struct head {
    char magic[8];
    uint32_t version, slot_bytes;
    char reserved[48];
};

struct vg_registry_file {
    struct head head;
    struct slot slots[SLOT_COUNT];
};

_Static_assert(sizeof(struct slot) == 64, "one cache line");

const char *vg_registry_directory;

static _Atomic uint64_t nobody_reads_this;

static uint64_t owner_word(const struct vg_process_id *id)
{
    return (uint64_t)(uint32_t)id->pid << 32 | (uint32_t)id->start_ticks;
}

static bool owner_alive(uint64_t owner, struct vg_process_id *out)
{
    return vg_process_identify((pid_t)(owner >> 32), out) == 0 && owner_word(out) == owner;
}

/* The directory must be a real one, ours alone: /dev/shm is writable by everybody. */
static int open_directory(char *path, size_t cap)
{
    struct stat status;
    if (vg_registry_directory)
        snprintf(path, cap, "%s", vg_registry_directory);
    else
        snprintf(path, cap, "/dev/shm/vramguard-%u", (unsigned)geteuid());
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return -errno;
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (fstat(fd, &status) != 0 || status.st_uid != geteuid() || (status.st_mode & 077) != 0) {
        close(fd);
        return -EPERM;
    }
    return fd;
}

/* Creates the file whole under a name of our own and links it into place, so that nobody ever maps
 * a half-made one and nobody has to be waited for. */
static int create(int directory, const char *name)
{
    char own_name[160]; /* one thread of a process joins a GPU */
    snprintf(own_name, sizeof own_name, ".new-%d-%s", (int)getpid(), name);
    unlinkat(directory, own_name, 0);
    const int fd =
        openat(directory, own_name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    const struct head head = { .magic = MAGIC,
                               .version = VERSION,
                               .slot_bytes = sizeof(struct slot) };
    int error = vg_shield_allocate_blocks(fd, 0, sizeof(struct vg_registry_file));
    if (!error && pwrite(fd, &head, sizeof head, 0) != (ssize_t)sizeof head)
        error = -EIO;
    if (!error && linkat(directory, own_name, directory, name, 0) != 0 && errno != EEXIST)
        error = -errno;
    unlinkat(directory, own_name, 0);
    close(fd);
    return error;
}

static int open_file(int directory, const char *name)
{
    const int flags = O_RDWR | O_NOFOLLOW | O_CLOEXEC;
    int fd = openat(directory, name, flags);
    if (fd < 0 && errno == ENOENT) {
        const int error = create(directory, name);
        if (error)
            return error;
        fd = openat(directory, name, flags);
    }
    return fd >= 0 ? fd : -errno;
}

static int map_file(const char *uuid, struct vg_registry_file **out)
{
    char path[512];
    struct stat status;
    const int directory = open_directory(path, sizeof path);
    if (directory < 0)
        return directory;
    const int fd = open_file(directory, uuid);
    close(directory);
    if (fd < 0)
        return fd;
    int error = 0;
    struct vg_registry_file *file = MAP_FAILED;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) || status.st_uid != geteuid() ||
        status.st_size != sizeof *file)
        error = -EPROTO;
    else
        file = mmap(NULL, sizeof *file, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (error || file == MAP_FAILED)
        return error ? error : -ENOMEM;
    if (memcmp(file->head.magic, MAGIC, 8) != 0 || file->head.version != VERSION ||
        file->head.slot_bytes != sizeof(struct slot)) {
        munmap(file, sizeof *file);
        return -EPROTO;
    }
    *out = file;
    return 0;
}

/* Takes the first slot that `may_take` allows. */
static struct slot *claim_first(struct vg_registry_file *file, uint64_t own,
                                bool (*may_take)(uint64_t owner, uint64_t own))
{
    for (int i = 0; i < SLOT_COUNT; i++) {
        struct slot *const slot = &file->slots[i];
        uint64_t owner = atomic_load(&slot->owner);
        if (may_take(owner, own) && atomic_compare_exchange_strong(&slot->owner, &owner, own)) {
            atomic_store(&slot->held_bytes, 0);
            return slot;
        }
    }
    return NULL;
}

static bool is_free(uint64_t owner, uint64_t own)
{
    return owner == 0 || owner == own;
}

static bool is_abandoned(uint64_t owner, uint64_t own)
{
    struct vg_process_id id;
    return is_free(owner, own) || !owner_alive(owner, &id);
}

/* Whether an owner lives costs a look into /proc, which many processes that start together would
 * all take for all of them: only when no slot is free. */
static struct slot *claim_slot(struct vg_registry_file *file)
{
    struct vg_process_id self;
    if (vg_process_identify(0, &self) != 0)
        return NULL;
    struct slot *const slot = claim_first(file, owner_word(&self), is_free);
    return slot ? slot : claim_first(file, owner_word(&self), is_abandoned);
}

static const char *reason(int error)
{
    if (error == -EPROTO)
        return "a file there is of another version";
    if (error == -EPERM)
        return "it must belong to this user alone, mode 0700";
    return error == -ENOSPC ? "no room" : strerror(-error);
}

void vg_registry_join(const char *uuid, struct vg_registration *out)
{
    struct vg_shield shield;
    *out = (struct vg_registration){ .held_bytes = &nobody_reads_this };
    if (!uuid[0] || strchr(uuid, '/'))
        return;
    struct vg_registry_file *file;
    int error = vg_shield_up(&shield) ? map_file(uuid, &file) : -EAGAIN;
    if (!error) {
        struct slot *const slot = claim_slot(file);
        if (slot) {
            out->file = file;
            out->held_bytes = &slot->held_bytes;
        } else {
            error = -ENOSPC;
            munmap(file, sizeof *file);
        }
    }
    if (error)
        vg_fault_line(VG_FAULT_REGISTRY,
                      "cannot use /dev/shm/vramguard-%u (%s): reports will not tell which other "
                      "processes are guarded",
                      (unsigned)geteuid(), reason(error));
    vg_shield_down(&shield);
}

void vg_registry_leave(struct vg_registration *registration)
{
    if (!registration->file)
        return;
    struct slot *const slot =
        (struct slot *)((uintptr_t)registration->held_bytes - offsetof(struct slot, held_bytes));
    /* Another exit handler may still free memory; by then the slot may be another process's. */
    registration->file = NULL;
    __atomic_store_n(&registration->held_bytes, &nobody_reads_this, __ATOMIC_RELEASE);
    atomic_store(&slot->held_bytes, 0);
    atomic_store(&slot->owner, 0);
}

size_t vg_registry_others(const struct vg_registration *registration, struct vg_registry_entry *out,
                          size_t cap)
{
    struct vg_process_id self;
    size_t count = 0;
    if (!registration->file || vg_process_identify(0, &self) != 0)
        return 0;
    for (int i = 0; i < SLOT_COUNT && count < cap; i++) {
        struct slot *const slot = &registration->file->slots[i];
        const uint64_t owner = atomic_load(&slot->owner);
        struct vg_process_id id;
        if (owner == 0 || owner == owner_word(&self) || !owner_alive(owner, &id))
            continue;
        out[count++] =
            (struct vg_registry_entry){ .id = id, .held_bytes = atomic_load(&slot->held_bytes) };
    }
    return count;
}
