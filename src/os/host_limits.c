#include "os/host_limits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/size.h"
#include "os/process.h"

enum { CAPABILITY_IPC_LOCK = 14 }; /* capabilities(7) */

static uint64_t soft_limit(__rlimit_resource_t resource)
{
    struct rlimit limit;
    if (getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return VG_BYTES_UNKNOWN;
    return limit.rlim_cur;
}

/* What stands behind "\nKEY:" in the text of /proc/self/status, NULL when it has no such line. */
static const char *status_line(const char *text, const char *key)
{
    char start[32];
    snprintf(start, sizeof start, "\n%s:", key);
    const char *const line = strstr(text, start);
    return line ? line + strlen(start) : NULL;
}

static uint64_t status_bytes(const char *text, const char *key)
{
    const char *const line = status_line(text, key);
    return line ? strtoull(line, NULL, 10) * VG_KIB : VG_BYTES_UNKNOWN;
}

static uint64_t nothing_kept(uint64_t limit_bytes)
{
    (void)limit_bytes;
    return 0;
}

void vg_host_limits_read(struct vg_host_limits *out)
{
    char path[256], status[4096];
    *out = (struct vg_host_limits){
        .locked_limit_bytes = soft_limit(RLIMIT_MEMLOCK),
        .address_limit_bytes = soft_limit(RLIMIT_AS),
        .locked_bytes = VG_BYTES_UNKNOWN,
        .address_bytes = VG_BYTES_UNKNOWN,
        .cgroup_room_bytes = vg_process_cgroup_room(nothing_kept),
    };
    vg_process_host_memory(&out->total_bytes, &out->available_bytes);
    snprintf(path, sizeof path, "%s/self/status", vg_process_proc_root);
    if (vg_process_read_file(path, status, sizeof status) <= 0)
        return;
    const uint64_t locked = status_bytes(status, "VmLck"), pinned = status_bytes(status, "VmPin");
    const char *const capabilities = status_line(status, "CapEff");
    out->address_bytes = status_bytes(status, "VmSize");
    if (locked != VG_BYTES_UNKNOWN)
        out->locked_bytes = locked + (pinned != VG_BYTES_UNKNOWN ? pinned : 0);
    out->lock_exempt =
        capabilities && ((strtoull(capabilities, NULL, 16) >> CAPABILITY_IPC_LOCK) & 1) != 0;
}
