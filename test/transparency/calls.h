/* The values that a call of calls.c is made with. */
#ifndef TRANSPARENCY_CALLS_H
#define TRANSPARENCY_CALLS_H

#include <stddef.h>
#include <stdint.h>

enum { CHOICES_MAX = 10, BUFFER_BYTES = 256, PARAMETERS_MAX = 12 };

/* One parameter of a row, as the table spells it. */
struct parameter {
    const char *type, *name;
};

/* What there is in this process; 0 where there is none. */
struct objects {
    uint64_t live, freed, live_v1; /* device addresses */
    uint64_t context, stream, default_pool, own_pool, handle, array, pinned;
    const void *ipc_handle;
};

/* Fills `out`, of CHOICES_MAX, with the values to try for the parameter; out[0] is a valid one
 * where there is one. Values that point to memory of the caller's choosing are given as
 * CHOICE_BUFFER and the like. Returns how many. */
int choose(const struct parameter *parameter, const struct objects *objects, uint64_t *out);

/* Stand-ins for memory that calls.c has for each parameter. */
#define CHOICE_POISONED UINT64_C(0x7f00000000000001)
#define CHOICE_ZEROED   UINT64_C(0x7f00000000000002)
#define CHOICE_SAMPLE   UINT64_C(0x7f00000000000003)

/* A valid example of the structure that a pointer of this type points to; NULL if none is known. */
const void *sample_of(const char *type, size_t *out_bytes);

#endif
