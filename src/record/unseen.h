/* Whether a command that `vramguard run` has started was recorded.
 *
 * The tool leaves a note, a small file, in the folder "unseen" of the state directory and passes
 * its path on in the variable VRAMGUARD_RUN. The first process that begins a record takes the note
 * away. So what is left tells that nobody did: nothing used CUDA, or it could not be watched. */
#ifndef VRAMGUARD_RECORD_UNSEEN_H
#define VRAMGUARD_RECORD_UNSEEN_H

#include <stdbool.h>
#include <stddef.h>

/* Where notes lie. Returns 0, or -errno as vg_run_file_directory does. */
int vg_unseen_directory(char *out, size_t cap);

/* Does `path` look like a note's: ".../unseen/DIGITS-DIGITS"? Nothing else is ever removed,
 * whatever the environment says. */
bool vg_unseen_is_note(const char *path);

/* Has somebody asked for this process to be recorded, by `vramguard run`? */
bool vg_unseen_is_asked_for(void);

/* This process is recorded: removes the note that VRAMGUARD_RUN names, if there is one. Makes one
 * system call at most. errno is preserved. */
void vg_unseen_forget(void);

#endif
