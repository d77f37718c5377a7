/* Records that outlive a version: a payload is a sequence of parts, each with a tag and its size.
 *
 *   {uint16_t tag, uint16_t flags, uint32_t size_bytes} bytes, padding to 8 bytes, next part ...
 *
 * A later version may add fields to the end of a part, entries to the end of an array's entries,
 * and new tags. It never gives a tag, a field or the value of an enum another meaning. Who reads
 * takes what is missing as 0, and leaves out what it does not know. Texts lie in a part of their
 * own (VG_PART_TEXTS), NUL terminated, and are named by their offset in it; 0 is "".
 *
 * Writing takes the caller's memory; nothing here calls malloc. Reading trusts nothing. */
#ifndef VRAMGUARD_RECORD_PARTS_H
#define VRAMGUARD_RECORD_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vg_part {
    uint16_t tag;
    uint16_t flags; /* 0 */
    uint32_t size_bytes;
};

/* In front of the entries of an array. */
struct vg_part_array {
    uint32_t entry_bytes, count;
};

/* ---- writing ---- */

struct vg_part_writer {
    char *bytes;
    size_t cap, used;
    char *texts; /* written last, by vg_part_finish */
    size_t text_cap, text_used;
    bool is_full; /* a part found no room and was left out */
};

/* A writer into `bytes`, which is 8-byte aligned, `cap` >= 64 of them; the last quarter of it
 * gathers the texts. */
struct vg_part_writer vg_part_write(void *bytes, size_t cap);

/* Adds a part. */
void vg_part_add(struct vg_part_writer *writer, uint16_t tag, const void *part, size_t size_bytes);

/* Adds an array of `count` entries of `entry_bytes`, zeroed, and returns it for the caller to fill;
 * NULL when there is no room for all, or `count` is 0. */
void *vg_part_add_array(struct vg_part_writer *writer, uint16_t tag, size_t entry_bytes,
                        size_t count);

/* Keeps a text; what does not fit is cut. Returns its offset, 0 for "". */
uint32_t vg_part_text(struct vg_part_writer *writer, const char *text);

/* Adds the texts, as `tag`. Returns the size of the payload. */
uint32_t vg_part_finish(struct vg_part_writer *writer, uint16_t tag);

/* ---- reading ---- */

struct vg_part_reader {
    const char *bytes;
    size_t size_bytes;
    const char *texts;
    size_t text_bytes;
};

/* A reader of the payload `bytes`, which outlives it; its texts are the part `text_tag`. */
struct vg_part_reader vg_part_read(const void *bytes, size_t size_bytes, uint16_t text_tag);

/* The part `tag` and its size; NULL when there is none. */
const void *vg_part_find(const struct vg_part_reader *reader, uint16_t tag, size_t *out_bytes);

/* Copies part `tag` to `out` (`size_bytes`), the rest of which becomes 0. Returns whether there is
 * one. */
bool vg_part_get(const struct vg_part_reader *reader, uint16_t tag, void *out, size_t size_bytes);

/* How many entries the array `tag` has. */
uint32_t vg_part_count(const struct vg_part_reader *reader, uint16_t tag);

/* Copies entry `index`, which there is, as vg_part_get. */
void vg_part_get_entry(const struct vg_part_reader *reader, uint16_t tag, uint32_t index, void *out,
                       size_t size_bytes);

/* The text at `offset`: "" when there is none, or it does not end. Its bytes may be any. */
const char *vg_part_text_at(const struct vg_part_reader *reader, uint32_t offset);

#endif
