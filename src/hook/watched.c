/* Wrappers of the functions that take memory in ways that are not tracked: contexts' internals,
 * modules, graphs, launches, imports. Generated from the function table. Each makes the program's
 * own call; when that runs out of memory the failure is answered like any other. */
#include "guard/guard.h"
#include "hook/wrappers.h"

#define DEFINE_HOOK(symbol, parameters, arguments)
#define DEFINE_CALL(symbol, parameters, arguments)
#define DEFINE_WATCH(symbol, parameters, arguments)                                                \
    CUresult symbol parameters                                                                     \
    {                                                                                              \
        struct vg_call call;                                                                       \
        if (!vg_guard_begin_watched(&call, VG_FN_##symbol, -1))                                    \
            return VG_PASS(symbol, arguments);                                                     \
        do                                                                                         \
            call.result = vg_driver.symbol arguments;                                              \
        while (vg_guard_again(&call));                                                             \
        return vg_guard_end(&call);                                                                \
    }

#define VG_CUDA(symbol, name, version, flags, use, parameters, arguments)                          \
    DEFINE_##use(symbol, parameters, arguments)
#include "driver/cuda_table.h"
#undef VG_CUDA
