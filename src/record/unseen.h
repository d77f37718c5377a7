/* Whether a command that `vramguard run` has started was recorded.
 *
 * The tool leaves a note, a small file, in the folder "unseen" of the state directory and passes
 * its path on in the variable VRAMGUARD_RUN. The first process that begins a record takes the note
 * away. So what is left tells that nobody did: nothing used CUDA, or it could not be watched. A
 * note whose process could write no run file, or put it elsewhere, is renamed instead. Where the
 * state directory cannot be written, notes lie in a folder "unseen" elsewhere. */
#ifndef VRAMGUARD_RECORD_UNSEEN_H
#define VRAMGUARD_RECORD_UNSEEN_H

#include <stdbool.h>
#include <stddef.h>

/* Where notes lie. Returns 0, or -errno as vg_run_file_directory does. */
int vg_unseen_directory(char *out, size_t cap);

enum vg_unseen_end {
    VG_UNSEEN_OPEN,      /* so far nothing was recorded */
    VG_UNSEEN_UNWRITTEN, /* watched, but the run file could not be written */
    VG_UNSEEN_ELSEWHERE, /* the run file is where VRAMGUARD_LOG says */
    VG_UNSEEN_RECORDED   /* the run file lies in the state directory: no note is left */
};

/* What the name of a note ends with; "" where it bears no sign. */
const char *vg_unseen_suffix(enum vg_unseen_end end);

/* Does `path` look like a note's: ".../unseen/DIGITS-DIGITS", perhaps with such an end? Nothing
 * else is ever removed, whatever the environment says. */
bool vg_unseen_is_note(const char *path);

/* Has somebody asked for this process to be recorded, by `vramguard run`? */
bool vg_unseen_is_asked_for(void);

/* Is there still the note that VRAMGUARD_RUN names? errno is preserved. */
bool vg_unseen_is_open(void);

/* This process is watched: removes the note that VRAMGUARD_RUN names, if there is one, or renames
 * it. Makes one system call at most. For one thread of a process. errno is preserved. */
void vg_unseen_settle(enum vg_unseen_end end);

#endif
