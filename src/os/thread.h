/* Threads of ours in a program of others'. */
#ifndef VRAMGUARD_OS_THREAD_H
#define VRAMGUARD_OS_THREAD_H

#include <stddef.h>
#include <sys/types.h>

/* Starts a detached thread that runs `run(argument)` on a stack of `stack_bytes`, in which the
 * libraries' thread-local storage has to find room, too. From its first instruction on it blocks
 * all signals, which are the program's threads', but for those that a fault sends to the thread
 * that made it: blocked, they end the process whatever handles them. Returns 0 or -errno. No lock
 * of ours may be held. */
int vg_thread_start(void *(*run)(void *argument), void *argument, size_t stack_bytes);

/* The calling thread's number, as the kernel has it. A system call. */
pid_t vg_thread_id(void);

#endif
