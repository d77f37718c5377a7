/* A library that goes past us is best told of before it allocates. What is opened is nearly always
 * looked into with dlsym next, by its handle; what a library drags along is found at the exit. */
#include "hook/bypass.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdint.h>

#include "driver/bypass.h"
#include "driver/driver.h"
#include "guard/process_state.h"
#include "os/fork_gate.h"
#include "os/fork_mark.h"
#include "os/loader.h"
#include "os/startup_order.h"

enum { SEEN = 256 };
static void *seen_handles[SEEN]; /* by their hash; the latest of those with the same */

void vg_bypass_note_handle(void *handle)
{
    void **const place = &seen_handles[((uintptr_t)handle >> 4) * 0x9E3779B97F4A7C15u >> 56];
    if (__builtin_expect(__atomic_load_n(place, __ATOMIC_RELAXED) == handle, 1))
        return;
    const int saved_errno = errno;
    __atomic_store_n(place, handle, __ATOMIC_RELAXED);
    const struct link_map *const map = vg_loader_map_of(handle);
    if (map && vg_bypass_check(map->l_addr, map->l_ld) && !vg_process_switched_off())
        vg_bypass_tell();
    errno = saved_errno;
}

__attribute__((destructor)) static void look_at_exit(void)
{
    /* A forked child that has made no call of CUDA has nothing to tell; the loader's lock may have
     * been another thread's when it was forked, and will never be free again. */
    if (vg_is_forked_child() && !vg_fork_mark_intact())
        return;
    if (vg_startup_is_all()) /* what stands behind us at the start is bound to us */
        return;
    if (vg_driver_bind() && !vg_process_switched_off() && vg_bypass_check_all(true))
        vg_bypass_tell();
}
