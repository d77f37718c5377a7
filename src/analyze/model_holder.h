/* Which variables of the program the models of a census are in. Pure, no malloc, any thread. Takes
 * failures whose texts and counts are valid (run.h). */
#ifndef VRAMGUARD_ANALYZE_MODEL_HOLDER_H
#define VRAMGUARD_ANALYZE_MODEL_HOLDER_H

#include <stdint.h>

#include "analyze/census.h"
#include "analyze/run.h"

enum { VG_MODEL_HOLDERS = 2, VG_MODEL_MANY = 3 };

/* Stores variables that each are a whole model like `model`, an outermost module of the failure's
 * census: of its class, and leading to as many bytes of parameters, which no other variable before
 * it did. Returns how many there are, at most VG_MODEL_HOLDERS. */
uint32_t vg_model_holders(const struct vg_run_failure *failure,
                          const struct vg_census_module *model,
                          const struct vg_census_variable *out[VG_MODEL_HOLDERS]);

/* The variable of the program's that has this outermost module and no other, by its class and by
 * what it leads to; NULL: none, or there are several. */
const struct vg_census_variable *vg_model_holder(const struct vg_run_failure *failure,
                                                 const struct vg_census_module *model);

/* Beside the largest model on the GPU: the one that the failing call moves, or the next where it
 * has an eighth of all parameters there; NULL: there is none. */
const struct vg_census_module *vg_model_second(const struct vg_run_failure *failure);

/* How many outermost modules there are of the class of `model`, which is one, with as many bytes of
 * parameters. A census tells no more than `VG_CENSUS_MODULES / 2`. */
uint32_t vg_model_count(const struct vg_run_failure *failure, const struct vg_census_module *model);

/* A list or the like of the program's that keeps VG_MODEL_MANY models of one class, with all that
 * is theirs `at_least_bytes`; the largest, NULL for none. Stores one of these models in
 * `out_model`. */
const struct vg_census_variable *vg_model_collection(const struct vg_run_failure *failure,
                                                     uint64_t at_least_bytes,
                                                     const struct vg_census_module **out_model);

/* An optimizer of the program's with `at_least_bytes` of parameters that no module has and of what
 * goes with them; the largest, NULL for none. Stores how much in `out_bytes`. */
const struct vg_census_variable *vg_model_lone_optimizer(const struct vg_run_failure *failure,
                                                         uint64_t at_least_bytes,
                                                         uint64_t *out_bytes);

/* What of the outermost module's parameters is not on the failing GPU, as it is there. */
uint64_t vg_model_elsewhere_bytes(const struct vg_run_failure *failure,
                                  const struct vg_census_module *model);

/* The model that the failing call moves: the one of which a part is not there yet. NULL: it moves
 * none, or which one is not known. */
const struct vg_census_module *vg_model_under_way(const struct vg_run_failure *failure);

#endif
