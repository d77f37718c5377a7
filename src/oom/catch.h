/* Calling code of others that may throw, from C and without a C++ runtime of our own. */
#ifndef VRAMGUARD_OOM_CATCH_H
#define VRAMGUARD_OOM_CATCH_H

#include <stdbool.h>

/* Calls `run(argument)`. Returns true when it returned, false when it threw an exception (C++ or
 * anything else that unwinds the stack as the C++ ABI says): its frames were unwound, destructors
 * included, and the exception is gone. pthread_exit and cancellation go through. One call at a time
 * in a thread. Needs a build with unwind tables (the default on x86-64 and aarch64). */
bool vg_catch_call(void (*run)(void *argument), void *argument);

#endif
