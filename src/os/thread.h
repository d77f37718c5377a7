/* Threads of ours in a program of others'. */
#ifndef VRAMGUARD_OS_THREAD_H
#define VRAMGUARD_OS_THREAD_H

#include <signal.h>
#include <stddef.h>

/* Starts a detached thread that runs `run(argument)` on a stack of `stack_bytes`, in which the
 * libraries' thread-local storage has to find room, too, with the signals of `blocked` blocked from
 * its first instruction on. Returns 0 or -errno. No lock of ours may be held. */
int vg_thread_start(void *(*run)(void *argument), void *argument, size_t stack_bytes,
                    const sigset_t *blocked);

#endif
