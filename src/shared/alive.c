#include "shared/alive.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cancellation.h"
#include "shared/shared_file.h"

static const char name[] = "alive.1";
enum { MAPPED_BYTES = 1 }; /* of a file that is empty: nobody ever looks there */

/* What this process has told; a forked child finds its parent's. */
static _Atomic uint64_t told_owner, told_device_number, told_inode;

static int open_file(int flags)
{
    const int directory = vg_shared_directory();
    if (directory < 0)
        return directory;
    const int fd = openat(directory, name, flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
    const int error = errno;
    close(directory);
    return fd >= 0 ? fd : -error;
}

static struct flock byte_of(uint64_t owner)
{
    return (struct flock){
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)owner, .l_len = 1
    };
}

/* Is it the file in which this process has told that it lives? */
static bool is_told(const struct stat *status)
{
    return told_owner == vg_process_owner_self() && told_device_number == status->st_dev &&
           told_inode == status->st_ino;
}

/* The mapping keeps the file open, and so the lock. */
static int lock_and_map(int fd, uint64_t own)
{
    struct flock byte = byte_of(own);
    /* EAGAIN: another thread of this process is faster. EINVAL: a system without such locks
     * (gVisor), where nobody can look either. */
    if (fcntl(fd, F_OFD_SETLK, &byte) != 0)
        return errno == EAGAIN || errno == EACCES || errno == EINVAL ? 0 : -errno;
    void *const mapped = mmap(NULL, MAPPED_BYTES, PROT_NONE, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED)
        return -ENOMEM;
    return madvise(mapped, MAPPED_BYTES, MADV_DONTFORK) == 0 ? 0 : -errno;
}

int vg_alive_tell(void)
{
    struct stat status;
    const uint64_t own = vg_process_owner_self();
    const int fd = own ? open_file(O_RDWR | O_CREAT) : -ESRCH;
    int error = fd < 0 ? fd : 0;
    if (!error &&
        (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) || status.st_uid != geteuid()))
        error = -EPERM;
    if (!error && !is_told(&status)) {
        error = lock_and_map(fd, own);
        told_device_number = status.st_dev;
        told_inode = status.st_ino;
        told_owner = error ? 0 : own;
    }
    if (fd >= 0)
        close(fd);
    return error;
}

static bool has_lock(int fd, uint64_t owner)
{
    struct flock byte = byte_of(owner);
    return fcntl(fd, F_OFD_GETLK, &byte) != 0 || byte.l_type != F_UNLCK;
}

/* Where the file is not the one in which we have told that we live, others may have told it in that
 * one, too. */
static enum vg_process_activity look_elsewhere(uint64_t owner)
{
    struct stat status;
    const int fd = open_file(O_RDONLY);
    if (fd < 0)
        return VG_PROCESS_RUNS;
    const bool gone = !has_lock(fd, owner) && fstat(fd, &status) == 0 &&
                      (told_owner != vg_process_owner_self() || is_told(&status));
    close(fd);
    return gone ? VG_PROCESS_GONE : VG_PROCESS_RUNS;
}

enum vg_process_activity vg_alive_activity(uint64_t owner)
{
    if (!vg_process_owner_is_elsewhere(owner))
        return vg_process_owner_activity(owner);
    const int saved_errno = errno;
    vg_cancellation_hold();
    const enum vg_process_activity activity = look_elsewhere(owner);
    vg_cancellation_release();
    errno = saved_errno;
    return activity;
}

enum vg_process_activity vg_alive_thread_activity(uint64_t owner, uint32_t thread, uint64_t image)
{
    return vg_process_owner_is_elsewhere(owner) ? vg_alive_activity(owner)
                                                : vg_process_thread_activity(owner, thread, image);
}

bool vg_alive_is_lost(void)
{
    struct stat status;
    if (told_owner != vg_process_owner_self())
        return false;
    const int saved_errno = errno;
    vg_cancellation_hold();
    const int fd = open_file(O_RDONLY);
    const bool lost = fd == -ENOENT || (fd >= 0 && fstat(fd, &status) == 0 && !is_told(&status));
    if (fd >= 0)
        close(fd);
    vg_cancellation_release();
    errno = saved_errno;
    return lost;
}
