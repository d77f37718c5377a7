/* What reads the parts of one record of an event: failure_read.c and event_read.c share it. */
#ifndef VRAMGUARD_ANALYZE_EVENT_READER_H
#define VRAMGUARD_ANALYZE_EVENT_READER_H

#include "analyze/outcome.h"
#include "analyze/stack_names.h"
#include "record/event_parts.h"
#include "record/parts.h"
#include "record/reader.h"

struct vg_event_reader {
    struct vg_part_reader parts;
    struct vg_stack_names *names;
    struct vg_region *region;
    int32_t rank, world_size; /* of the process, as a failure tells */
};

/* Both outlive it. */
struct vg_event_reader vg_event_reader_of(const struct vg_reader_payload *payload,
                                          struct vg_stack_names *names);

/* The text at an offset, safe to print, in the region. */
const char *vg_event_text(struct vg_event_reader *r, uint32_t offset);

/* VG_BYTES_UNKNOWN for what is no amount. */
uint64_t vg_event_amount(uint64_t bytes);

/* Room for the entries of array `tag`: as many as there is memory for. */
void *vg_event_array(struct vg_event_reader *r, uint16_t tag, size_t size_bytes,
                     uint32_t *out_count);

/* The actions of a failure or a rescue. */
const struct vg_oom_action *vg_event_actions(struct vg_event_reader *r, uint32_t *out_count);

/* Fills `out` with all that the record of a failure says, its sites labelled; of its stack, the
 * names that were recorded. Returns false when it is none. */
bool vg_failure_read(struct vg_event_reader *r, struct vg_run_failure *out);

/* Takes the census of a record that continues the one before. Returns whether there is one. */
bool vg_failure_read_census(struct vg_event_reader *r, struct vg_run_failure *out);

#endif
