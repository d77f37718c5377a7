/* Events of run files of format version 3 (record/version3.h) as parts of a run. */
#ifndef VRAMGUARD_ANALYZE_VERSION3_H
#define VRAMGUARD_ANALYZE_VERSION3_H

#include "analyze/stack_names.h"
#include "record/reader.h"

/* Fill `out` from a payload, with all that it says: amounts that cannot be become unknown, texts
 * safe to print, counts what there is. Sentences in which actions told their outcome become
 * VG_OUTCOME_TEXT. Sites are labelled; of the failing call's stack the recorded names are filled
 * in. Return 0, or -EBADMSG for what is no such record. */
int vg_version3_failure(const struct vg_reader_payload *payload, struct vg_stack_names *names,
                        struct vg_run_failure *out);
int vg_version3_rescue(const struct vg_reader_payload *payload, struct vg_region *region,
                       struct vg_run_rescue *out);
int vg_version3_mark(const struct vg_reader_payload *payload, struct vg_region *region,
                     struct vg_run_mark *out);

#endif
