#include "cli/install_paths.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hashing.h"
#include "cli/complain.h"
#include "shared/shared_file.h"

/* Debian's name of this machine, under which its packages keep libraries. */
#if defined __x86_64__
#define TRIPLET "x86_64-linux-gnu"
#elif defined __aarch64__
#define TRIPLET "aarch64-linux-gnu"
#else
#define TRIPLET ""
#endif

/* The folder of this program's file, without links. Returns 0 or -errno. */
static int own_folder(char *out, size_t cap)
{
    const ssize_t length = readlink("/proc/self/exe", out, cap - 1);
    if (length <= 0)
        return -errno;
    out[length] = '\0';
    *strrchr(out, '/') = '\0';
    return 0;
}

/* Finds `name` in the first of `places` that has it. */
static int find_beside(const char *const *places, const char *name, char *out, size_t cap)
{
    char folder[VG_PATH_CAP];
    if (own_folder(folder, sizeof folder) != 0)
        return -ENOENT;
    for (; *places; places++) {
        char path[2 * VG_PATH_CAP];
        snprintf(path, sizeof path, "%s%s%s", folder, *places, name);
        char *const real = access(path, R_OK) == 0 ? realpath(path, NULL) : NULL;
        const bool found = real && (size_t)snprintf(out, cap, "%s", real) < cap;
        free(real);
        if (found)
            return 0;
    }
    return -ENOENT;
}

int vg_install_library(char *out, size_t cap)
{
    static const char *const places[] = {
        "/", "/../lib/", "/../lib/vramguard/", "/../lib/" TRIPLET "/", "/../lib64/", NULL
    };
    return find_beside(places, "libvramguard.so", out, cap);
}

int vg_install_simgpu(char *out, size_t cap)
{
    static const char *const places[] = { "/simgpu/", "/../lib/vramguard/simgpu/",
                                          "/../lib/" TRIPLET "/vramguard/simgpu/", NULL };
    const int error = find_beside(places, "libcuda.so.1", out, cap);
    if (!error)
        *strrchr(out, '/') = '\0';
    return error;
}

/* The link's name tells what it leads to, so that several installations have one each. */
static int link_folder(int directory, const char *name, const char *folder)
{
    char before[VG_PATH_CAP];
    const ssize_t length = readlinkat(directory, name, before, sizeof before);
    if (length == (ssize_t)strlen(folder) && memcmp(before, folder, (size_t)length) == 0)
        return 0;
    unlinkat(directory, name, 0);
    return symlinkat(folder, directory, name) == 0 || errno == EEXIST ? 0 : -errno;
}

void vg_install_make_loadable(char *folder, size_t cap)
{
    char name[32], directory_path[512];
    const int directory = strpbrk(folder, VG_LOADER_SEPARATORS) ? vg_shared_directory() : -1;
    if (directory < 0)
        return;
    snprintf(name, sizeof name, "at-%08" PRIx32, vg_hash_fnv1a(folder, strlen(folder)));
    vg_shared_directory_path(directory_path, sizeof directory_path);
    if (link_folder(directory, name, folder) == 0)
        snprintf(folder, cap, "%s/%s", directory_path, name);
    close(directory);
}

int vg_install_loadable_library(char *out, size_t cap)
{
    static const char name[] = "/libvramguard.so";
    const int error = vg_install_library(out, cap);
    if (error)
        return error;
    out[strlen(out) - (sizeof name - 1)] = '\0';
    vg_install_make_loadable(out, cap - sizeof name);
    strcat(out, name);
    return 0;
}

void vg_install_report_missing(const char *who, const char *name)
{
    char folder[VG_PATH_CAP];
    const int error = own_folder(folder, sizeof folder);
    vg_complain(who, "cannot find %s beside this program (%s)", name,
                error ? "/proc is not mounted" : folder);
}
