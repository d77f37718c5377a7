/* The one list of the driver's functions. Everything else derives from it: the exported symbols and
 * their entry code (entry.c), the prototypes of the implementations (below) and the table that
 * cuGetProcAddress searches (lookup.c). A row without an implementation does not link.
 *
 * Rows live in the table_*.def files, by area. Their forms:
 *
 *   FN(symbol, base, version, (params), (args))      implemented by sim_<symbol>
 *   EARLY(...)                                       the same, callable before cuInit
 *   PT(symbol, pt_symbol, base, version, pt_version, (params), (args))
 *                                                    two symbols over sim_<symbol>: the second one
 *                                                    (_ptsz or _ptds) takes the NULL stream for the
 *                                                    per-thread default stream
 *   NO(symbol, base, version)                        exported; answers CUDA_ERROR_NOT_SUPPORTED
 *   NOPT(symbol, pt_symbol, base, version, pt_version)
 *
 * `base` is the name that cuGetProcAddress knows and `version` (1000 * major + 10 * minor) the CUDA
 * release that introduced the symbol, both as cudaTypedefs.h states them. */
#ifndef SIMGPU_FUNCTION_TABLE_H
#define SIMGPU_FUNCTION_TABLE_H

#include "../abi.h"

#define SIM_PROTOTYPE(symbol, params)                           CUresult sim_##symbol params;
#define FN(symbol, base, version, params, args)                 SIM_PROTOTYPE(symbol, params)
#define EARLY(symbol, base, version, params, args)              SIM_PROTOTYPE(symbol, params)
#define PT(symbol, pt, base, version, pt_version, params, args) SIM_PROTOTYPE(symbol, params)
#define NO(symbol, base, version)
#define NOPT(symbol, pt, base, version, pt_version)
#include "tables.def"

#endif
