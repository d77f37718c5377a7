#include "cli/reach.h"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/text.h"

#if defined __x86_64__
#define OWN_MACHINE EM_X86_64
#elif defined __aarch64__
#define OWN_MACHINE EM_AARCH64
#else
#error "which machine is this?"
#endif

enum { PATH_CAP = 4096, LINE_CAP = 256, SCRIPTS_MAX = 4 };

/* The file that execvp(3) would start: a name with a slash is a path, others are looked for in
 * PATH. */
static bool find_program(const char *command, char *out, size_t cap)
{
    const char *path = getenv("PATH");
    if (strchr(command, '/'))
        return (size_t)snprintf(out, cap, "%s", command) < cap;
    for (path = path ? path : "/bin:/usr/bin";; path++) {
        const size_t length = strcspn(path, ":");
        struct stat status;
        snprintf(out, cap, "%.*s%s%s", (int)length, path, length ? "/" : "", command);
        if (access(out, X_OK) == 0 && stat(out, &status) == 0 && S_ISREG(status.st_mode))
            return true;
        path += length;
        if (*path == '\0')
            return false;
    }
}

bool vg_reach_find(const char *command)
{
    char path[PATH_CAP];
    return find_program(command, path, sizeof path) && access(path, F_OK) == 0;
}

/* The interpreter of a script's first line; false when it is no script. */
static bool read_script(int fd, char *out, size_t cap)
{
    char line[LINE_CAP];
    const ssize_t length = pread(fd, line, sizeof line - 1, 0);
    if (length < 3 || line[0] != '#' || line[1] != '!')
        return false;
    line[length] = '\0';
    line[strcspn(line, "\n")] = '\0';
    const char *const start = line + 2 + strspn(line + 2, " \t");
    return (size_t)snprintf(out, cap, "%.*s", (int)strcspn(start, " \t"), start) < cap;
}

/* Does the kernel give this program rights that its user lacks? The loader then ignores LD_PRELOAD.
 * Mounts with nosuid and no_new_privs keep it from that. */
static bool is_privileged(int fd)
{
    struct stat status;
    struct statvfs mount;
    if (fstat(fd, &status) != 0 || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ||
        (fstatvfs(fd, &mount) == 0 && mount.f_flag & ST_NOSUID))
        return false;
    const bool set_gid = (status.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP);
    return (status.st_mode & S_ISUID && status.st_uid != getuid()) ||
           (set_gid && status.st_gid != getgid()) ||
           (getuid() != 0 && fgetxattr(fd, "security.capability", NULL, 0) > 0);
}

static void note_reason(struct vg_reach *out, const char *why)
{
    snprintf(out->why_not, sizeof out->why_not, "%s", why);
}

/* Its loader goes on without a library of another kind, after a line of its own for each. */
static void note_other_kind(struct vg_reach *out, const char *why)
{
    note_reason(out, why);
    out->must_not_preload = true;
}

/* By the name of the loader that the program asks for. */
static void inspect_interpreter(int fd, const ElfW(Phdr) * segment, struct vg_reach *out)
{
    char path[LINE_CAP] = "", shown[64];
    if (segment->p_filesz == 0 || segment->p_filesz >= sizeof path ||
        pread(fd, path, segment->p_filesz, (off_t)segment->p_offset) < 0)
        return;
    const char *const name = vg_text_base_name(path);
    if (vg_text_starts_with(name, "ld-linux") || vg_text_starts_with(name, "ld-2."))
        return;
    if (!vg_text_starts_with(name, "ld-musl"))
        return; /* a loader under another name: nothing is known of it */
    vg_text_sanitize(shown, sizeof shown, name, strlen(name));
    snprintf(out->why_not, sizeof out->why_not, "it uses another C library (%s) than glibc", shown);
    out->must_not_preload = true;
}

static void inspect_segments(int fd, const ElfW(Ehdr) * header, struct vg_reach *out)
{
    for (unsigned i = 0; i < header->e_phnum && i < 256; i++) {
        ElfW(Phdr) segment;
        const off_t at = (off_t)(header->e_phoff + i * sizeof segment);
        if (pread(fd, &segment, sizeof segment, at) != (ssize_t)sizeof segment)
            return;
        if (segment.p_type == PT_INTERP) {
            inspect_interpreter(fd, &segment, out);
            return;
        }
    }
    note_reason(out, "it is linked statically, and nothing can be preloaded into it");
}

static void inspect_elf(int fd, struct vg_reach *out)
{
    ElfW(Ehdr) header;
    if (pread(fd, &header, sizeof header, 0) < (ssize_t)sizeof(Elf32_Ehdr) ||
        memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
        return;
    if (header.e_ident[EI_CLASS] != ELFCLASS64)
        note_other_kind(out, "it is a 32-bit program, and vramguard has 64 bits");
    else if (header.e_machine != OWN_MACHINE)
        note_other_kind(out, "it is made for another kind of processor");
    else if (is_privileged(fd))
        note_reason(out,
                    "it runs with rights that its user lacks (setuid, setgid or file "
                    "capabilities), and the loader preloads nothing then");
    else
        inspect_segments(fd, &header, out);
}

void vg_reach_inspect(const char *command, struct vg_reach *out)
{
    char path[PATH_CAP], next[PATH_CAP];
    memset(out, 0, sizeof *out);
    if (!find_program(command, path, sizeof path))
        return;
    for (int depth = 0; depth < SCRIPTS_MAX; depth++) {
        const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (fd < 0)
            return;
        const bool script = read_script(fd, next, sizeof next);
        if (!script)
            inspect_elf(fd, out);
        close(fd);
        if (!script)
            return;
        memcpy(path, next, sizeof path);
    }
}
