/* The exported symbols of libcuda.so.1, one per row of the table. Each asks sim_enter whether the
 * call may proceed (initialised? a scripted failure? a delay?) and hands over to sim_<symbol>. */
#include "exports.h"
#include "function_ids.h"
#include "function_table.h"
#include "state.h"

#define DEFINE(symbol, needs_init, per_thread, params, call)                                       \
    CUresult symbol params                                                                         \
    {                                                                                              \
        CUresult refusal = sim_enter(FN_##symbol, needs_init, per_thread);                         \
        return refusal != CUDA_SUCCESS ? refusal : call;                                           \
    }

#define FN(symbol, base, version, params, args)                                                    \
    DEFINE(symbol, true, false, params, sim_##symbol args)
#define EARLY(symbol, base, version, params, args)                                                 \
    DEFINE(symbol, false, false, params, sim_##symbol args)
#define PT(symbol, pt, base, version, pt_version, params, args)                                    \
    DEFINE(symbol, true, false, params, sim_##symbol args)                                         \
    DEFINE(pt, true, true, params, sim_##symbol args)
#define NO(symbol, base, version) DEFINE(symbol, true, false, (void), CUDA_ERROR_NOT_SUPPORTED)
#define NOPT(symbol, pt, base, version, pt_version)                                                \
    NO(symbol, base, version)                                                                      \
    NO(pt, base, pt_version)
#include "tables.def"
