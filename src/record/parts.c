#include "record/parts.h"

#include <string.h>

static size_t padded_size(size_t bytes)
{
    return (bytes + 7) & ~(size_t)7;
}

/* ---- writing ---- */

struct vg_part_writer vg_part_write(void *bytes, size_t cap)
{
    const size_t text_cap = cap / 4 & ~(size_t)7;
    return (struct vg_part_writer){ .bytes = bytes,
                                    .cap = cap - text_cap - 2 * sizeof(struct vg_part),
                                    .texts = (char *)bytes + cap - text_cap,
                                    .text_cap = text_cap };
}

/* Room for a part of `size_bytes`, zeroed; NULL when there is none. */
static void *start_part(struct vg_part_writer *writer, uint16_t tag, size_t size_bytes)
{
    const size_t needed = sizeof(struct vg_part) + padded_size(size_bytes);
    if (size_bytes > writer->cap || writer->cap - writer->used < needed) {
        writer->is_full = true;
        return NULL;
    }
    struct vg_part *const part = (void *)(writer->bytes + writer->used);
    *part = (struct vg_part){ .tag = tag, .size_bytes = (uint32_t)size_bytes };
    memset(part + 1, 0, padded_size(size_bytes));
    writer->used += needed;
    return part + 1;
}

void vg_part_add(struct vg_part_writer *writer, uint16_t tag, const void *part, size_t size_bytes)
{
    void *const room = start_part(writer, tag, size_bytes);
    if (room)
        memcpy(room, part, size_bytes);
}

void *vg_part_add_array(struct vg_part_writer *writer, uint16_t tag, size_t entry_bytes,
                        size_t count)
{
    if (count == 0)
        return NULL;
    struct vg_part_array *const array =
        start_part(writer, tag, sizeof(struct vg_part_array) + entry_bytes * count);
    if (!array)
        return NULL;
    *array =
        (struct vg_part_array){ .entry_bytes = (uint32_t)entry_bytes, .count = (uint32_t)count };
    return array + 1;
}

uint32_t vg_part_text(struct vg_part_writer *writer, const char *text)
{
    size_t length = strlen(text);
    if (length == 0)
        return 0;
    if (writer->text_used == 0)
        writer->texts[writer->text_used++] = '\0'; /* offset 0 is "" */
    const size_t room = writer->text_cap - writer->text_used;
    if (room < 2)
        return 0;
    length = length < room ? length : room - 1;
    const uint32_t offset = (uint32_t)writer->text_used;
    memcpy(writer->texts + offset, text, length);
    writer->texts[offset + length] = '\0';
    writer->text_used += length + 1;
    return offset;
}

uint32_t vg_part_finish(struct vg_part_writer *writer, uint16_t tag)
{
    /* They lie behind the room for parts, and move to the end of the parts. */
    struct vg_part *const part = (void *)(writer->bytes + writer->used);
    const size_t size_bytes = writer->text_used;
    if (size_bytes == 0)
        return (uint32_t)writer->used;
    memmove(part + 1, writer->texts, size_bytes);
    *part = (struct vg_part){ .tag = tag, .size_bytes = (uint32_t)size_bytes };
    memset((char *)(part + 1) + size_bytes, 0, padded_size(size_bytes) - size_bytes);
    writer->used += sizeof *part + padded_size(size_bytes);
    return (uint32_t)writer->used;
}

/* ---- reading ---- */

/* The part at `offset`, NULL behind the last whole one; stores where the next one is. */
static const struct vg_part *part_at(const struct vg_part_reader *reader, size_t offset,
                                     size_t *out_next)
{
    if (offset > reader->size_bytes || reader->size_bytes - offset < sizeof(struct vg_part))
        return NULL;
    const struct vg_part *const part = (const void *)(reader->bytes + offset);
    if (part->size_bytes > reader->size_bytes - offset - sizeof *part)
        return NULL;
    *out_next = offset + sizeof *part + padded_size(part->size_bytes);
    return part;
}

const void *vg_part_find(const struct vg_part_reader *reader, uint16_t tag, size_t *out_bytes)
{
    size_t offset = 0;
    for (const struct vg_part *part; (part = part_at(reader, offset, &offset));)
        if (part->tag == tag) {
            *out_bytes = part->size_bytes;
            return part + 1;
        }
    return NULL;
}

struct vg_part_reader vg_part_read(const void *bytes, size_t size_bytes, uint16_t text_tag)
{
    struct vg_part_reader reader = { .bytes = bytes, .size_bytes = size_bytes };
    reader.texts = vg_part_find(&reader, text_tag, &reader.text_bytes);
    return reader;
}

static void copy_extended(void *out, size_t out_bytes, const void *from, size_t from_bytes)
{
    memset(out, 0, out_bytes);
    memcpy(out, from, from_bytes < out_bytes ? from_bytes : out_bytes);
}

bool vg_part_get(const struct vg_part_reader *reader, uint16_t tag, void *out, size_t size_bytes)
{
    size_t there;
    const void *const part = vg_part_find(reader, tag, &there);
    if (part)
        copy_extended(out, size_bytes, part, there);
    else
        memset(out, 0, size_bytes);
    return part != NULL;
}

/* The head of an array whose entries are all there; NULL for none. */
static const struct vg_part_array *find_array(const struct vg_part_reader *reader, uint16_t tag)
{
    size_t there;
    const struct vg_part_array *const array = vg_part_find(reader, tag, &there);
    if (!array || there < sizeof *array || array->entry_bytes == 0 ||
        array->count > (there - sizeof *array) / array->entry_bytes)
        return NULL;
    return array;
}

uint32_t vg_part_count(const struct vg_part_reader *reader, uint16_t tag)
{
    const struct vg_part_array *const array = find_array(reader, tag);
    return array ? array->count : 0;
}

void vg_part_get_entry(const struct vg_part_reader *reader, uint16_t tag, uint32_t index, void *out,
                       size_t size_bytes)
{
    const struct vg_part_array *const array = find_array(reader, tag);
    const char *const entries = (const char *)(array + 1);
    copy_extended(out, size_bytes, entries + (size_t)index * array->entry_bytes,
                  array->entry_bytes);
}

const char *vg_part_text_at(const struct vg_part_reader *reader, uint32_t offset)
{
    if (offset == 0 || offset >= reader->text_bytes ||
        !memchr(reader->texts + offset, '\0', reader->text_bytes - offset))
        return "";
    return reader->texts + offset;
}
