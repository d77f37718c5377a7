#include "os/family.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hashing.h"
#include "os/process.h"

enum { FIELD_PARENT = 4, FIELD_GROUP = 5, ENVIRONMENT_BYTES = 1 << 20 };

/* ---- the environment ---- */

/* Those that launchers set alike for all ranks of one job (base/launcher_table.h says which). A
 * step of Slurm is one job; an allocation may run several. */
static const char *const shared_names[] = {
    "MASTER_ADDR",   "MASTER_PORT",    "TORCHELASTIC_RUN_ID",    "SLURM_JOB_ID",
    "SLURM_STEP_ID", "PMIX_NAMESPACE", "OMPI_MCA_ess_base_jobid"
};
static const char *const rank_names[] = {
#define VG_LAUNCHER(rank, size) #rank,
#include "base/launcher_table.h"
#undef VG_LAUNCHER
};
static const char *const size_names[] = {
#define VG_LAUNCHER(rank, size) #size,
#include "base/launcher_table.h"
#undef VG_LAUNCHER
};

#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

enum { RANKS = COUNT_OF(rank_names), SHARED = COUNT_OF(shared_names) };

struct job_words {
    int32_t ranks[RANKS], sizes[RANKS]; /* -1 not set */
    uint64_t shared[SHARED];            /* hashes, 0 not set */
};

static uint64_t hash_text(const char *text, size_t length)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < length; i++)
        hash = vg_hash_u64(hash ^ (unsigned char)text[i]);
    return hash ? hash : 1;
}

/* The value in "NAME=value" if that is its name, else NULL. */
static const char *value_of(const char *entry, const char *name)
{
    const size_t length = strlen(name);
    return strncmp(entry, name, length) == 0 && entry[length] == '=' ? entry + length + 1 : NULL;
}

static int32_t read_number(const char *text)
{
    char *end;
    const long number = strtol(text, &end, 10);
    return end == text || *end || number < 0 || number > INT32_MAX ? -1 : (int32_t)number;
}

static void note_entry(const char *entry, struct job_words *out)
{
    const char *value;
    for (size_t i = 0; i < RANKS; i++) {
        if ((value = value_of(entry, rank_names[i])))
            out->ranks[i] = read_number(value);
        if ((value = value_of(entry, size_names[i])))
            out->sizes[i] = read_number(value);
    }
    for (size_t i = 0; i < SHARED; i++)
        if ((value = value_of(entry, shared_names[i])))
            out->shared[i] = hash_text(value, strlen(value));
}

static int open_proc(pid_t pid, const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%d/%s", vg_process_proc_root, (int)pid, name);
    return open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
}

/* Reads the environment that `pid` was started with; entries longer than a piece are passed over.
 */
static void read_job_words(pid_t pid, struct job_words *out)
{
    char piece[4096 + 1];
    size_t used = 0;
    bool skipping = false;
    for (size_t i = 0; i < RANKS; i++)
        out->ranks[i] = out->sizes[i] = -1;
    memset(out->shared, 0, sizeof out->shared);
    const int fd = open_proc(pid, "environ");
    for (size_t total = 0; fd >= 0 && total < ENVIRONMENT_BYTES;) {
        const ssize_t got = read(fd, piece + used, sizeof piece - 1 - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        total += (size_t)got;
        used += (size_t)got;
        size_t at = 0;
        for (char *end; (end = memchr(piece + at, '\0', used - at));
             at = (size_t)(end - piece) + 1) {
            if (!skipping)
                note_entry(piece + at, out);
            skipping = false;
        }
        memmove(piece, piece + at, used - at);
        used -= at;
        if (used == sizeof piece - 1) {
            skipping = true;
            used = 0;
        }
    }
    if (fd >= 0)
        close(fd);
}

/* Of a job of several ranks: what all of them share, its variables or else the command; 0: it is in
 * none. */
static uint64_t hash_job(const struct job_words *words, uint64_t command_hash, int32_t *out_rank,
                         int32_t *out_size)
{
    uint64_t shared = 0;
    *out_rank = *out_size = -1;
    for (size_t i = 0; i < RANKS && *out_rank < 0; i++) {
        if (words->sizes[i] < 2 || words->ranks[i] < 0)
            continue;
        *out_rank = words->ranks[i];
        *out_size = words->sizes[i];
    }
    if (*out_rank < 0)
        return 0;
    for (size_t i = 0; i < SHARED; i++)
        shared = words->shared[i] ? vg_hash_u64(shared ^ words->shared[i] ^ i << 56) : shared;
    const uint64_t hash = vg_hash_u64((shared ? shared : command_hash) ^ (uint64_t)*out_size << 40);
    return hash ? hash : 1;
}

/* ---- who started whom ---- */

static pid_t parent_of(pid_t pid)
{
    uint64_t parent = 0;
    return vg_process_stat(pid, FIELD_PARENT, &parent) == 0 ? (pid_t)parent : 0;
}

static uint64_t hash_command(pid_t pid)
{
    char command[1024];
    if (vg_process_command(pid, command, sizeof command) != 0 || !command[0])
        return 0;
    return hash_text(command, strlen(command));
}

void vg_family_read_job(struct vg_family *out)
{
    struct job_words words;
    *out = (struct vg_family){ .self = getpid() };
    read_job_words(out->self, &words);
    out->command_hash = hash_command(out->self);
    out->job_hash = hash_job(&words, out->command_hash, &out->rank, &out->world_size);
}

void vg_family_read_self(struct vg_family *out)
{
    vg_family_read_job(out);
    out->parent = parent_of(out->self);
    for (pid_t at = out->parent; at > 1 && out->ancestor_count < VG_FAMILY_DEPTH;
         at = parent_of(at))
        out->ancestors[out->ancestor_count++] = at;
}

static bool is_ancestor(const struct vg_family *self, pid_t pid)
{
    for (uint32_t i = 0; i < self->ancestor_count; i++)
        if (self->ancestors[i] == pid)
            return true;
    return false;
}

/* Is a process whose parent is `parent` below this one? Not above a common ancestor. */
static bool is_descendant(const struct vg_family *self, pid_t parent)
{
    pid_t at = parent;
    for (int depth = 0; at > 1 && depth < VG_FAMILY_DEPTH; depth++, at = parent_of(at)) {
        if (at == self->self)
            return true;
        if (is_ancestor(self, at))
            return false;
    }
    return false;
}

static bool is_multiprocessing_command(pid_t pid)
{
    char command[1024];
    return vg_process_command(pid, command, sizeof command) == 0 &&
           (strstr(command, "multiprocessing.spawn") ||
            strstr(command, "multiprocessing.forkserver"));
}

/* A process that Python's multiprocessing has made: with the method spawn or forkserver its command
 * says so, with fork it has the command of who forked it. */
static bool is_multiprocessing_worker(pid_t pid, pid_t parent)
{
    char command[1024];
    if (is_multiprocessing_command(pid))
        return true;
    if (vg_process_command(pid, command, sizeof command) != 0)
        return false;
    const uint64_t own = hash_command(pid);
    return strstr(command, "python") && own != 0 && own == hash_command(parent);
}

enum vg_relation vg_family_relation(const struct vg_family *self, pid_t pid, int32_t *out_rank)
{
    struct job_words words;
    int32_t size;
    read_job_words(pid, &words);
    const uint64_t job_hash = hash_job(&words, hash_command(pid), out_rank, &size);
    if (is_ancestor(self, pid))
        return VG_RELATION_PARENT;
    const pid_t parent = parent_of(pid);
    if (is_descendant(self, parent))
        return VG_RELATION_CHILD;
    if (job_hash != 0 && job_hash == self->job_hash && *out_rank != self->rank)
        return VG_RELATION_JOB;
    if (self->parent > 1 && parent == self->parent &&
        is_multiprocessing_worker(pid, self->parent) &&
        is_multiprocessing_worker(self->self, self->parent))
        return VG_RELATION_JOB;
    return VG_RELATION_NONE;
}

/* Process 1, and what systemd and container runtimes put in its place: a parent that leads its own
 * session and is no ancestor by choice cannot be told from others, so only these two are known. */
static bool collects_orphans(pid_t pid)
{
    char name[32] = "", path[256];
    if (pid == 1)
        return true;
    snprintf(path, sizeof path, "%s/%d/comm", vg_process_proc_root, (int)pid);
    vg_process_read_file(path, name, sizeof name);
    return strcmp(name, "systemd\n") == 0;
}

bool vg_family_is_orphan(pid_t pid)
{
    uint64_t group = 0;
    struct vg_process_id leader;
    const pid_t parent = parent_of(pid);
    if (parent == 0 || !collects_orphans(parent))
        return false;
    if (is_multiprocessing_command(pid)) /* who starts such a process stays its parent */
        return true;
    if (vg_process_stat(pid, FIELD_GROUP, &group) != 0 || group == 0)
        return false;
    return vg_process_identify((pid_t)group, &leader) == -ESRCH;
}
