/* The words of the libraries whose arrays a census tells. Pure. */
#ifndef VRAMGUARD_VIEW_ARRAY_TEXT_H
#define VRAMGUARD_VIEW_ARRAY_TEXT_H

#include "analyze/census.h"
#include "base/text.h"

struct vg_array_text {
    const char *name;    /* "CuPy" */
    const char *arrays;  /* "CuPy arrays" */
    const char *to_host; /* what copies an array `x` to the host */
    const char *after;   /* what else has to be done for the memory to come free; "" nothing */
};

/* Static storage. */
const struct vg_array_text *vg_array_text_of(enum vg_census_array_library library);

/* "float32 (64, 1048576)", as numpy writes a shape. */
void vg_array_text_add_shape(struct vg_text *out, const struct vg_census_shape *shape);

#endif
