/* What came of an action, in numbers (outcome_table.h): made at the failing call, kept in the run
 * file as it is, put into words by view/outcome_text.h. */
#ifndef VRAMGUARD_ANALYZE_OUTCOME_H
#define VRAMGUARD_ANALYZE_OUTCOME_H

#include <stdbool.h>
#include <stdint.h>

enum vg_outcome_code {
    VG_OUTCOME_NONE = 0,
#define VG_OUTCOME(number, name, json_name, sentence) VG_OUTCOME_##name = (number),
#include "analyze/outcome_table.h"
#undef VG_OUTCOME
};

enum { VG_ACTION_OUTCOMES = 6, VG_ACTION_TEXTS_CAP = 168 };

/* One outcome; what its sentence does not name is 0. */
struct vg_outcome {
    uint16_t code;    /* enum vg_outcome_code; a newer version's may be unknown here */
    uint16_t text_at; /* 1 + where its text begins in the action's `texts`; 0: it has none */
    union {
        int32_t pid;
        int32_t number; /* an exit status, a signal, a CUresult */
    };
    uint64_t bytes; /* VG_BYTES_UNKNOWN if not known */
    union {
        uint64_t ms;
        uint64_t more_bytes;
    };
};

/* One thing that was tried before the failure was returned. */
struct vg_oom_action {
    char name[24];
    uint32_t outcome_count;
    uint32_t texts_used; /* bytes of `texts` */
    struct vg_outcome outcomes[VG_ACTION_OUTCOMES];
    char texts[VG_ACTION_TEXTS_CAP]; /* each ends in a NUL: names of processes and hooks, which may
                                        be gone when somebody reads this */
    uint64_t recovered_bytes;
    uint64_t duration_ns;
};

_Static_assert(sizeof(struct vg_outcome) == 24, "a run file holds it");
_Static_assert(sizeof(struct vg_oom_action) == 24 + 8 + 144 + 168 + 16, "a run file holds it");

/* Adds a copy of `outcome` with a copy of `text` (NULL: none), which is cut when `texts` is full.
 * When there is no room for another outcome the last one becomes VG_OUTCOME_MORE_NOT_SHOWN. Of the
 * caller's thread alone; no locks, no malloc. */
void vg_outcome_add(struct vg_oom_action *to, struct vg_outcome outcome, const char *text);

/* The text of one of the action's outcomes, "" when it has none. Points into `action`. */
const char *vg_outcome_subject(const struct vg_oom_action *action,
                               const struct vg_outcome *outcome);

/* Has the action this outcome? */
bool vg_outcome_is_among(const struct vg_oom_action *action, enum vg_outcome_code code);

/* After an action has been read from a file: its counts, offsets and texts become safe to use.
 * Returns how many things had to be changed. */
int vg_outcome_repair(struct vg_oom_action *action);

#endif
