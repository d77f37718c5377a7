/* Writes this process's recorder file (format.h). All tables of the process live in it, so nothing
 * has to be flushed: what was written before a SIGKILL is there after it. Without a file the same
 * tables live in private memory. */
#ifndef VRAMGUARD_RECORD_RECORDER_H
#define VRAMGUARD_RECORD_RECORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/lock.h"
#include "record/area.h"
#include "record/format.h"
#include "record/modules.h"
#include "record/stack_table.h"

struct vg_recorder {
    struct vg_file_header *header; /* never NULL once opened */
    struct vg_live_slot *slots;    /* base of the live area */
    struct vg_block_slot *blocks;  /* of the area of blocks */
    struct vg_site_slot *sites;    /* of the area of sites */
    struct vg_area_file file;
    struct vg_area live, journal, block_area, site_area;
    struct vg_lock journal_lock;
    struct vg_stack_table stacks;
    struct vg_stack_table codes; /* of code objects, by identity */
    struct vg_modules modules;
    char path[4096]; /* of the file, "" when this run is not recorded */
};

struct vg_recorder_config {
    const char *path_template; /* VRAMGUARD_LOG's text; "" = a new file in the state directory */
    unsigned keep_runs;        /* files kept in the state directory; 0 = all */
    uint64_t keep_bytes;       /* that they may take on disk; 0 = any amount */
};

/* Sets up `recorder` (zeroed memory at a fixed address) and creates its file. A file that cannot be
 * created is reported in one line and is no error. Returns 0, or -ENOMEM when not even private
 * memory can be had. */
int vg_recorder_open(struct vg_recorder *recorder, const struct vg_recorder_config *config);

/* Gives back the memory of a recorder that could not be set up, or that nobody uses. Its file
 * stays. */
void vg_recorder_release(struct vg_recorder *recorder);

/* Makes slots [*out_first, *out_first + count) of the live area usable and the caller's. Zeroed.
 * Any thread. Returns 0 or -ENOMEM. */
int vg_recorder_take_slots(struct vg_recorder *recorder, uint32_t count, uint64_t *out_first);

/* The same for the areas of blocks and of sites. */
int vg_recorder_take_blocks(struct vg_recorder *recorder, uint32_t count, uint64_t *out_first);
int vg_recorder_take_sites(struct vg_recorder *recorder, uint32_t count, uint64_t *out_first);

/* Appends a journal record; `size_bytes` <= 48 KiB. On success `*out_offset` (may be NULL) is the
 * payload's offset in the journal area. Any thread. Returns 0 or -ENOMEM. */
int vg_recorder_append(struct vg_recorder *recorder, enum vg_journal_type type, const void *payload,
                       uint32_t size_bytes, uint64_t *out_offset);

/* A stack to be recorded; frames innermost first. */
struct vg_recorder_frames {
    const uint64_t *native; /* program counters */
    const struct vg_journal_python *python;
    uint32_t depth, python_depth; /* at most VG_STACK_FRAMES, VG_PYTHON_FRAMES */
    bool truncated;
};

/* Id of the stack (from 1) that was recorded under `hash`, 0 when there is none. Any thread. */
uint32_t vg_recorder_find_stack(struct vg_recorder *recorder, uint64_t hash);

/* Id of the stack of this hash, recording it unless another thread was faster; 0 when it is empty
 * or cannot be kept. Any thread. */
uint32_t vg_recorder_add_stack(struct vg_recorder *recorder, uint64_t hash,
                               const struct vg_recorder_frames *frames);

/* Both of them, for a native stack: `depth` program counters. */
uint32_t vg_recorder_stack(struct vg_recorder *recorder, const uint64_t *frames, uint32_t depth,
                           bool truncated);

/* The record of stack `id`, valid as long as the recorder; NULL for id 0 or an unknown one. Any
 * thread. */
const struct vg_journal_stack *vg_recorder_stack_record(struct vg_recorder *recorder, uint32_t id);

/* The same three for code objects. `identity` tells them apart. `file` and `name` are UTF-8. */
uint32_t vg_recorder_find_code(struct vg_recorder *recorder, uint64_t identity);
uint32_t vg_recorder_add_code(struct vg_recorder *recorder, uint64_t identity, uint32_t first_line,
                              const char *file, const char *name);
const struct vg_journal_code *vg_recorder_code_record(struct vg_recorder *recorder, uint32_t id);

/* Gives the code `id` another file name: by a new record, which is the one that counts from then
 * on. Without room for it nothing changes. Any thread. */
void vg_recorder_rename_code_file(struct vg_recorder *recorder, uint32_t id, const char *file);

/* Writes the end of the run. The file stays usable afterwards: other exit handlers may still
 * allocate. */
void vg_recorder_finish(struct vg_recorder *recorder, int exit_status);

#endif
