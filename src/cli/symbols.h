/* Names for the addresses of a recorded run: functions from symbol tables, source lines from DWARF,
 * read with elfutils (libdwfl) from the files that the process had loaded, as far as they are still
 * there and the same. */
#ifndef VRAMGUARD_CLI_SYMBOLS_H
#define VRAMGUARD_CLI_SYMBOLS_H

#include <stdint.h>

#include "analyze/file_source.h"
#include "record/reader.h"

struct vg_symbols;

/* For a loaded reader, which must outlive it. Files are opened when an address needs them. NULL
 * without memory. */
struct vg_symbols *vg_symbols_open(const struct vg_reader *reader);

/* vg_address_names.name: names the return address `address` (its call is what is named), after the
 * functions that the compiler has put in there, innermost first. Module and offset are known from
 * the recorder file alone; functions and lines only when the file on disk is the one that was
 * loaded, by build id, or by its time when it has none. */
struct vg_address_names vg_symbols_names(struct vg_symbols *symbols);

void vg_symbols_close(struct vg_symbols *symbols);

#endif
