/* A preload library of simulated runs: in the eyes of the program, and of no other, the simulated
 * GPUs have device files. Some programs (JAX) look whether /dev/nvidia0 is there and do not try
 * CUDA when it is not; they do not open it. A private /dev would need rights that users and
 * containers lack.
 *
 * The functions of libc that ask about a file are answered as the kernel answers them; only where
 * that is ENOENT, and the name is a simulated GPU's, is the answer a character device. Nothing is
 * looked up, allocated or kept. Programs that call the kernel by themselves (Go) see the real /dev.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

enum {
    NVIDIA_MAJOR = 195,
    CONTROL_MINOR = 255
}; /* Documentation/admin-guide/devices.txt of Linux */

EXPORT int stat(const char *path, struct stat *out);
EXPORT int lstat(const char *path, struct stat *out);
EXPORT int fstatat(int folder, const char *path, struct stat *out, int flags);
EXPORT int stat64(const char *path, struct stat64 *out);
EXPORT int lstat64(const char *path, struct stat64 *out);
EXPORT int fstatat64(int folder, const char *path, struct stat64 *out, int flags);
EXPORT int __xstat(int version, const char *path, struct stat *out);
EXPORT int __xstat64(int version, const char *path, struct stat64 *out);
EXPORT int __lxstat(int version, const char *path, struct stat *out);
EXPORT int __lxstat64(int version, const char *path, struct stat64 *out);
EXPORT int statx(int folder, const char *restrict path, int flags, unsigned mask,
                 struct statx *restrict out);
EXPORT int access(const char *path, int mode);

_Static_assert(sizeof(struct stat) == sizeof(struct stat64), "one layout, the kernel's");

/* The devices are those of SIMGPU_DEVICES: as many as it has sizes. */
static long device_count(void)
{
    const char *at = getenv("SIMGPU_DEVICES");
    long count = at && *at ? 1 : 0;
    while (at && (at = strchr(at, ',')) != NULL) {
        count++;
        at++;
    }
    return count;
}

/* The minor number of the file that `path` names, or -1. */
static int simulated_minor(const char *path)
{
    static const char prefix[] = "/dev/nvidia";
    if (strncmp(path, prefix, sizeof prefix - 1) != 0)
        return -1;
    const char *const rest = path + sizeof prefix - 1;
    if (strcmp(rest, "ctl") == 0)
        return device_count() > 0 ? CONTROL_MINOR : -1;
    if (rest[0] < '0' || rest[0] > '9' || strspn(rest, "0123456789") != strlen(rest) ||
        strlen(rest) > 2)
        return -1;
    const int number = atoi(rest);
    return number < device_count() ? number : -1;
}

static int ask_kernel(int folder, const char *path, struct stat *out, int flags)
{
    const int saved_errno = errno;
    const long result = syscall(SYS_newfstatat, folder, path, out, flags);
    const int minor_number = result != 0 && errno == ENOENT ? simulated_minor(path) : -1;
    if (minor_number < 0)
        return (int)result;
    memset(out, 0, sizeof *out);
    out->st_mode = S_IFCHR | 0666;
    out->st_nlink = 1;
    out->st_rdev = makedev(NVIDIA_MAJOR, (unsigned)minor_number);
    out->st_blksize = 4096;
    errno = saved_errno;
    return 0;
}

int stat(const char *path, struct stat *out)
{
    return ask_kernel(AT_FDCWD, path, out, 0);
}
int lstat(const char *path, struct stat *out)
{
    return ask_kernel(AT_FDCWD, path, out, AT_SYMLINK_NOFOLLOW);
}
int fstatat(int folder, const char *path, struct stat *out, int flags)
{
    return ask_kernel(folder, path, out, flags);
}
int stat64(const char *path, struct stat64 *out)
{
    return ask_kernel(AT_FDCWD, path, (struct stat *)out, 0);
}
int lstat64(const char *path, struct stat64 *out)
{
    return ask_kernel(AT_FDCWD, path, (struct stat *)out, AT_SYMLINK_NOFOLLOW);
}
int fstatat64(int folder, const char *path, struct stat64 *out, int flags)
{
    return ask_kernel(folder, path, (struct stat *)out, flags);
}

/* What programs built with glibc before 2.33 call. */
int __xstat(int version, const char *path, struct stat *out)
{
    (void)version;
    return ask_kernel(AT_FDCWD, path, out, 0);
}
int __xstat64(int version, const char *path, struct stat64 *out)
{
    (void)version;
    return ask_kernel(AT_FDCWD, path, (struct stat *)out, 0);
}
int __lxstat(int version, const char *path, struct stat *out)
{
    (void)version;
    return ask_kernel(AT_FDCWD, path, out, AT_SYMLINK_NOFOLLOW);
}
int __lxstat64(int version, const char *path, struct stat64 *out)
{
    (void)version;
    return ask_kernel(AT_FDCWD, path, (struct stat *)out, AT_SYMLINK_NOFOLLOW);
}

int statx(int folder, const char *restrict path, int flags, unsigned mask,
          struct statx *restrict out)
{
    const int saved_errno = errno;
    const long result = syscall(SYS_statx, folder, path, flags, mask, out);
    const int minor_number = result != 0 && errno == ENOENT ? simulated_minor(path) : -1;
    if (minor_number < 0)
        return (int)result;
    memset(out, 0, sizeof *out);
    out->stx_mask = STATX_BASIC_STATS;
    out->stx_mode = S_IFCHR | 0666;
    out->stx_nlink = 1;
    out->stx_rdev_major = NVIDIA_MAJOR;
    out->stx_rdev_minor = (unsigned)minor_number;
    out->stx_blksize = 4096;
    errno = saved_errno;
    return 0;
}

int access(const char *path, int mode)
{
    const int saved_errno = errno;
    const long result = syscall(SYS_faccessat, AT_FDCWD, path, mode);
    if (result == 0 || errno != ENOENT || simulated_minor(path) < 0)
        return (int)result;
    if (mode & X_OK) {
        errno = EACCES;
        return -1;
    }
    errno = saved_errno;
    return 0;
}
