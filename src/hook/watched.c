/* Wrappers of the functions that take memory in ways that are not tracked: contexts' internals,
 * modules, graphs, launches, imports. Generated from the function table. Each makes the program's
 * own call; when that runs out of memory the failure is answered like any other. */
#include "hook/watched.h"

#define DEFINE_HOOK(symbol, parameters, arguments)
#define DEFINE_CALL(symbol, parameters, arguments)
#define DEFINE_WATCH(symbol, parameters, arguments)                                                \
    VG_DEFINE_WATCHED(symbol, parameters, arguments, -1)

#define VG_CUDA(symbol, name, version, flags, use, parameters, arguments)                          \
    DEFINE_##use(symbol, parameters, arguments)
#include "driver/cuda_table.h"
#undef VG_CUDA
