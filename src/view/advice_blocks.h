/* Causes that are seen in PyTorch's blocks and in who holds them. Their order stands in the table
 * of causes. Internal to the view floor. Pure, no malloc. */
#ifndef VRAMGUARD_VIEW_ADVICE_BLOCKS_H
#define VRAMGUARD_VIEW_ADVICE_BLOCKS_H

#include "analyze/census.h"
#include "analyze/holder.h"
#include "view/advice.h"

extern const struct vg_advice_row vg_advice_garbage;     /* objects that only refer to each other */
extern const struct vg_advice_row vg_advice_kept_graphs; /* results keep their graphs */
extern const struct vg_advice_row vg_advice_chained_graph;  /* steps hang together by a graph */
extern const struct vg_advice_row vg_advice_kept_results;   /* results pile up on the GPU */
extern const struct vg_advice_row vg_advice_evaluation;     /* outputs that Trainer gathers */
extern const struct vg_advice_row vg_advice_held_data;      /* a variable holds them, as ever */
extern const struct vg_advice_row vg_advice_traceback;      /* an exception keeps tensors */
extern const struct vg_advice_row vg_advice_growing_line;   /* a line keeps more and more */
extern const struct vg_advice_row vg_advice_lone_optimizer; /* of a model that is gone */
extern const struct vg_advice_row vg_advice_earlier_graph;  /* of a step that is over */
extern const struct vg_advice_row vg_advice_kept_models;    /* many models of one class */
extern const struct vg_advice_row vg_advice_model_twice;    /* two models of one class */
extern const struct vg_advice_row vg_advice_optimizer;      /* the optimizer's state */
extern const struct vg_advice_row vg_advice_activations;    /* what backward will need */
extern const struct vg_advice_row vg_advice_loaded;         /* what torch.load has put there */
extern const struct vg_advice_row vg_advice_load;           /* torch.load, onto the GPU */
extern const struct vg_advice_row vg_advice_parameters;     /* the model itself */
extern const struct vg_advice_row vg_advice_holes;          /* unused parts of used segments */
extern const struct vg_advice_row vg_advice_cache_in_way;   /* another library needs the cache */
extern const struct vg_advice_row vg_advice_torch_fraction; /* PyTorch's own limit */
extern const struct vg_advice_row vg_advice_largest_line;   /* one line holds most */

/* ---- shared by these rows ---- */

/* What must come free for the call to succeed: 0 when that is nothing or unknown. */
uint64_t vg_advice_missing_bytes(const struct vg_run_failure *failure);

/* Could the cause lie in PyTorch's blocks: do they hold what is missing? */
bool vg_advice_blocks_hold_missing(const struct vg_run_failure *failure);

/* Bytes of the blocks of that kind; 0 without a census. */
uint64_t vg_advice_kind_bytes(const struct vg_run_failure *failure, enum vg_census_kind kind);

/* Are most of the kind's numbers known to be of 4 bytes and more? What is unknown of a record from
 * before is not. */
bool vg_advice_is_wide(const struct vg_run_failure *failure, enum vg_census_kind kind);

/* Are `bytes` most of what PyTorch's tensors take? */
bool vg_advice_is_most(const struct vg_run_failure *failure, uint64_t bytes);

/* Are `bytes` no less than what other processes hold of the GPU, as far as that is known? */
bool vg_advice_outweighs_others(const struct vg_run_failure *failure, uint64_t bytes);

/* Is the exception that the variable holds one of the failure itself, and no earlier one? */
bool vg_advice_is_of_this_failure(const struct vg_run_failure *failure,
                                  const struct vg_census_variable *variable);

/* "delete the exception: del error; or ...", or how to be rid of one without a name. */
void vg_advice_add_delete_exception(struct vg_text *out, const struct vg_census_variable *variable);

/* How to bound what keeps the site's tensors, where the type of the variable that does tells that.
 * Returns whether it has said anything. */
bool vg_advice_add_bounding(const struct vg_run_failure *failure, const struct vg_run_site *site,
                            struct vg_text *out);

/* "; 4.31 GiB comes from net.py:11 Mix.forward", behind a sentence that says how much is held,
 * where one line has made a good part of that, as was counted. `variable`: as for vg_holder_origin.
 */
void vg_advice_add_origin(const struct vg_run_failure *failure, enum vg_holder_part part,
                          const struct vg_census_variable *variable, struct vg_text *out);

#endif
