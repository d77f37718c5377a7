/* Reads a recorder file (format.h), also while it is being written, torn or hostile: everything is
 * copied out with pread and checked, and what cannot be used is counted instead of trusted.
 *
 * For the tool, not for the preload library: uses malloc. One thread at a time. */
#ifndef VRAMGUARD_RECORD_READER_H
#define VRAMGUARD_RECORD_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "record/format.h"

/* What was found but could not be used. */
struct vg_reader_damage {
    unsigned extents;       /* entries of the extent table that point nowhere sensible */
    unsigned records;       /* journal records with a wrong length, checksum or content */
    unsigned uncommitted;   /* 1: the journal ends in a record that was never finished */
    unsigned unknown;       /* journal records of a type that this version does not know */
    uint64_t slots;         /* live slots with impossible content */
    uint64_t blocks, sites; /* slots of these areas likewise */
    uint64_t missing_bytes; /* of extents behind the end of the file: it was cut */
};

struct vg_reader {
    int fd;
    struct vg_file_header *header; /* a checked copy: texts are NUL terminated and printable, the
                                      extents lie inside the file */
    struct vg_reader_damage damage;

    /* The journal, once vg_reader_load has been called. */
    bool loaded;
    void *chunks[VG_FILE_EXTENTS]; /* the journal's extents, which the pointers below point into */
    size_t chunk_count;
    const struct vg_journal_module **modules; /* in the order of recording */
    size_t module_count;
    const struct vg_journal_stack **stacks; /* [id], NULL where missing; [0] is NULL */
    size_t stack_cap;
    uint64_t stack_limit; /* no id is larger: the journal has no room for more stacks */
    const struct vg_journal_code **codes; /* [id] as stacks */
    size_t code_cap;
    struct vg_reader_payload {
        const void *bytes;
        uint32_t size_bytes;
        bool is_version3; /* a structure of record/version3.h; else parts (record/parts.h) */
    } * failures;         /* oldest first, unchecked */
    size_t failure_count;
    struct vg_reader_payload *rescues; /* likewise */
    size_t rescue_count;
    struct vg_reader_payload *marks; /* likewise */
    size_t mark_count;
};

/* Opens `path` and reads its header. Returns 0, or -errno with a reason for people in `why`
 * (`why_cap` bytes): -EBADMSG is not a recorder file or one that is too damaged, -EPROTO is of
 * another version or kind of machine, -EAGAIN is just being created, others come from the system.
 * On success `reader` is closed by vg_reader_close. */
int vg_reader_open(struct vg_reader *reader, const char *path, char *why, size_t why_cap);

/* Reads the journal: modules, stacks, failures. Returns 0 or -ENOMEM, or -EIO when the file cannot
 * be read. Damaged parts are counted. */
int vg_reader_load(struct vg_reader *reader);

/* Calls `visit` for each live allocation of the file as it is now, or until it returns non-zero.
 * Returns 0, what `visit` returned, or -ENOMEM. */
int vg_reader_each_live(struct vg_reader *reader,
                        int (*visit)(const struct vg_live_slot *slot, void *argument),
                        void *argument);

/* The same for the live blocks of PyTorch's allocator and for the counters of sites, of which
 * several may have the same key: they are to be added up. None in files from before version 4. */
int vg_reader_each_block(struct vg_reader *reader,
                         int (*visit)(const struct vg_block_slot *slot, void *argument),
                         void *argument);
int vg_reader_each_site(struct vg_reader *reader,
                        int (*visit)(const struct vg_site_slot *slot, void *argument),
                        void *argument);

/* The stack with this id, NULL for 0 and unknown ones. Needs vg_reader_load. */
const struct vg_journal_stack *vg_reader_stack(const struct vg_reader *reader, uint32_t id);

/* The Python code with this id, NULL for 0 and unknown ones. Needs vg_reader_load. */
const struct vg_journal_code *vg_reader_code(const struct vg_reader *reader, uint32_t id);

/* Index in `modules` of the module that `address` lies in, the latest when several were loaded
 * there one after the other; module_count when none is known. Needs vg_reader_load. */
size_t vg_reader_module_index(const struct vg_reader *reader, uint64_t address);

/* Is anything of the file unusable, or incomplete because the writer's disk was full? Then one
 * line's worth of it is written to `out` (`cap` >= 1 bytes). */
bool vg_reader_describe_damage(const struct vg_reader *reader, char *out, size_t cap);

void vg_reader_close(struct vg_reader *reader);

#endif
