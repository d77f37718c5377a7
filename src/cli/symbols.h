/* Names for the addresses of a recorded run: functions from symbol tables, source lines from DWARF,
 * read with elfutils (libdwfl) from the files that the process had loaded, as far as they are still
 * there and the same. */
#ifndef VRAMGUARD_CLI_SYMBOLS_H
#define VRAMGUARD_CLI_SYMBOLS_H

#include <stdint.h>

#include "analyze/oom_report.h"
#include "record/reader.h"

struct vg_symbols;

/* For a loaded reader, which must outlive it. Files are opened when an address needs them. NULL
 * without memory. */
struct vg_symbols *vg_symbols_open(const struct vg_reader *reader);

/* Describes the program counter `address` (a return address: its call is what is named). `out` is
 * filled as far as is known: module and offset from the recorder file alone; function and location
 * only when the file on disk is the one that was loaded, by build id, or by its time when it has
 * none. */
void vg_symbols_name(struct vg_symbols *symbols, uint64_t address, struct vg_oom_frame *out);

/* The label (analyze/label.h) of stack `stack_id`, written to `out` (`cap` bytes). "" when the
 * stack is not known. */
void vg_symbols_label(struct vg_symbols *symbols, uint32_t stack_id, char *out, size_t cap);

void vg_symbols_close(struct vg_symbols *symbols);

#endif
