/* Prototypes of the exported symbols, derived from the table. */
#ifndef SIMGPU_EXPORTS_H
#define SIMGPU_EXPORTS_H

#include "../abi.h"

#define EXPORT __attribute__((visibility("default")))

#define FN(symbol, base, version, params, args)    EXPORT CUresult symbol params;
#define EARLY(symbol, base, version, params, args) EXPORT CUresult symbol params;
#define PT(symbol, pt, base, version, pt_version, params, args)                                    \
    EXPORT CUresult symbol params;                                                                 \
    EXPORT CUresult pt params;
#define NO(symbol, base, version) EXPORT CUresult symbol(void);
#define NOPT(symbol, pt, base, version, pt_version)                                                \
    EXPORT CUresult symbol(void);                                                                  \
    EXPORT CUresult pt(void);
#include "tables.def"

#endif
