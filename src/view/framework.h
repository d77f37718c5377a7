/* Which framework's memory something is, and what its users can do (framework_table.h). Pure, no
 * malloc. */
#ifndef VRAMGUARD_VIEW_FRAMEWORK_H
#define VRAMGUARD_VIEW_FRAMEWORK_H

#include "analyze/run.h"

struct vg_framework {
    const char *name;
    const char *modules, *paths, *pool, *advice; /* see framework_table.h */
};

/* All rows, `*out_count` of them. Static storage. */
const struct vg_framework *vg_framework_rows(size_t *out_count);

/* The framework that made the failing call: by the innermost frame that is one of a row's. The
 * program itself counts, too ("llama-server"). NULL for none; PyTorch is none. */
const struct vg_framework *vg_framework_of_call(const struct vg_run_failure *failure);

/* The framework whose library made the allocations of a site, by its label. NULL for none. */
const struct vg_framework *vg_framework_of_site(const struct vg_run_site *site);

#endif
