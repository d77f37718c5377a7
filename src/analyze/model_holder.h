/* Which variables of the program the models of a census are in. Pure, no malloc, any thread. Takes
 * failures whose texts and counts are valid (run.h). */
#ifndef VRAMGUARD_ANALYZE_MODEL_HOLDER_H
#define VRAMGUARD_ANALYZE_MODEL_HOLDER_H

#include <stdint.h>

#include "analyze/census.h"
#include "analyze/run.h"

enum { VG_MODEL_HOLDERS = 2 };

/* Stores variables that each are a whole model like `model`, an outermost module of the failure's
 * census: of its class, and leading to as many bytes of parameters, which no other variable before
 * it did. Returns how many there are, at most VG_MODEL_HOLDERS. */
uint32_t vg_model_holders(const struct vg_run_failure *failure,
                          const struct vg_census_module *model,
                          const struct vg_census_variable *out[VG_MODEL_HOLDERS]);

#endif
