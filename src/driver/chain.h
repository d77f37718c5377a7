/* Other interposers of the driver. One that was preloaded before us calls us; one behind us would
 * never be reached, since we know the driver's own functions: a limit of its would not hold. So
 * what a program calls is passed on to the next interposer's function, where there is one, while
 * what vramguard asks for itself goes to the driver (`vg_driver`).
 *
 * Which function is next is told by what the program would have reached without us: where the
 * program is linked with the driver, the next definition in the order of search; else what the next
 * interposer's dlsym answers for the driver's handle. Where both exist it is the first, and both
 * ways lead through it. */
#ifndef VRAMGUARD_DRIVER_CHAIN_H
#define VRAMGUARD_DRIVER_CHAIN_H

#include <stdbool.h>

#include "driver/driver.h"
#include "os/elf_symbol.h"

/* Where the program's calls of `id` go: an entry of vg_next. */
static inline void *vg_chain_address(enum vg_function_id id)
{
    return __atomic_load_n((void **)&vg_next + id, __ATOMIC_RELAXED);
}

/* Both are called by vg_driver_bind, by several threads at once if need be, which store the same.
 * The first fills vg_next from vg_driver and from what stands between this library and `driver`,
 * the driver's object. The second, when the driver counts as bound, asks the next interposer's
 * dlsym, if there is one, for the functions of `handle`, which is the driver's; that code may look
 * names up itself. No lock of ours may be held. */
void vg_chain_resolve(const struct vg_elf_object *driver);
void vg_chain_ask(void *handle);

/* Is `address` code of an interposer that stands behind this library? What such a one looks up is
 * what lies behind itself, so it gets no function of ours. Cheap when there is none. */
bool vg_chain_is_behind(const void *address);

/* The program was given `found`, a function of an interposer behind us, for `id`. Calls of `id` go
 * there from now on, if they went to the driver's. Returns whether they do. */
bool vg_chain_adopt(enum vg_function_id id, void *found);

/* Base name of the interposer that calls of `id` go to ("liblimiter.so"), "" when they go to the
 * driver: it, too, may refuse memory. Static storage. */
const char *vg_chain_name(enum vg_function_id id);

#endif
