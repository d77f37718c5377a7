/* When to look for libraries that go past us (driver/bypass.h). */
#ifndef VRAMGUARD_HOOK_BYPASS_H
#define VRAMGUARD_HOOK_BYPASS_H

/* The program has looked a name up through `handle`, of dlopen: its library is looked at, the first
 * time only. Nearly free afterwards. errno and the guard's state are left alone. */
void vg_bypass_note_handle(void *handle);

#endif
