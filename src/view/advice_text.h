/* Phrases and measures that several causes share. Internal to the report layer. Pure, no malloc. */
#ifndef VRAMGUARD_VIEW_ADVICE_TEXT_H
#define VRAMGUARD_VIEW_ADVICE_TEXT_H

#include <stdbool.h>

#include "analyze/account.h"
#include "analyze/run.h"
#include "base/amount.h"
#include "base/text.h"

/* "the whole GPU", or what stands for it: a MIG instance has memory of its own. Static. */
const char *vg_advice_whole_gpu(const struct vg_run_failure *report);

/* vg_report_account as a value. */
struct vg_report_account vg_advice_account(const struct vg_run_failure *report);

/* `bytes`, or 0 when they are unknown. */
uint64_t vg_advice_or_zero(uint64_t bytes);

/* Is less free than was asked for, as far as both are known? Then stores by how much. */
bool vg_advice_lacks_memory(const struct vg_run_failure *report, uint64_t *out_deficit);

/* "pid 4711 (python train.py, uid 1001)": the user only when it is another one's. */
void vg_advice_add_process(struct vg_text *out, const struct vg_run_failure *report,
                           const struct vg_run_other *process);

/* The other process with the most memory, NULL when no amount is known. */
const struct vg_run_other *vg_advice_largest_process(const struct vg_run_failure *report);

/* "; or GPU 1, which has 10.90 GiB free: CUDA_VISIBLE_DEVICES=1" when another GPU of this machine
 * has room for all that this process holds and asks for, else nothing. */
void vg_advice_add_other_gpu(struct vg_text *out, const struct vg_run_failure *report);

/* "; or GPU 1, ...", only when that GPU is larger than the one of the failure. */
void vg_advice_add_larger_gpu(struct vg_text *out, const struct vg_run_failure *report);

/* How the framework that `process` (may be NULL) runs can be made to hold less, when one is
 * known to be there. */
void vg_advice_add_framework(struct vg_text *out, const struct vg_run_other *process);

/* Expandable segments of PyTorch's allocator, as they are switched on beside what is set. */
void vg_advice_add_expandable(struct vg_text *out, const struct vg_run_failure *report);

/* The label of a site, short enough for a sentence. */
void vg_advice_add_label(struct vg_text *out, const char *label);

#endif
