/* Work of ours that a fork in another thread waits for.
 *
 * A forked child has one thread. What another thread of its parent's had locked at that moment
 * stays locked in it for good: ours are made anew (fork_mark.h), but the C library's are not, of
 * which glibc resets only some: not those of the dynamic loader (dl_iterate_phdr, dlopen, dladdr),
 * of the handlers of exit (on_exit), of time zones (gmtime_r); nor those inside libunwind. A
 * program that forks beside threads that allocate would have children that hang in exit(3), or at
 * their first C++ exception. So whoever calls such a function of ours passes this gate, and fork
 * waits until nobody is in it. fork(3) only: after vfork and posix_spawn the child executes a new
 * program. */
#ifndef VRAMGUARD_OS_FORK_GATE_H
#define VRAMGUARD_OS_FORK_GATE_H

#include <stdbool.h>

/* From now on forks wait. Before that, entering has no effect on them. Any thread, any number of
 * times; the first registers handlers with pthread_atfork(3). */
void vg_fork_gate_open(void);

/* Between the two no other thread forks. They nest. Nothing may be done in between that can take
 * long, waits for another thread or runs code of others: after a second fork goes on regardless,
 * and so does who wants to enter while somebody forks. errno is preserved. Any thread; not to be
 * left by cancellation. */
void vg_fork_gate_enter(void);
void vg_fork_gate_leave(void);

/* The thread has left code of ours otherwise than by its end: it is no longer inside. */
void vg_fork_gate_reset(void);

/* Is this process a child of fork, in the program that its parent has executed? */
bool vg_is_forked_child(void);

#endif
