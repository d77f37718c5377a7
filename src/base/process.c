#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/size.h"
#include "base/text.h"

const char *vg_process_proc_root = "/proc";

ssize_t vg_process_read_file(const char *path, char *out, size_t cap)
{
    out[0] = '\0';
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return -errno;
    size_t length = 0;
    while (length < cap - 1) {
        const ssize_t got = read(fd, out + length, cap - 1 - length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            const int error = errno;
            close(fd);
            return -error;
        }
        if (got == 0)
            break;
        length += (size_t)got;
    }
    close(fd);
    out[length] = '\0';
    return (ssize_t)length;
}

static ssize_t read_proc(pid_t pid, const char *name, char *out, size_t cap)
{
    char path[256];
    if (pid > 0)
        snprintf(path, sizeof path, "%s/%d/%s", vg_process_proc_root, (int)pid, name);
    else
        snprintf(path, sizeof path, "%s/self/%s", vg_process_proc_root, name);
    return vg_process_read_file(path, out, cap);
}

int vg_process_identify(pid_t pid, struct vg_process_id *out)
{
    char stat_line[1024];
    const ssize_t length = read_proc(pid, "stat", stat_line, sizeof stat_line);
    if (length == -ENOENT || length == -ESRCH)
        return -ESRCH;
    if (length < 0)
        return (int)length;
    /* "pid (comm) S ppid ...": the name may contain spaces and parentheses, so search from the
     * end of it (proc(5)). */
    const char *p = strrchr(stat_line, ')');
    if (!p || p[1] != ' ' || p[2] == '\0')
        return -EBADMSG;
    p += 2;
    const bool ended = *p == 'Z' || *p == 'X' || *p == 'x';
    for (int field = 3; field < 22; field++) {
        /* A "zombie" with more threads has only lost its main thread. */
        if (field == 20 && ended && strtoull(p, NULL, 10) <= 1)
            return -ESRCH;
        p = strchr(p, ' ');
        if (!p)
            return -EBADMSG;
        p++;
    }
    *out = (struct vg_process_id){ .pid = pid > 0 ? pid : getpid(),
                                   .start_ticks = strtoull(p, NULL, 10) };
    return 0;
}

bool vg_process_alive(const struct vg_process_id *id)
{
    struct vg_process_id now;
    if (id->pid <= 0 || vg_process_identify(id->pid, &now) != 0)
        return false;
    return id->start_ticks == 0 || id->start_ticks == now.start_ticks;
}

uint64_t vg_process_owner(const struct vg_process_id *id)
{
    return (uint64_t)(uint32_t)id->pid << 32 | (uint32_t)id->start_ticks;
}

uint64_t vg_process_owner_self(void)
{
    static _Atomic uint64_t remembered; /* a forked child finds its parent's */
    const pid_t pid = getpid();
    uint64_t owner = remembered;
    struct vg_process_id id;
    if (vg_process_owner_pid(owner) == pid)
        return owner;
    if (vg_process_identify(0, &id) != 0)
        return 0;
    remembered = owner = vg_process_owner(&id);
    return owner;
}

bool vg_process_owner_alive(uint64_t owner)
{
    struct vg_process_id id;
    const int error = vg_process_identify(vg_process_owner_pid(owner), &id);
    return error ? error != -ESRCH : vg_process_owner(&id) == owner;
}

int vg_process_command(pid_t pid, char *out, size_t cap)
{
    char raw[1536]; /* stacks can be small, and a thousand characters are enough to know it by */
    out[0] = '\0';
    ssize_t length = read_proc(pid, "cmdline", raw, sizeof raw);
    if (length < 0)
        return (int)length;
    while (length > 0 && raw[length - 1] == '\0')
        length--;
    if (length > 0) {
        for (ssize_t i = 0; i < length; i++)
            if (raw[i] == '\0')
                raw[i] = ' ';
        vg_text_sanitize(out, cap, raw, (size_t)length);
        return 0;
    }
    char name[64];
    length = read_proc(pid, "comm", name, sizeof name);
    if (length < 0)
        return (int)length;
    if (length > 0 && name[length - 1] == '\n')
        length--;
    char bracketed[sizeof name + 2];
    const int n = snprintf(bracketed, sizeof bracketed, "[%.*s]", (int)length, name);
    vg_text_sanitize(out, cap, bracketed, (size_t)n);
    return 0;
}

int vg_process_uid(pid_t pid, uid_t *out_uid)
{
    char path[256];
    struct stat status;
    snprintf(path, sizeof path, "%s/%d", vg_process_proc_root, (int)pid);
    if (stat(path, &status) != 0)
        return -errno;
    *out_uid = status.st_uid;
    return 0;
}

void vg_process_exe_name(char *out, size_t cap)
{
    char path[1024], link[256];
    snprintf(link, sizeof link, "%s/self/exe", vg_process_proc_root);
    const ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) {
        snprintf(out, cap, "unknown");
        return;
    }
    path[length] = '\0';
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    vg_text_sanitize(out, cap, name, strlen(name));
}

/* Value of "<key>  <number> kB" in the text of /proc/meminfo, in bytes. */
static uint64_t meminfo_value(const char *text, const char *key)
{
    const char *at = strstr(text, key);
    if (!at)
        return VG_BYTES_UNKNOWN;
    return strtoull(at + strlen(key), NULL, 10) * 1024;
}

void vg_process_host_memory(uint64_t *out_total_bytes, uint64_t *out_available_bytes)
{
    char text[512], path[256]; /* the two values are in the first lines */
    *out_total_bytes = *out_available_bytes = VG_BYTES_UNKNOWN;
    snprintf(path, sizeof path, "%s/meminfo", vg_process_proc_root);
    if (vg_process_read_file(path, text, sizeof text) <= 0)
        return;
    *out_total_bytes = meminfo_value(text, "MemTotal:");
    *out_available_bytes = meminfo_value(text, "MemAvailable:");
}

static uint64_t read_bytes_file(const char *directory, const char *name)
{
    char path[1024], text[64];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    if (vg_process_read_file(path, text, sizeof text) <= 0 || text[0] < '0' || text[0] > '9')
        return VG_BYTES_UNKNOWN; /* absent, or "max" */
    return strtoull(text, NULL, 10);
}

void vg_process_cgroup_memory(uint64_t *out_limit_bytes, uint64_t *out_used_bytes)
{
    *out_limit_bytes = *out_used_bytes = VG_BYTES_UNKNOWN;
    char text[1024], directory[768];
    if (read_proc(0, "cgroup", text, sizeof text) <= 0)
        return;
    /* cgroups(7): "0::/path" is the v2 hierarchy, "N:...memory...:/path" v1's. */
    const char *limit_name = "memory.max", *used_name = "memory.current";
    const char *mount = "/sys/fs/cgroup";
    char *path = strstr(text, "0::/");
    if (path)
        path += strlen("0::");
    char *v1 = strstr(text, ":memory:/");
    if (v1) {
        path = v1 + strlen(":memory:");
        mount = "/sys/fs/cgroup/memory";
        limit_name = "memory.limit_in_bytes";
        used_name = "memory.usage_in_bytes";
    }
    if (!path)
        return;
    path[strcspn(path, "\n")] = '\0';
    /* The tightest limit on the way up counts; inside a container the path may not exist, and the
     * mount's root is then the container's own group. */
    for (;;) {
        snprintf(directory, sizeof directory, "%s%s", mount, path);
        const uint64_t limit = read_bytes_file(directory, limit_name);
        if (limit < *out_limit_bytes && limit < (UINT64_C(1) << 60)) { /* v1 "none" is 2^63 - 1 */
            *out_limit_bytes = limit;
            *out_used_bytes = read_bytes_file(directory, used_name);
        }
        char *slash = strrchr(path, '/');
        if (!slash || !*path)
            return;
        *slash = '\0';
    }
}
