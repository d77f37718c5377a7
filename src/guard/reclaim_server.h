/* The thread in which this process answers when another one asks for memory of a GPU: it gives back
 * unused memory of the driver's pools and of finished graphs, if that is not enough has the helper
 * empty the caches of Python's frameworks (oom/python_trim.h), and says what that brought.
 *
 * One thread for each GPU of which the process holds 64 MiB and more, made only where a pool or
 * graph of the driver has memory or PyTorch or CuPy is loaded into a Python interpreter, and
 * VRAMGUARD_POLICY has trim in it. It sleeps on a word of the registry; nothing waits for it. A
 * forked child has none of its parent's and makes its own. */
#ifndef VRAMGUARD_GUARD_RECLAIM_SERVER_H
#define VRAMGUARD_GUARD_RECLAIM_SERVER_H

#include <stdint.h>

struct vg_process_state;

/* Decides whether the process is to listen at all. When the state is made. */
void vg_reclaim_server_init(struct vg_process_state *state);

/* The process holds `live_bytes` of `device`, at least state->listen_at_bytes[device]: starts the
 * thread, or chooses when to look again. May make a thread; no lock of ours may be held. */
void vg_reclaim_server_consider(struct vg_process_state *state, int device, uint64_t live_bytes);

/* The process has been registered anew for `device`, since others could not find it any more: those
 * ask there now. One thread at a time. */
void vg_reclaim_server_move(struct vg_process_state *state, int device);

/* At the end of the process: nobody is answered any more. Waits for an answer that is under way and
 * for the line about it, 2.2 seconds at the most. */
void vg_reclaim_server_close(void);

#endif
