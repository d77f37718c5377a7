/* Cells of a Jupyter notebook. Their code has a file name that nobody has seen,
 * /tmp/ipykernel_PID/HASH.py; IPython's own tracebacks say "Cell In[3]". So reports do: "<cell 3>".
 * IPython keeps the numbers in a dictionary (CachingCompiler._filename_map of
 * IPython.core.compilerop), which is read with the GIL held; nothing of the program's runs. */
#ifndef VRAMGUARD_OOM_NOTEBOOK_H
#define VRAMGUARD_OOM_NOTEBOOK_H

#include <stdbool.h>
#include <stddef.h>

#include "oom/census_python.h"
#include "record/recorder.h"

/* Replaces `file`, of `cap` bytes, by the name of the cell of that file, if it is one and its
 * number is known. With the GIL. */
void vg_notebook_name_file(const struct vg_census_python *python, char *file, size_t cap);

/* Gives all recorded code of cells the cells' names, in the recorder and so in its file. Returns at
 * once where there is none. Waits for the GIL, if the calling thread lacks it, for half a second at
 * most; then, and in a Python that cannot be read, the names stay. Makes a thread
 * (callback_thread.h): no lock of ours may be held. */
void vg_notebook_name_cells(struct vg_recorder *recorder);

#endif
