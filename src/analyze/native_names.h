/* Names of native frames as the loaded objects tell them: module and exported function; of what the
 * objects do not export, from the symbol tables of files that are not too large. The tool names the
 * rest later, and source lines. */
#ifndef VRAMGUARD_ANALYZE_NATIVE_NAMES_H
#define VRAMGUARD_ANALYZE_NATIVE_NAMES_H

#include <stdint.h>

#include "analyze/run.h"
#include "base/region.h"
#include "os/elf_address.h"

/* The frames of one report: its stacks have most of them in common, and looking many up at once
 * costs little more than one. For one thread at a time; too large for a thread's stack. */
enum { VG_NATIVE_NAMES = 512 };
struct vg_native_names {
    struct vg_region *region; /* where the texts go */
    uint64_t started_ns;      /* CLOCK_REALTIME: files that are newer are not looked into */
    uint32_t count;
    uint32_t looked_up; /* so many of the first have their names */
    uint64_t addresses[VG_NATIVE_NAMES];
    struct vg_run_frame frames[VG_NATIVE_NAMES];
    struct vg_elf_address items[VG_NATIVE_NAMES]; /* while they are looked up */
};

/* Forgets all, as an object can be unloaded between two reports. Texts will lie in `region`.
 * `started_ns`: when the process was (CLOCK_REALTIME). */
void vg_native_names_clear(struct vg_native_names *names, struct vg_region *region,
                           uint64_t started_ns);

/* Notes a return address that will be asked for. One that finds no room is looked up when it is. */
void vg_native_names_add(struct vg_native_names *names, uint64_t address);

/* Fills `out` for a return address. The first that is not known yet looks up all that are noted.
 * Calls the loader; no malloc. */
void vg_native_names_get(struct vg_native_names *names, uint64_t address, struct vg_run_frame *out);

#endif
