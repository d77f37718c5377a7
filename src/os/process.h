/* Who a process is, from /proc. A pid alone is no identity: it is reused. Pid and start time are.
 */
#ifndef VRAMGUARD_OS_PROCESS_H
#define VRAMGUARD_OS_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Where procfs is mounted; tests point it at a directory with hostile content. */
extern const char *vg_process_proc_root;
/* Where control groups are mounted; v1's of memory in a folder of that name. */
extern const char *vg_process_cgroup_root;

struct vg_process_id {
    int32_t pid;
    uint32_t reserved;
    uint64_t start_ticks; /* clock ticks after boot, /proc/PID/stat field 22 (proc(5)); 0 unknown */
};

/* Reads the identity of `pid` (0: the caller). Returns 0, -ESRCH when there is no such process, or
 * another -errno when /proc cannot be read, -ENOENT where it is not or hides the process. A zombie
 * counts as gone: it holds no memory. */
int vg_process_identify(pid_t pid, struct vg_process_id *out);

/* Is the process with exactly this identity still alive? Unknown start times compare by pid. True
 * if that cannot be found out. */
bool vg_process_alive(const struct vg_process_id *id);

/* A process's identity in one word, for compare-and-swap in shared memory: 16 bits of the pid
 * namespace, 22 of the pid, as Linux has no larger ones, and the lowest 26 of the start time. The
 * highest bit is 0, and the word is never 0 for a process. `id` is of this pid namespace: who sees
 * the word in another one knows that the pid is none of its own. */
uint64_t vg_process_owner(const struct vg_process_id *id);

/* Is the word that of a process of another pid namespace, so that neither kill(2) nor /proc tells
 * of it? False where that of this process is not known. */
bool vg_process_owner_is_elsewhere(uint64_t owner);

/* The caller's own word; remembered, so that only the first call of a process reads /proc. 0 when
 * /proc cannot be read. */
uint64_t vg_process_owner_self(void);

enum vg_process_activity {
    VG_PROCESS_GONE,    /* a zombie is, too */
    VG_PROCESS_STOPPED, /* by a signal (SIGSTOP, Ctrl-Z) or a debugger: proc(5), states T and t */
    VG_PROCESS_RUNS,    /* or sleeps */
};

/* What the process of this word does. It runs if it is of another pid namespace (shared/alive.h
 * knows more) or that cannot be found out, when no descriptor is
 * left or there is no /proc, say: what belongs to a living process must not be taken from it. errno
 * is preserved if it is gone. */
enum vg_process_activity vg_process_owner_activity(uint64_t owner);

/* Is the process of this word not gone? */
bool vg_process_owner_alive(uint64_t owner);

/* Tells a process from the one that its exec made of it: where the image's stack begins, which the
 * kernel puts elsewhere in every image (proc(5), field 28 of /proc/PID/stat). `pid` 0: the caller.
 * 0 when it cannot be read. */
uint64_t vg_process_image(pid_t pid);

/* Has the process this image still? True if that cannot be found out; `image` 0 is unknown. */
bool vg_process_has_image(pid_t pid, uint64_t image);

/* The pid namespace of this process, in which the pids that it sees are (pid_namespaces(7)): the
 * inode of /proc/self/ns/pid. 0 when it cannot be told. */
uint64_t vg_process_pid_namespace(void);

/* That of the machine (PROC_PID_INIT_INO of linux/proc_ns.h). */
#define VG_PROCESS_FIRST_PID_NAMESPACE UINT64_C(0xEFFFFFFC)

/* What a thread of the process of this word does: as vg_process_owner_activity, but gone too when
 * the process runs and has no thread `thread` any more, or another `image` (0: unknown, which is no
 * reason). */
enum vg_process_activity vg_process_thread_activity(uint64_t owner, uint32_t thread,
                                                    uint64_t image);

/* Its pid, VG_PROCESS_ELSEWHERE when it is of another pid namespace. */
enum { VG_PROCESS_ELSEWHERE = -1 };
pid_t vg_process_owner_pid(uint64_t owner);

/* Reads numeric field `field` (4 to 52, proc(5)) of /proc/PID/stat of `pid` (0: the caller) into
 * `*out`. Returns 0, -ESRCH when there is no such process, or another -errno. What the reader may
 * not know the kernel shows as 0. */
int vg_process_stat(pid_t pid, unsigned field, uint64_t *out);

/* The command line of `pid` (0: the caller), arguments joined by spaces and made safe for a
 * terminal; the name in brackets when the command line is empty (kernel threads, zombies).
 * `out` has `cap` >= 1 bytes and is NUL terminated. Returns 0 or -errno (then `out` is ""). */
int vg_process_command(pid_t pid, char *out, size_t cap);

/* Owner of `pid`. Returns 0 or -errno. */
int vg_process_uid(pid_t pid, uid_t *out_uid);

/* Base name of this process's executable ("python3.11"), "unknown" when it cannot be read. */
void vg_process_exe_name(char *out, size_t cap);

/* Memory of the host in bytes: MemTotal and MemAvailable of /proc/meminfo (Linux >= 3.14).
 * Unreadable values become VG_BYTES_UNKNOWN. */
void vg_process_host_memory(uint64_t *out_total_bytes, uint64_t *out_available_bytes);

/* Limit and use of this process's memory control group (cgroup v2 memory.max/memory.current, or v1
 * memory.limit_in_bytes/usage_in_bytes), VG_BYTES_UNKNOWN when there is none or no limit. */
void vg_process_cgroup_memory(uint64_t *out_limit_bytes, uint64_t *out_used_bytes);

/* What this process's memory control groups let it take still: the smallest, over all groups up to
 * the root, of limit less use less `keep(limit)`; files that are only cached do not count as used.
 * VG_BYTES_UNKNOWN when no group has a limit. */
uint64_t vg_process_cgroup_room(uint64_t (*keep)(uint64_t limit_bytes));

/* Reads a small file whole: at most cap - 1 bytes, NUL terminated. Returns the length or -errno. */
ssize_t vg_process_read_file(const char *path, char *out, size_t cap);

#endif
