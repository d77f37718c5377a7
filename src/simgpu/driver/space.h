/* A range of numbers (addresses, offsets) handed out in runs: best fit, neighbours merged, O(log
 * n). No locking. */
#ifndef SIMGPU_SPACE_H
#define SIMGPU_SPACE_H

#include <stdint.h>

#include "tree.h"

struct space {
    struct tree by_base, by_size;
};

/* An empty space. */
void space_init(struct space *space);

/* Makes [base, base + bytes) free: at first, and whenever a run is given back. Returns 0, or
 * -ENOMEM (the run is then lost to the space, and nothing else happens). */
int space_give(struct space *space, uint64_t base, uint64_t bytes);

/* Takes the first `bytes` of the shortest run that has them. Returns 0, or -ENOMEM if none has. */
int space_take(struct space *space, uint64_t bytes, uint64_t *base);

#endif
