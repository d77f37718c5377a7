/* How processes belong together: who started whom, and which are parts of one job. From /proc; what
 * another user's processes do not show is not known. Any thread, no locks, no malloc. */
#ifndef VRAMGUARD_OS_FAMILY_H
#define VRAMGUARD_OS_FAMILY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { VG_FAMILY_WORD_CAP = 64, VG_FAMILY_DEPTH = 32 };

/* What this process is compared by; read once for many questions. */
struct vg_family {
    pid_t self, parent;
    uint32_t ancestor_count;
    pid_t ancestors[VG_FAMILY_DEPTH]; /* the parent first; without process 1 */
    int32_t rank, world_size;         /* RANK and WORLD_SIZE of the environment; -1 not set */
    uint64_t command_hash;            /* of the command line; 0 unknown */
    uint64_t job_hash; /* of the variables that are the same for all ranks of a job; 0: in none */
};

/* Reads what is known of the calling process. Never fails: what cannot be read stays unknown. */
void vg_family_read_self(struct vg_family *out);

/* The same without those that started it: parent and ancestors are 0 and none. */
void vg_family_read_job(struct vg_family *out);

enum vg_relation {
    VG_RELATION_NONE,
    VG_RELATION_PARENT, /* it started this process, or the one that did, and so on */
    VG_RELATION_CHILD,  /* this process started it, or the one that did */
    VG_RELATION_JOB,    /* another rank of the same distributed job, or another worker process that
                           Python's multiprocessing has started for the same parent */
};

/* What `pid` is to the process that `self` was read for. `out_rank`: its rank in a distributed job,
 * -1 if it is in none. Reads some small files of /proc. */
enum vg_relation vg_family_relation(const struct vg_family *self, pid_t pid, int32_t *out_rank);

/* Has the process that started `pid` ended before it, and left it behind: has it a parent that only
 * collects such processes, and is it in a process group whose leader is gone, or one that Python's
 * multiprocessing has started? A program that was started
 * in the background of a shell leads its own group: it is none. */
bool vg_family_is_orphan(pid_t pid);

#endif
