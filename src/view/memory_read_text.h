/* What a program was told of a GPU's memory before it gave up by itself, in words. */
#ifndef VRAMGUARD_VIEW_MEMORY_READ_TEXT_H
#define VRAMGUARD_VIEW_MEMORY_READ_TEXT_H

#include <stdbool.h>

#include "base/text.h"
#include "record/format.h"

/* Appends "GPU 0 had 1.70 GiB of 4.00 GiB free when it asked last, and held 200 MiB itself. Other
 * processes held 2.00 GiB: pid 4711 (python server.py) 2.00 GiB.", no newline, of an entry of a run
 * file, whatever it contains. Returns false, and appends nothing, when others held too little of it
 * to speak of, or it did not ask. */
bool vg_memory_read_render(const struct vg_file_memory_read *read, int ordinal,
                           struct vg_text *out);

#endif
