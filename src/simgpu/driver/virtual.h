/* Mappings of physical handles into reserved addresses. */
#ifndef SIMGPU_VIRTUAL_H
#define SIMGPU_VIRTUAL_H

#include <stdbool.h>

#include "physical.h"
#include "range.h"

/* Of a mapped range (RANGE_MAPPED): called with sim_lock held. */
const struct physical *virtual_physical(const struct range *range);

/* Whether anyone may access the range. */
bool virtual_is_accessible(const struct range *range);

#endif
