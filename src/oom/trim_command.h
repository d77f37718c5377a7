/* VRAMGUARD_TRIM_CMD: a command of the user's that makes other programs free memory. */
#ifndef VRAMGUARD_OOM_TRIM_COMMAND_H
#define VRAMGUARD_OOM_TRIM_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { VG_TRIM_WORDS_MAX = 64, VG_TRIM_COMMAND_CAP = 1024 };

/* A command line taken apart. */
struct vg_trim_words {
    char *word[VG_TRIM_WORDS_MAX + 1]; /* in `text`; a null pointer ends them */
    char text[VG_TRIM_COMMAND_CAP];
};

/* Splits a command line at blanks: '...' and "..." keep them, a backslash takes the next character
 * as it is (not within '...'). Nothing else has a meaning: no variables, no patterns, no pipes.
 * Returns 0, or -EINVAL with the reason in `why`. */
int vg_trim_command_split(const char *text, struct vg_trim_words *out, char *why, size_t why_cap);

/* What the command is told, as VRAMGUARD_TRIM_* in its environment. */
struct vg_trim_facts {
    int device;
    char uuid[48];
    uint64_t wanted_bytes, freed_bytes, free_bytes; /* VG_BYTES_UNKNOWN: an empty value */
};

struct vg_trim_command_result {
    int error;      /* 0, or the -errno for which it could not be started */
    int status;     /* as waitpid gives it, when it ended by itself */
    bool timed_out; /* it took longer, and was killed with all of its process group */
};

/* Runs the command and waits for it, at most `timeout_ms`. It gets no input, its output goes to
 * standard error, its environment is the program's less our preload; other descriptors, signal
 * handlers and the signal mask are not passed on. It does not outlive the program. To the program
 * it is invisible: it is the child of a process between that raises no SIGCHLD and is not seen by
 * wait(2), and all that is left of both is gone on return. Blocks all of it in this thread, which
 * must have all signals but those of faults blocked; only for the helper. */
void vg_trim_command_run(const struct vg_trim_words *words, const struct vg_trim_facts *facts,
                         uint64_t timeout_ms, struct vg_trim_command_result *out);

#endif
