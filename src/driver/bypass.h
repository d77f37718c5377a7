/* Libraries that reach the driver past vramguard. One that was opened with RTLD_DEEPBIND is bound
 * to the C library's dlsym, or to the driver's functions, before it is to ours: what it allocates
 * is neither seen nor limited. Nothing can be done about that from here, but it can be known. */
#ifndef VRAMGUARD_DRIVER_BYPASS_H
#define VRAMGUARD_DRIVER_BYPASS_H

#include <link.h>
#include <stdbool.h>
#include <stdint.h>

enum { VG_BYPASS_MAX = 4, VG_BYPASS_NAME_CAP = 64 };

/* Looks at the object with the dynamic section `dynamic`, loaded at `bias`, and notes it when it
 * reaches the driver past us: it imports a function of the driver's that we wrap and is bound to
 * the driver's own; or it imports dlsym or dlvsym, is bound to the C library's, and names the
 * driver's library in its data. Returns whether any is noted by now. Takes microseconds for most
 * objects. Any thread; no lock of ours may be held. */
bool vg_bypass_check(uintptr_t bias, const ElfW(Dyn) * dynamic);

/* The same for all loaded objects. Some milliseconds where hundreds are loaded; at once when none
 * is new since the last time, unless it is to be done `again`: what is bound lazily shows later. */
bool vg_bypass_check_all(bool again);

/* Says the first of them in one line on stderr, once per process. */
void vg_bypass_tell(void);

/* How many such libraries are noted, VG_BYPASS_MAX at most, and the base name of each ("" beyond).
 * Any thread. */
unsigned vg_bypass_count(void);
const char *vg_bypass_name(unsigned index);

#endif
