/* A run file as the source of a run. */
#ifndef VRAMGUARD_ANALYZE_FILE_SOURCE_H
#define VRAMGUARD_ANALYZE_FILE_SOURCE_H

#include "analyze/run_source.h"
#include "record/reader.h"

/* Who names addresses better than the file does by itself: vg_run_source.name_address. */
struct vg_address_names {
    uint32_t (*name)(void *context, uint64_t address, struct vg_region *region,
                     struct vg_run_frame *out, uint32_t cap);
    void *context;
};

struct vg_file_source {
    struct vg_run_source source;
    struct vg_reader *reader;
    struct vg_address_names names;
};

/* Fills `out` (at a fixed address) for a loaded reader, which outlives it, of the file at `path`.
 * Without `names` (NULL) a native frame has the name of its module only. Reads the live allocations
 * to find out until when they were made. Uses malloc, as the reader does. */
void vg_file_source_init(struct vg_file_source *out, struct vg_reader *reader, const char *path,
                         const struct vg_address_names *names);

/* Names an address by the modules recorded in the file alone. */
void vg_file_source_module(const struct vg_reader *reader, struct vg_region *region,
                           uint64_t address, struct vg_run_frame *out);

/* Builds the whole run: process, devices, failures, rescues, marks. Damage that is met is counted
 * in the reader. Memory comes from `region`. */
void vg_file_source_build(struct vg_file_source *source, struct vg_region *region,
                          struct vg_run *out);

#endif
