/* The wrapper of a function that takes memory in a way that is not tracked: the program's own call,
 * and the answer to its failure when it runs out of memory. */
#ifndef VRAMGUARD_HOOK_WATCHED_H
#define VRAMGUARD_HOOK_WATCHED_H

#include "guard/guard.h"
#include "hook/wrappers.h"

/* Defines the exported `symbol`. `parameters` and `arguments` are in parentheses, as in the
 * function table; `device_number` is an expression of the parameters, -1 for the current context's
 * device. */
#define VG_DEFINE_WATCHED(symbol, parameters, arguments, device_number)                            \
    CUresult symbol parameters                                                                     \
    {                                                                                              \
        struct vg_call call;                                                                       \
        if (!vg_guard_begin_watched(&call, VG_FN_##symbol, device_number))                         \
            return VG_PASS(symbol, arguments);                                                     \
        do                                                                                         \
            call.result = vg_next.symbol arguments;                                                \
        while (vg_guard_again(&call));                                                             \
        return vg_guard_end(&call);                                                                \
    }

#endif
