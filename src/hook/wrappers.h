/* The exported functions: prototypes of all wrappers, derived from the function table, and looking
 * them up. A row marked HOOK without a wrapper fails to link. */
#ifndef VRAMGUARD_HOOK_WRAPPERS_H
#define VRAMGUARD_HOOK_WRAPPERS_H

#include <stdbool.h>
#include <stddef.h>

#include "driver/chain.h"
#include "driver/driver.h"
#include "guard/process_state.h"

#define VG_EXPORT __attribute__((visibility("default")))

#define VG_DECLARE_HOOK(symbol, parameters)  VG_EXPORT CUresult symbol parameters;
#define VG_DECLARE_WATCH(symbol, parameters) VG_EXPORT CUresult symbol parameters;
#define VG_DECLARE_CALL(symbol, parameters)
#define VG_CUDA(symbol, name, version, flags, use, parameters, arguments)                          \
    VG_DECLARE_##use(symbol, parameters)
#include "driver/cuda_table.h"
#undef VG_CUDA

/* The real call of a wrapper whose call is not guarded now. A driver without the function cannot be
 * asked. One that is made while this thread is in the guard comes from us or from an interposer
 * that we have called: it wants the driver. `arguments` are in parentheses. */
#define VG_PASS(symbol, arguments)                                                                 \
    (!vg_driver_has(VG_FN_##symbol) ? CUDA_ERROR_NOT_FOUND                                         \
     : vg_thread.inside             ? vg_driver.symbol arguments                                   \
                                    : vg_next.symbol arguments)

/* The wrapper for the driver's exported `symbol`: its id, or -1. No driver needed. */
int vg_wrapper_find(const char *symbol);

/* Our function that stands for `id`; NULL when it is not wrapped. */
void *vg_wrapper_address(enum vg_function_id id);

/* What a program is to get instead of `found`, which its lookup of the exported `symbol` returned:
 * our wrapper if `found` is exactly the driver's function, else `found`. `in_order`: it was not
 * looked for in one library; then the next interposer's function, which our wrapper calls, is
 * replaced, too. */
void *vg_wrapper_for_symbol(const char *symbol, void *found, bool in_order);

/* The same for what cuGetProcAddress returned for the base name `name`: any version of it. */
void *vg_wrapper_for_name(const char *name, void *found);

/* The same where an interposer behind us (chain.h) answered with a function of its own, `found`,
 * and the driver would have answered `own`: the wrapper, which calls `found` from now on. Where it
 * cannot, `found`; that is said once if it is a function we wrap. The driver is bound. */
void *vg_wrapper_before(const char *name, void *found, const void *own);

#endif
