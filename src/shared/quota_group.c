/* Who shares a limit: the processes below the topmost one that was started under it, and whether
 * all of them are within reach: an account lies in an IPC namespace, and processes are known by the
 * pids of a pid namespace (namespaces(7)). */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cancellation.h"
#include "os/process.h"
#include "shared/shared_quota.h"

enum {
    STAT_PARENT = 4,     /* field of /proc/PID/stat (proc(5)) */
    ANCESTORS_MAX = 256, /* more are a loop: /proc changes while it is read */
    ENTRY_CAP = 1200, /* longest entry of an environment that is looked at; others do not match */
};

/* The entries of an environment, put together from pieces. */
struct entry {
    char text[ENTRY_CAP];
    size_t length; /* ENTRY_CAP: too long */
};

struct wanted {
    const char *limit; /* value of VRAMGUARD_LIMIT */
    bool has_limit, has_scope;
};

static bool has_value(const struct entry *entry, const char *name, const char *value)
{
    const size_t length = strlen(name);
    return strncmp(entry->text, name, length) == 0 && strcmp(entry->text + length, value) == 0;
}

static void take_entry(struct entry *entry, struct wanted *wanted)
{
    if (entry->length < sizeof entry->text) {
        entry->text[entry->length] = '\0';
        wanted->has_limit |= has_value(entry, "VRAMGUARD_LIMIT=", wanted->limit);
        wanted->has_scope |= has_value(entry, "VRAMGUARD_LIMIT_SCOPE=", "shared");
    }
    entry->length = 0;
}

static void take_bytes(struct entry *entry, const char *bytes, size_t count, struct wanted *wanted)
{
    for (size_t i = 0; i < count; i++) {
        if (bytes[i] == '\0')
            take_entry(entry, wanted);
        else if (entry->length < sizeof entry->text)
            entry->text[entry->length++] = bytes[i];
    }
}

/* Was `pid` started under the limit? False when we may not know: another user's process. */
static bool started_under(pid_t pid, const char *limit)
{
    char path[256], piece[512]; /* stacks can be small */
    struct wanted wanted = { .limit = limit };
    struct entry entry;
    entry.length = 0;
    snprintf(path, sizeof path, "%s/%d/environ", vg_process_proc_root, (int)pid);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    for (;;) {
        const ssize_t got = read(fd, piece, sizeof piece);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        take_bytes(&entry, piece, (size_t)got, &wanted);
    }
    close(fd);
    take_entry(&entry, &wanted); /* the last one may lack its end */
    return wanted.has_limit && wanted.has_scope;
}

/* Where the account of the group is: the namespaces of the process that it is named after. */
struct home {
    uint64_t pid_namespace, ipc_namespace; /* inodes, 0 unknown */
    bool has_end; /* processes outside of this pid namespace may have been started under it, too */
};

static uint64_t ipc_namespace_of(pid_t pid)
{
    char path[256];
    struct stat status;
    snprintf(path, sizeof path, "%s/%d/ns/ipc", vg_process_proc_root, (int)pid);
    return stat(path, &status) == 0 ? status.st_ino : 0;
}

static uint64_t find_group(const char *limit, struct home *home)
{
    struct vg_process_id leader = { .pid = getpid() }, id;
    uint64_t parent = (uint64_t)getpid(), top = parent;
    vg_process_identify(0, &leader);
    for (int i = 0; i < ANCESTORS_MAX; i++) {
        if (vg_process_stat((pid_t)parent, STAT_PARENT, &parent) != 0 || parent == 0)
            break;
        top = parent;
        if (started_under((pid_t)parent, limit) && vg_process_identify((pid_t)parent, &id) == 0)
            leader = id;
    }
    home->pid_namespace = vg_process_pid_namespace();
    home->ipc_namespace = ipc_namespace_of(leader.pid);
    home->has_end = home->pid_namespace != VG_PROCESS_FIRST_PID_NAMESPACE && parent == 0 &&
                    (uint64_t)leader.pid == top;
    return vg_process_owner(&leader);
}

static _Atomic uint64_t known_group;
static struct home known_home; /* any thread finds the same */

uint64_t vg_quota_group(const char *limit_text)
{
    uint64_t known = atomic_load(&known_group);
    if (known)
        return known;
    const int saved_errno = errno;
    struct home home;
    vg_cancellation_hold();
    const uint64_t found = find_group(limit_text, &home);
    vg_cancellation_release();
    errno = saved_errno;
    /* Another thread may have looked at another moment, when an ancestor was just ending. */
    if (!atomic_compare_exchange_strong(&known_group, &known, found))
        return known;
    known_home = home;
    return found;
}

enum vg_quota_reach vg_quota_group_reach(void)
{
    const int saved_errno = errno;
    const uint64_t ipc_namespace = ipc_namespace_of(getpid());
    const bool moved = known_home.pid_namespace != vg_process_pid_namespace();
    errno = saved_errno;
    if (known_home.has_end || moved)
        return VG_QUOTA_PID_NAMESPACE;
    return known_home.ipc_namespace && ipc_namespace && known_home.ipc_namespace != ipc_namespace
               ? VG_QUOTA_IPC_NAMESPACE
               : VG_QUOTA_WHOLE;
}
