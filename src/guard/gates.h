/* What a call has to pass before it is made: places in line, injected failures, limits. */
#ifndef VRAMGUARD_GUARD_GATES_H
#define VRAMGUARD_GUARD_GATES_H

#include <stdbool.h>

struct vg_call;

/* Asks the gates of the call's process. Returns false when the call is to fail without being made;
 * call->refused_by then says why. May wait, as the policy allows. errno is preserved. No lock of
 * ours may be held. */
bool vg_gates_ask(struct vg_call *call);

/* The call has come to an end, and call->turn was set: its place in line goes to the next. */
void vg_gates_end_turn(struct vg_call *call);

/* The process's first context on `device` is about to be made: waits for what VRAMGUARD_NEED asks.
 * Makes the process's state only then. errno is preserved. */
void vg_gates_before_context(int device);

#endif
