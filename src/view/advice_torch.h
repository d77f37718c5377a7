/* Causes and advice for programs that use PyTorch and Hugging Face's libraries; also the rows of
 * the table of causes. Internal to the report layer. Pure, no malloc. */
#ifndef VRAMGUARD_VIEW_ADVICE_TORCH_H
#define VRAMGUARD_VIEW_ADVICE_TORCH_H

#include "analyze/run.h"
#include "base/text.h"
#include "view/advice.h"

/* A model whose weights are more than the GPU has. */
extern const struct vg_advice_row vg_advice_model_size;
/* Weights that take four bytes a number and would fit with two. */
extern const struct vg_advice_row vg_advice_wide_load;
/* One place that has kept some more with each step. */
extern const struct vg_advice_row vg_advice_growing_site;
/* PyTorch had a large cache that was of no use. */
extern const struct vg_advice_row vg_advice_fragments;

/* "; or load model.safetensors with dtype=torch.float16, which takes 640 MiB instead of 1.25 GiB"
 * when that would make the weights fit into what this process has and what is free, else nothing.
 */
void vg_advice_add_halving(struct vg_text *out, const struct vg_run_failure *report);

/* What helps where one tensor is larger than the GPU: by what the failing call does. */
void vg_advice_add_one_tensor(struct vg_text *out, const struct vg_run_failure *report);

#endif
