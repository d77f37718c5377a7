/* Which rank of a distributed job has told of a failure in full: ranks fail together, and of the
 * same cause, so one report is enough. One file of all this user's jobs on this machine
 * (shared_file.h). */
#ifndef VRAMGUARD_SHARED_JOB_REPORTS_H
#define VRAMGUARD_SHARED_JOB_REPORTS_H

#include <stdbool.h>
#include <stdint.h>

/* A rank of a job, which tells of a failure. */
struct vg_job_rank {
    uint64_t job_hash;    /* not 0 */
    int32_t rank;         /* from 0 */
    uint64_t start_ticks; /* of the process, in clock ticks after boot as in /proc/PID/stat */
};

/* Clock ticks after boot now: sysconf(_SC_CLK_TCK) of them are a second (proc(5)). */
uint64_t vg_job_reports_now_ticks(void);

/* May `self` tell of the cause `cause_hash` in full at `now_ticks`? False when another rank has
 * since `self` was started, at most an hour ago; `*out_teller` is then that one's number. What was
 * told before is of an earlier run of the job. True also when it is not known: the file cannot be
 * had, or another job has taken the entry. No two ranks that ask at the same time get true. Any
 * thread, waits for nobody; errno is preserved. */
bool vg_job_reports_claim(const struct vg_job_rank *self, uint64_t cause_hash, uint64_t now_ticks,
                          int32_t *out_teller);

#endif
