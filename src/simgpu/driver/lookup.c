/* cuGetProcAddress ("CUDA Driver API", section "Driver Entry Point Access"): the newest symbol of a
 * name that is not newer than the version asked for. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exports.h"
#include "function_ids.h"
#include "function_table.h"
#include "options.h"

#define ROW(symbol, base, version, per_thread)                                                     \
    { #base, version, per_thread, (void (*)(void))symbol },

const struct function_row sim_functions[FUNCTION_COUNT] = {
#define FN(symbol, base, version, params, args)    ROW(symbol, base, version, false)
#define EARLY(symbol, base, version, params, args) ROW(symbol, base, version, false)
#define PT(symbol, pt, base, version, pt_version, params, args)                                    \
    ROW(symbol, base, version, false) ROW(pt, base, pt_version, true)
#define NO(symbol, base, version) ROW(symbol, base, version, false)
#define NOPT(symbol, pt, base, version, pt_version)                                                \
    ROW(symbol, base, version, false) ROW(pt, base, pt_version, true)
#include "tables.def"
};

/* The newest row of `name` with the given per-thread flavour and at most `version`; NULL if there
 * is none. `*known` becomes true when the driver has the name in any version. */
static const struct function_row *find_row(const char *name, int version, bool per_thread,
                                           bool *known)
{
    const struct function_row *best = NULL;
    for (int i = 0; i < FUNCTION_COUNT; i++) {
        const struct function_row *row = &sim_functions[i];
        if (row->version > sim_options.driver_version || strcmp(row->base, name) != 0)
            continue;
        *known = true;
        if (row->per_thread != per_thread || row->version > version)
            continue;
        if (best == NULL || row->version > best->version)
            best = row;
    }
    return best;
}

static CUresult look_up(const char *symbol, void **pfn, int version, cuuint64_t flags,
                        CUdriverProcAddressQueryResult *status)
{
    if (symbol == NULL || pfn == NULL || version > sim_options.driver_version)
        return CUDA_ERROR_INVALID_VALUE;
    if (flags > CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM)
        return CUDA_ERROR_INVALID_VALUE;

    bool known = false;
    const struct function_row *row = NULL;
    if (flags == CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM)
        row = find_row(symbol, version, true, &known);
    if (row == NULL)
        row = find_row(symbol, version, false, &known);

    if (row == NULL) {
        *pfn = NULL;
        if (status != NULL)
            *status = known ? CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT
                            : CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
        return CUDA_ERROR_NOT_FOUND;
    }
    memcpy(pfn, &row->address, sizeof(*pfn));
    if (status != NULL)
        *status = CU_GET_PROC_ADDRESS_SUCCESS;
    return CUDA_SUCCESS;
}

CUresult sim_cuGetProcAddress(const char *symbol, void **pfn, int version, cuuint64_t flags)
{
    return look_up(symbol, pfn, version, flags, NULL);
}

CUresult sim_cuGetProcAddress_v2(const char *symbol, void **pfn, int version, cuuint64_t flags,
                                 CUdriverProcAddressQueryResult *status)
{
    return look_up(symbol, pfn, version, flags, status);
}

/* The private tables behind this function are how NVIDIA's own runtime authenticates the driver;
 * the simulation has none and does not pretend otherwise. */
CUresult sim_cuGetExportTable(const void **table, const CUuuid *id)
{
    static atomic_flag said = ATOMIC_FLAG_INIT;
    const char *const quiet = getenv("SIMGPU_QUIET");
    (void)table;
    (void)id;
    if (!atomic_flag_test_and_set(&said) && (!quiet || !*quiet || *quiet == '0'))
        fputs(
            "simgpu: a part of this program (cuBLAS, cuDNN, CuPy 13 and newer) has NVIDIA's own "
            "CUDA runtime in it, which works with a real GPU only: its calls fail here; compute on "
            "the "
            "CPU or a real GPU (SIMGPU_QUIET=1 hides this line)\n",
            stderr);
    return CUDA_ERROR_NOT_SUPPORTED;
}
