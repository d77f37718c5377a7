#include "shared/shared_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/signal_block.h"

const char *vg_registry_directory;

void vg_shared_directory_path(char *out, size_t cap)
{
    if (vg_registry_directory)
        snprintf(out, cap, "%s", vg_registry_directory);
    else
        snprintf(out, cap, "/dev/shm/vramguard-%u", (unsigned)geteuid());
}

int vg_shared_directory(void)
{
    char path[512];
    struct stat status;
    vg_shared_directory_path(path, sizeof path);
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return errno == EPERM ? -EACCES : -errno; /* EPERM stands for what is seen below */
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
static int create_file(int directory, const char *name, const struct vg_shared_layout *layout)
{
    char own_name[160]; /* one thread of a process makes a file of this name */
    snprintf(own_name, sizeof own_name, ".new-%d-%s", (int)getpid(), name);
    unlinkat(directory, own_name, 0);
    const int fd =
        openat(directory, own_name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    struct vg_shared_head head = { .version = layout->version, .slot_bytes = layout->slot_bytes };
    memcpy(head.magic, layout->magic, sizeof head.magic);
    int error = vg_signal_block_fallocate(fd, 0, layout->size_bytes);
    if (!error && pwrite(fd, &head, sizeof head, 0) != (ssize_t)sizeof head)
        error = -EIO;
    if (!error && linkat(directory, own_name, directory, name, 0) != 0 && errno != EEXIST)
        error = -errno;
    unlinkat(directory, own_name, 0);
    close(fd);
    return error;
}

static int open_file(int directory, const char *name, const struct vg_shared_layout *layout)
{
    const int flags = O_RDWR | O_NOFOLLOW | O_CLOEXEC;
    int fd = openat(directory, name, flags);
    if (fd < 0 && errno == ENOENT) {
        const int error = create_file(directory, name, layout);
        if (error)
            return error;
        fd = openat(directory, name, flags);
    }
    return fd >= 0 ? fd : -errno;
}

void vg_shared_file_name(const char *name, const struct vg_shared_layout *layout, char *out,
                         size_t cap)
{
    snprintf(out, cap, "%s.%u", name, layout->version);
}

/* Maps the file if it is as `layout` says. */
static int map_file(int fd, const struct vg_shared_layout *layout, void **out)
{
    struct stat status;
    struct vg_shared_head head;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) || status.st_uid != geteuid())
        return -EPERM;
    if (status.st_size != (off_t)layout->size_bytes ||
        pread(fd, &head, sizeof head, 0) != (ssize_t)sizeof head ||
        memcmp(head.magic, layout->magic, sizeof head.magic) != 0 ||
        head.version != layout->version || head.slot_bytes != layout->slot_bytes)
        return -EPROTO;
    *out = mmap(NULL, layout->size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return *out == MAP_FAILED ? -ENOMEM : 0;
}

/* Somebody has cut the file short or written over it: those who have it mapped have lost it, so it
 * is made anew. One process at a time looks whether it still is that file and removes it. */
static void remove_broken(int directory, const char *name, int fd)
{
    struct stat broken, now;
    if (flock(directory, LOCK_EX | LOCK_NB) != 0)
        return;
    if (fstat(fd, &broken) == 0 && fstatat(directory, name, &now, AT_SYMLINK_NOFOLLOW) == 0 &&
        broken.st_dev == now.st_dev && broken.st_ino == now.st_ino)
        unlinkat(directory, name, 0);
    flock(directory, LOCK_UN);
}

int vg_shared_map(const char *name, const struct vg_shared_layout *layout, void **out)
{
    char file_name[128];
    const int directory = vg_shared_directory();
    if (directory < 0)
        return directory;
    vg_shared_file_name(name, layout, file_name, sizeof file_name);
    int error = -EPROTO;
    for (int tries = 0; error == -EPROTO && tries < 2; tries++) {
        const int fd = open_file(directory, file_name, layout);
        if (fd < 0) {
            error = fd;
            break;
        }
        error = map_file(fd, layout, out);
        if (error == -EPROTO && tries == 0)
            remove_broken(directory, file_name, fd);
        close(fd);
    }
    close(directory);
    return error;
}

int vg_shared_identify(const char *name, const struct vg_shared_layout *layout,
                       uint64_t *out_device_number, uint64_t *out_inode)
{
    char file_name[128];
    struct stat status;
    const int directory = vg_shared_directory();
    if (directory < 0)
        return directory;
    vg_shared_file_name(name, layout, file_name, sizeof file_name);
    const int error = fstatat(directory, file_name, &status, AT_SYMLINK_NOFOLLOW) == 0 ? 0 : -errno;
    close(directory);
    if (error)
        return error;
    *out_device_number = status.st_dev;
    *out_inode = status.st_ino;
    return 0;
}

const char *vg_shared_reason(int error)
{
    if (error == -EPROTO)
        return "what is there is not what it should be";
    if (error == -ESRCH)
        return "/proc does not show this process";
    if (error == -EPERM)
        return "it must belong to this user alone, mode 0700";
    return error == -ENOSPC ? "no room" : strerror(-error);
}
