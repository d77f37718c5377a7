/* An id per exported symbol and the row each stands for, derived from the table. */
#ifndef SIMGPU_FUNCTION_IDS_H
#define SIMGPU_FUNCTION_IDS_H

#include <stdbool.h>

enum function_id {
#define FN(symbol, base, version, params, args)                 FN_##symbol,
#define EARLY(symbol, base, version, params, args)              FN_##symbol,
#define PT(symbol, pt, base, version, pt_version, params, args) FN_##symbol, FN_##pt,
#define NO(symbol, base, version)                               FN_##symbol,
#define NOPT(symbol, pt, base, version, pt_version)             FN_##symbol, FN_##pt,
#include "tables.def"
    FUNCTION_COUNT
};

struct function_row {
    const char *base; /* the name cuGetProcAddress knows */
    int version;      /* 1000 * major + 10 * minor of the release that introduced it */
    bool per_thread;  /* a _ptsz or _ptds symbol */
    void (*address)(void);
};

/* Indexed by enum function_id. */
extern const struct function_row sim_functions[FUNCTION_COUNT];

#endif
