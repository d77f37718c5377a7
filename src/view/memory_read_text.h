/* What a program was told of a GPU's memory before it gave up by itself, in words. */
#ifndef VRAMGUARD_VIEW_MEMORY_READ_TEXT_H
#define VRAMGUARD_VIEW_MEMORY_READ_TEXT_H

#include <stdbool.h>

#include "base/text.h"
#include "record/format.h"

/* Appends "The program asked how much of GPU 0 is free. Other processes held 2.00 GiB of 4.00 GiB
 * 0.5 s after its start: pid 4711 (python server.py) 2.00 GiB. When it asked last, ...", no
 * newline, of an entry of a run file, whatever it contains; `start_realtime_ns`: when that process
 * began. Returns false, and appends nothing, when others held too little of it to speak of, or it
 * did not ask. */
bool vg_memory_read_render(const struct vg_file_memory_read *read, int ordinal,
                           uint64_t start_realtime_ns, struct vg_text *out);

#endif
