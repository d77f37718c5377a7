/* From stacks to sites: what is live is summed up by stack, stacks are put together by the place in
 * the program that they stand for, and places are ordered and named. The one home of all this, for
 * the live process, for run files and for the failures recorded in them. One thread at a time, no
 * malloc. */
#ifndef VRAMGUARD_ANALYZE_SITES_H
#define VRAMGUARD_ANALYZE_SITES_H

#include "analyze/stack_names.h"

/* What one stack has live, and has had. */
struct vg_stack_sum {
    uint64_t bytes, count;
    uint64_t oldest_ns, newest_ns;         /* ages */
    uint64_t oldest_count, newest_count;   /* the same in allocations; VG_COUNT_UNKNOWN */
    uint64_t allocation_count, free_count; /* VG_COUNT_UNKNOWN without counters */
    uint64_t peak_bytes, peak_count;
    uint32_t stack_id;
    uint32_t owner;                /* enum vg_run_owner */
    uint32_t made[VG_RUN_EIGHTHS]; /* by the eighth of the time since its site's oldest */
    uint32_t site;                 /* 1 + index of its site, once that is known */
};

/* Puts `count` sums of one level together into `out`, in no order; sets `site` of each. A sum
 * without anything live and without counters has no site. */
void vg_sites_group(struct vg_stack_names *names, enum vg_run_level level,
                    struct vg_stack_sum *sums, uint32_t count, struct vg_run_sites *out);

/* Once `made` of all sites is filled in: judges how they grew, finds their lines, and orders them:
 * largest first. Indices kept in sums are void afterwards. */
void vg_sites_order(struct vg_stack_names *names, struct vg_run_sites *sites);

/* Labels the first `count` sites, or as many as there are. Places without a line of the program's
 * that turn out to have the same label become one, so `sites->count` may go down. */
void vg_sites_label(struct vg_stack_names *names, struct vg_run_sites *sites, uint32_t count);

#endif
