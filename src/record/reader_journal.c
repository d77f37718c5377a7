#include "record/reader_journal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hashing.h"

/* Makes room for one element more in an array that grows by doubling: `*array` of elements of
 * `size` bytes, `count` used. Returns 0 or -ENOMEM. */
static int grow_array(void **array, size_t count, size_t size)
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
    const int error = grow_array(&array, reader->module_count, sizeof *reader->modules);
    reader->modules = array;
    if (!error)
        reader->modules[reader->module_count++] = module;
    return error;
}

/* Makes room for element `id` in an array of pointers, `*array` with `*cap` of them. Returns 0 or
 * -ENOMEM. */
static int make_room(void **array, size_t *cap, uint32_t id)
{
    if (id < *cap)
        return 0;
    size_t larger_cap = *cap ? *cap : 256;
    while (larger_cap <= id)
        larger_cap *= 2;
    void **const larger = realloc(*array, larger_cap * sizeof *larger);
    if (!larger)
        return -ENOMEM;
    memset(larger + *cap, 0, (larger_cap - *cap) * sizeof *larger);
    *array = larger;
    *cap = larger_cap;
    return 0;
}

/* Do the counts agree with the size, and are the Python frames in order? */
static bool is_stack(const struct vg_journal_stack *stack, uint32_t size_bytes)
{
    if (size_bytes < sizeof *stack ||
        size_bytes - sizeof *stack !=
            (uint64_t)stack->depth * sizeof stack->frames[0] +
                (uint64_t)stack->python_depth * sizeof(struct vg_journal_python))
        return false;
    const struct vg_journal_python *const python = vg_journal_stack_python(stack);
    for (uint32_t i = 0; i < stack->python_depth; i++)
        if (python[i].at > stack->depth || (i > 0 && python[i].at < python[i - 1].at))
            return false;
    return true;
}

static int take_stack(struct vg_reader *reader, const char *payload, uint32_t size_bytes)
{
    const struct vg_journal_stack *const stack = (const void *)payload;
    if (!is_stack(stack, size_bytes) || stack->id == 0 || stack->id > reader->stack_limit)
        return -EBADMSG;
    void *array = reader->stacks;
    const int error = make_room(&array, &reader->stack_cap, stack->id);
    reader->stacks = array;
    if (!error)
        reader->stacks[stack->id] = stack;
    return error;
}

static bool is_code(const struct vg_journal_code *code, uint32_t size_bytes)
{
    return size_bytes >= sizeof *code && code->file_bytes > 0 && code->name_bytes > 0 &&
           size_bytes - sizeof *code == (uint64_t)code->file_bytes + code->name_bytes &&
           code->texts[code->file_bytes - 1] == '\0' &&
           code->texts[code->file_bytes + code->name_bytes - 1] == '\0';
}

/* A code record is no smaller than a stack's, so the same limit holds for its ids. */
static int take_code(struct vg_reader *reader, const char *payload, uint32_t size_bytes)
{
    const struct vg_journal_code *const code = (const void *)payload;
    if (!is_code(code, size_bytes) || code->id == 0 || code->id > reader->stack_limit)
        return -EBADMSG;
    void *array = reader->codes;
    const int error = make_room(&array, &reader->code_cap, code->id);
    reader->codes = array;
    if (!error)
        reader->codes[code->id] = code;
    return error;
}

/* Adds what another layer understands to one of the reader's lists. */
static int take_payload(struct vg_reader_payload **list, size_t *count,
                        const struct vg_reader_payload *payload)
{
    void *array = *list;
    const int error = grow_array(&array, *count, sizeof **list);
    *list = array;
    if (!error)
        (*list)[(*count)++] = *payload;
    return error;
}

/* Returns 0, -ENOMEM, -EBADMSG for a damaged payload, -ENOTSUP for an unknown type. */
static int take_record(struct vg_reader *reader, uint32_t type, const char *payload,
                       uint32_t size_bytes)
{
    const struct vg_reader_payload event = { .bytes = payload,
                                             .size_bytes = size_bytes,
                                             .is_version3 = type < VG_JOURNAL_FAILURE_PARTS };
    switch (type) {
    case VG_JOURNAL_PADDING: return 0;
    case VG_JOURNAL_MODULE: return take_module(reader, payload, size_bytes);
    case VG_JOURNAL_STACK: return take_stack(reader, payload, size_bytes);
    case VG_JOURNAL_CODE: return take_code(reader, payload, size_bytes);
    case VG_JOURNAL_FAILURE:
    case VG_JOURNAL_FAILURE_PARTS:
        return take_payload(&reader->failures, &reader->failure_count, &event);
    case VG_JOURNAL_RESCUE:
    case VG_JOURNAL_RESCUE_PARTS:
        return take_payload(&reader->rescues, &reader->rescue_count, &event);
    case VG_JOURNAL_MARK:
    case VG_JOURNAL_MARK_PARTS: return take_payload(&reader->marks, &reader->mark_count, &event);
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
