/* The notes of record/unseen.h: the commands of `vramguard run` of which nothing was recorded. */
#ifndef VRAMGUARD_CLI_UNSEEN_NOTE_H
#define VRAMGUARD_CLI_UNSEEN_NOTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/process.h"
#include "record/unseen.h"

struct vg_unseen_note {
    struct vg_process_id id;
    uint64_t start_realtime_ns;
    uint32_t runs;     /* stands for the folder where its run would be looked for; 0 for none */
    char command[512]; /* safe to print */
    char why_not[192]; /* why it could not be watched; "" when nothing is known against it */
    enum vg_unseen_end end;
};

/* Leaves a note for this process, whose program is about to be replaced by `command`, and names it
 * in VRAMGUARD_RUN. An outer `vramguard run`'s note is taken away: this one now tells. Old notes
 * are removed. Stores the path in `out` (`cap` bytes). Returns 0 or -errno; then nothing is left.
 */
int vg_unseen_note_make(char *const *command, const char *why_not, char *out, size_t cap);

/* Adds why it could not be watched to the note at `path`, if that is still there. */
void vg_unseen_note_explain(const char *path, const char *why_not);

/* One line on stderr ("vramguard: ...") that nothing was recorded, and why. */
void vg_unseen_note_tell(const struct vg_unseen_note *note);

/* Reads a note. Returns 0 or -errno. */
int vg_unseen_note_read(const char *path, struct vg_unseen_note *out);

/* The newest note of `pid`, or of all for 0. Returns false when there is none. */
bool vg_unseen_note_find(int32_t pid, struct vg_unseen_note *out);

/* For who is about to show a run that began at `shown_start_ns` as the latest: when a later command
 * was not recorded, one line on stderr that says so. 0: no run is shown. */
void vg_unseen_note_warn(uint64_t shown_start_ns);

#endif
