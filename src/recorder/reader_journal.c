#include "recorder/reader_journal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hashing.h"

/* Makes room for one element more in an array that grows by doubling: `*array` of elements of
 * `size` bytes, `count` used. Returns 0 or -ENOMEM. */
static int grow(void **array, size_t count, size_t size)
{
    if (count & (count - 1) || count == 1)
        return 0;
    void *const larger = realloc(*array, (count ? 2 * count : 2) * size);
    if (!larger)
        return -ENOMEM;
    *array = larger;
    return 0;
}

static int take_module(struct vg_reader *reader, const char *payload, uint32_t size_bytes)
{
    const struct vg_journal_module *const module = (const void *)payload;
    const size_t fixed = offsetof(struct vg_journal_module, path);
    if (size_bytes <= fixed || payload[size_bytes - 1] != '\0' || module->start >= module->end ||
        module->build_id_bytes > sizeof module->build_id)
        return -EBADMSG;
    void *array = reader->modules;
    const int error = grow(&array, reader->module_count, sizeof *reader->modules);
    reader->modules = array;
    if (!error)
        reader->modules[reader->module_count++] = module;
    return error;
}

static int make_room_for_stack(struct vg_reader *reader, uint32_t id)
{
    if (id < reader->stack_cap)
        return 0;
    size_t cap = reader->stack_cap ? reader->stack_cap : 256;
    while (cap <= id)
        cap *= 2;
    void *const larger = realloc(reader->stacks, cap * sizeof *reader->stacks);
    if (!larger)
        return -ENOMEM;
    reader->stacks = larger;
    memset(reader->stacks + reader->stack_cap, 0,
           (cap - reader->stack_cap) * sizeof *reader->stacks);
    reader->stack_cap = cap;
    return 0;
}

static int take_stack(struct vg_reader *reader, const char *payload, uint32_t size_bytes)
{
    const struct vg_journal_stack *const stack = (const void *)payload;
    if (size_bytes < sizeof *stack ||
        (size_bytes - sizeof *stack) / sizeof stack->frames[0] != stack->depth || stack->id == 0 ||
        stack->id > reader->stack_limit)
        return -EBADMSG;
    const int error = make_room_for_stack(reader, stack->id);
    if (!error)
        reader->stacks[stack->id] = stack;
    return error;
}

static int take_failure(struct vg_reader *reader, const char *payload, uint32_t size_bytes)
{
    void *array = reader->failures;
    const int error = grow(&array, reader->failure_count, sizeof *reader->failures);
    reader->failures = array;
    if (!error)
        reader->failures[reader->failure_count++] =
            (struct vg_reader_payload){ .bytes = payload, .size_bytes = size_bytes };
    return error;
}

/* Returns 0, -ENOMEM, -EBADMSG for a damaged payload, -ENOTSUP for an unknown type. */
static int take_record(struct vg_reader *reader, uint32_t type, const char *payload,
                       uint32_t size_bytes)
{
    switch (type) {
    case VG_JOURNAL_PADDING: return 0;
    case VG_JOURNAL_MODULE: return take_module(reader, payload, size_bytes);
    case VG_JOURNAL_STACK: return take_stack(reader, payload, size_bytes);
    case VG_JOURNAL_FAILURE: return take_failure(reader, payload, size_bytes);
    default: return -ENOTSUP;
    }
}

int vg_reader_parse_chunk(struct vg_reader *reader, const char *chunk, size_t length,
                          uint64_t area_offset, bool *out_more)
{
    const uint64_t committed = reader->header->journal_bytes;
    *out_more = true;
    for (size_t at = 0; length - at >= sizeof(struct vg_journal_record);) {
        const struct vg_journal_record *const record = (const void *)(chunk + at);
        const bool is_committed = area_offset + at < committed;
        const size_t room = length - at - sizeof *record;
        const char *const payload = chunk + at + sizeof *record;
        if (record->type == VG_JOURNAL_NONE) {
            reader->damage.uncommitted = is_committed || record->size_bytes != 0;
            *out_more = false;
            return 0;
        }
        if (record->size_bytes > room) { /* the next extent begins with a record again */
            reader->damage.records++;
            return 0;
        }
        int error = -EBADMSG;
        if (record->type == VG_JOURNAL_PADDING ||
            record->checksum == vg_hash_fnv1a(payload, record->size_bytes))
            error = take_record(reader, record->type, payload, record->size_bytes);
        if (error == -ENOMEM)
            return error;
        if (error && !is_committed) { /* written while we read */
            reader->damage.uncommitted = 1;
            *out_more = false;
            return 0;
        }
        reader->damage.records += error == -EBADMSG;
        reader->damage.unknown += error == -ENOTSUP;
        const size_t padded = ((size_t)record->size_bytes + 7) & ~(size_t)7;
        if (padded > room)
            return 0;
        at += sizeof *record + padded;
    }
    return 0;
}
