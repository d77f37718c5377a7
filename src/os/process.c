#include "os/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cancellation.h"
#include "base/hashing.h"
#include "base/read_fully.h"
#include "base/size.h"
#include "base/text.h"

const char *vg_process_proc_root = "/proc";
const char *vg_process_cgroup_root = "/sys/fs/cgroup";

static ssize_t read_file(const char *path, char *out, size_t cap)
{
    out[0] = '\0';
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return -errno;
    const ssize_t length = vg_read_fully(fd, out, cap - 1);
    close(fd);
    out[length > 0 ? length : 0] = '\0';
    return length;
}

ssize_t vg_process_read_file(const char *path, char *out, size_t cap)
{
    vg_cancellation_hold();
    const ssize_t length = read_file(path, out, cap);
    vg_cancellation_release();
    return length;
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

/* Does the kernel know of no process of this pid? errno is kept. */
static bool is_unknown(pid_t pid)
{
    const int saved_errno = errno;
    const bool unknown = kill(pid, 0) != 0 && errno == ESRCH;
    errno = saved_errno;
    return unknown;
}

/* Does /proc show the processes that this one sees? It is that of another pid namespace where one
 * was made without a /proc of its own: then its pids are others. */
static bool proc_is_ours(void)
{
    char stat_line[64];
    return read_proc(0, "stat", stat_line, sizeof stat_line) > 0 &&
           strtol(stat_line, NULL, 10) == getpid();
}

/* Like vg_process_identify; `out_state` is the letter of proc(5), of the main thread. */
static int identify_with_state(pid_t pid, struct vg_process_id *out, char *out_state)
{
    char stat_line[1024];
    const ssize_t length = read_proc(pid, "stat", stat_line, sizeof stat_line);
    /* Not shown: gone, unless /proc is not there either (chroot(2)) or hides it (hidepid). */
    if (length == -ENOENT && (pid <= 0 || !is_unknown(pid)))
        return -ENOENT;
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
    *out_state = *p;
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

int vg_process_identify(pid_t pid, struct vg_process_id *out)
{
    char state;
    return identify_with_state(pid, out, &state);
}

int vg_process_stat(pid_t pid, unsigned field, uint64_t *out)
{
    char stat_line[1024];
    const ssize_t length = read_proc(pid, "stat", stat_line, sizeof stat_line);
    if (length < 0)
        return length == -ENOENT ? -ESRCH : (int)length;
    const char *p = strrchr(stat_line, ')'); /* field 2 ends there */
    for (unsigned at = 2; p && at < field; at++)
        p = strchr(p + 1, ' ');
    if (!p || p[1] < '0' || p[1] > '9')
        return -EBADMSG;
    *out = strtoull(p + 1, NULL, 10);
    return 0;
}

/* ---- owner words ---- */

enum { TICK_BITS = 26, PID_BITS = 22, NAMESPACE_SHIFT = TICK_BITS + PID_BITS };
#define TICKS_MASK ((UINT64_C(1) << TICK_BITS) - 1)
#define PID_MASK   ((UINT64_C(1) << PID_BITS) - 1)

static _Atomic uint64_t own_owner; /* a forked child finds its parent's */

static pid_t pid_in(uint64_t owner)
{
    return (pid_t)(owner >> TICK_BITS & PID_MASK);
}

/* 0: the machine's own, or unknown. Two containers have the same number once in 32,767 times, and
 * are confused then only where a pid and a start time are the same, too. */
static uint64_t namespace_number(void)
{
    const uint64_t inode = vg_process_pid_namespace();
    return inode == 0 || inode == VG_PROCESS_FIRST_PID_NAMESPACE
               ? 0
               : 1 + vg_hash_u64(inode) % INT16_MAX;
}

static uint64_t make_owner(uint64_t number, const struct vg_process_id *id)
{
    return number << NAMESPACE_SHIFT | ((uint64_t)id->pid & PID_MASK) << TICK_BITS |
           (id->start_ticks & TICKS_MASK);
}

uint64_t vg_process_owner(const struct vg_process_id *id)
{
    const uint64_t own = own_owner;
    return make_owner(pid_in(own) == getpid() ? own >> NAMESPACE_SHIFT : namespace_number(), id);
}

uint64_t vg_process_owner_self(void)
{
    struct vg_process_id id;
    uint64_t owner = own_owner;
    if (owner != 0 && pid_in(owner) == getpid())
        return owner;
    if (vg_process_identify(0, &id) != 0)
        return 0;
    own_owner = owner = make_owner(namespace_number(), &id);
    return owner;
}

bool vg_process_owner_is_elsewhere(uint64_t owner)
{
    const uint64_t own = vg_process_owner_self();
    return own != 0 && (own ^ owner) >> NAMESPACE_SHIFT != 0;
}

pid_t vg_process_owner_pid(uint64_t owner)
{
    return vg_process_owner_is_elsewhere(owner) ? VG_PROCESS_ELSEWHERE : pid_in(owner);
}

/* Most of those asked for are gone, hundreds of them after many kills: that is told without a look
 * into /proc. */
static enum vg_process_activity activity_of(pid_t pid, uint64_t start_ticks, uint64_t ticks_mask)
{
    struct vg_process_id now;
    char state;
    if (pid <= 0 || is_unknown(pid))
        return VG_PROCESS_GONE;
    const int error = identify_with_state(pid, &now, &state);
    if (error == -ESRCH || (!error && ((now.start_ticks ^ start_ticks) & ticks_mask) != 0))
        return proc_is_ours() ? VG_PROCESS_GONE : VG_PROCESS_RUNS;
    return !error && (state == 'T' || state == 't') ? VG_PROCESS_STOPPED : VG_PROCESS_RUNS;
}

bool vg_process_alive(const struct vg_process_id *id)
{
    const uint64_t mask = id->start_ticks ? UINT64_MAX : 0;
    return activity_of(id->pid, id->start_ticks, mask) != VG_PROCESS_GONE;
}

enum vg_process_activity vg_process_owner_activity(uint64_t owner)
{
    return vg_process_owner_is_elsewhere(owner) ? VG_PROCESS_RUNS
                                                : activity_of(pid_in(owner), owner, TICKS_MASK);
}

uint64_t vg_process_pid_namespace(void)
{
    struct stat status;
    const int saved_errno = errno;
    const bool known = stat("/proc/self/ns/pid", &status) == 0;
    errno = saved_errno;
    return known ? status.st_ino : 0;
}

uint64_t vg_process_image(pid_t pid)
{
    enum { STAT_START_STACK = 28 };
    uint64_t start_stack;
    return vg_process_stat(pid, STAT_START_STACK, &start_stack) == 0 ? start_stack : 0;
}

bool vg_process_has_image(pid_t pid, uint64_t image)
{
    const uint64_t now = image ? vg_process_image(pid) : 0;
    return now == image || now == 0 || !proc_is_ours();
}

enum vg_process_activity vg_process_thread_activity(uint64_t owner, uint32_t thread, uint64_t image)
{
    const enum vg_process_activity activity = vg_process_owner_activity(owner);
    const int saved_errno = errno;
    const pid_t pid = vg_process_owner_pid(owner);
    if (activity == VG_PROCESS_GONE || pid == VG_PROCESS_ELSEWHERE)
        return activity;
    const bool has_thread = syscall(SYS_tgkill, pid, (pid_t)thread, 0) == 0 || errno != ESRCH;
    errno = saved_errno;
    return has_thread && vg_process_has_image(pid, image) ? activity : VG_PROCESS_GONE;
}

bool vg_process_owner_alive(uint64_t owner)
{
    return vg_process_owner_activity(owner) != VG_PROCESS_GONE;
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
    const char *const name = vg_text_base_name(path);
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

/* A memory control group of this process, and the way up from it. */
struct cgroup {
    char text[1024];
    char *path; /* in `text`, of this group: "/a/b", then "/a", then "" */
    bool v1;
};

/* cgroups(7): "0::/path" is the v2 hierarchy, "N:...memory...:/path" v1's. */
static bool find_cgroup(struct cgroup *out)
{
    if (read_proc(0, "cgroup", out->text, sizeof out->text) <= 0)
        return false;
    out->path = strstr(out->text, "0::/");
    if (out->path)
        out->path += strlen("0::");
    char *const v1 = strstr(out->text, ":memory:/");
    out->v1 = v1 != NULL;
    if (v1)
        out->path = v1 + strlen(":memory:");
    if (!out->path)
        return false;
    out->path[strcspn(out->path, "\n")] = '\0';
    return true;
}

/* Inside a container the path may not exist, and the mount's root is then the container's own
 * group.
 */
static bool go_up(struct cgroup *group)
{
    char *const slash = strrchr(group->path, '/');
    if (!slash || !*group->path)
        return false;
    *slash = '\0';
    return true;
}

/* Reads the group's file of the name that its version of the interface has. Returns as
 * vg_process_read_file. */
static ssize_t read_cgroup_file(const struct cgroup *group, const char *v2_name,
                                const char *v1_name, char *out, size_t cap)
{
    char path[1536];
    snprintf(path, sizeof path, "%s%s%s/%s", vg_process_cgroup_root, group->v1 ? "/memory" : "",
             group->path, group->v1 ? v1_name : v2_name);
    return vg_process_read_file(path, out, cap);
}

static uint64_t read_cgroup(const struct cgroup *group, const char *v2_name, const char *v1_name)
{
    char text[64];
    if (read_cgroup_file(group, v2_name, v1_name, text, sizeof text) <= 0 || text[0] < '0' ||
        text[0] > '9')
        return VG_BYTES_UNKNOWN; /* absent, or "max" */
    return strtoull(text, NULL, 10);
}

/* VG_BYTES_UNKNOWN when there is none; v1's "none" is 2^63 - 1, rounded down to pages. */
static uint64_t cgroup_limit(const struct cgroup *group)
{
    const uint64_t limit = read_cgroup(group, "memory.max", "memory.limit_in_bytes");
    return limit < (UINT64_C(1) << 60) ? limit : VG_BYTES_UNKNOWN;
}

static uint64_t cgroup_used(const struct cgroup *group)
{
    return read_cgroup(group, "memory.current", "memory.usage_in_bytes");
}

void vg_process_cgroup_memory(uint64_t *out_limit_bytes, uint64_t *out_used_bytes)
{
    struct cgroup group;
    *out_limit_bytes = *out_used_bytes = VG_BYTES_UNKNOWN;
    if (!find_cgroup(&group))
        return;
    do { /* the tightest limit on the way up counts */
        const uint64_t limit = cgroup_limit(&group);
        if (limit < *out_limit_bytes) {
            *out_limit_bytes = limit;
            *out_used_bytes = cgroup_used(&group);
        }
    } while (go_up(&group));
}

/* Value of a line "<key> <number>" of the group's memory.stat, 0 when it is not there. */
static uint64_t stat_value(const char *text, const char *key)
{
    const size_t length = strlen(key);
    for (const char *at = text; at && *at; at = strchr(at, '\n'), at += at != NULL)
        if (strncmp(at, key, length) == 0 && at[length] == ' ')
            return strtoull(at + length, NULL, 10);
    return 0;
}

/* Files that are cached in the group's name: the kernel drops them when memory is wanted. */
static uint64_t cgroup_cached(const struct cgroup *group)
{
    char text[2048]; /* v2's first lines, and all of v1's; stacks may be small */
    if (read_cgroup_file(group, "memory.stat", "memory.stat", text, sizeof text) <= 0)
        return 0;
    const char *const prefix = group->v1 ? "total_" : ""; /* of v1: with the groups below */
    char inactive[32], active[32];
    snprintf(inactive, sizeof inactive, "%sinactive_file", prefix);
    snprintf(active, sizeof active, "%sactive_file", prefix);
    return stat_value(text, inactive) + stat_value(text, active);
}

uint64_t vg_process_cgroup_room(uint64_t (*keep)(uint64_t limit_bytes))
{
    struct cgroup group;
    uint64_t room = VG_BYTES_UNKNOWN;
    if (!find_cgroup(&group))
        return room;
    do {
        const uint64_t limit = cgroup_limit(&group);
        const uint64_t used = limit == VG_BYTES_UNKNOWN ? limit : cgroup_used(&group);
        if (used == VG_BYTES_UNKNOWN)
            continue;
        const uint64_t cached = cgroup_cached(&group);
        const uint64_t taken = (used > cached ? used - cached : 0) + keep(limit);
        const uint64_t here = limit > taken ? limit - taken : 0;
        room = here < room ? here : room;
    } while (go_up(&group));
    return room;
}
