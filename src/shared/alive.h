/* Who lives of those processes of this user that this one does not see: containers that share
 * /dev/shm have pid namespaces of their own, and a pid of one means another process in the next, or
 * none.
 *
 * Each registered process has a lock on one byte of the file "alive" in the registry's folder; its
 * place is the process's owner word. It is a lock of the open file (F_OFD_SETLK, fcntl(2)), which a
 * mapping keeps open: no descriptor is kept, a forked child has no part in it, and the kernel ends
 * it when the process ends or executes a new program, however it does. Nothing is left to be
 * cleaned up. */
#ifndef VRAMGUARD_SHARED_ALIVE_H
#define VRAMGUARD_SHARED_ALIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "os/process.h"

/* Lets others know that this process lives, to its end. Returns 0 or -errno. To be called under a
 * shield (base/signal_block.h), and again in a forked child; does nothing when it is known. */
int vg_alive_tell(void);

/* Has somebody deleted the file since, or put another in its place? It is to be told again then. */
bool vg_alive_is_lost(void);

/* As those of os/process.h, of processes of any pid namespace. Of one elsewhere it is not known
 * what it does, nor of its threads: it runs or it is gone. It runs if that cannot be found out.
 * errno is preserved. */
enum vg_process_activity vg_alive_activity(uint64_t owner);
enum vg_process_activity vg_alive_thread_activity(uint64_t owner, uint32_t thread, uint64_t image);

static inline bool vg_alive(uint64_t owner)
{
    return vg_alive_activity(owner) != VG_PROCESS_GONE;
}

#endif
