/* The recorder's dictionaries: stacks, and the Python code that occurs in them. */
#include <string.h>

#include "base/hashing.h"
#include "record/recorder.h"

enum { CODE_TEXT_BYTES = 512 };

/* Offset in the journal of the record with this id, 0 when there is none: no payload lies at 0. */
static uint64_t offset_of(struct vg_stack_table *table, uint32_t id)
{
    vg_lock_take(&table->lock);
    const bool known = id > 0 && id <= table->count;
    const uint64_t offset = known ? table->offsets[id - 1] : 0;
    vg_lock_release(&table->lock);
    return offset;
}

/* ---- stacks ---- */

/* A thread's recently seen stacks, so that the common case takes no lock. Small, because
 * thread-local storage is paid for by every thread of the program. */
enum { CACHED_STACKS = 8 };
static _Thread_local struct {
    const struct vg_recorder *recorder; /* another one after fork */
    uint64_t hash;
    uint32_t id;
} cached_stacks[CACHED_STACKS];

static void cache_stack(const struct vg_recorder *recorder, uint64_t hash, uint32_t id)
{
    const unsigned place = hash % CACHED_STACKS;
    if (id == 0)
        return;
    cached_stacks[place].recorder = recorder;
    cached_stacks[place].hash = hash;
    cached_stacks[place].id = id;
}

uint32_t vg_recorder_find_stack(struct vg_recorder *recorder, uint64_t hash)
{
    const unsigned place = hash % CACHED_STACKS;
    if (cached_stacks[place].hash == hash && cached_stacks[place].recorder == recorder)
        return cached_stacks[place].id;
    vg_lock_take(&recorder->stacks.lock);
    const uint32_t id = vg_stack_table_find(&recorder->stacks, hash);
    vg_lock_release(&recorder->stacks.lock);
    cache_stack(recorder, hash, id);
    return id;
}

/* Appends and indexes a stack. The table's lock is held. */
static uint32_t append_stack(struct vg_recorder *recorder, uint64_t hash,
                             const struct vg_recorder_frames *frames)
{
    union {
        struct vg_journal_stack stack;
        char bytes[sizeof(struct vg_journal_stack) + VG_STACK_FRAMES * sizeof(uint64_t) +
                   VG_PYTHON_FRAMES * sizeof(struct vg_journal_python)];
    } payload;
    const size_t native_bytes = frames->depth * sizeof *frames->native;
    const size_t python_bytes = frames->python_depth * sizeof *frames->python;
    payload.stack = (struct vg_journal_stack){ .id = recorder->stacks.count + 1,
                                               .depth = frames->depth,
                                               .python_depth = frames->python_depth,
                                               .truncated = frames->truncated };
    if (native_bytes > 0)
        memcpy(payload.stack.frames, frames->native, native_bytes);
    if (python_bytes > 0)
        memcpy(payload.stack.frames + frames->depth, frames->python, python_bytes);
    uint64_t offset;
    if (vg_recorder_append(recorder, VG_JOURNAL_STACK, &payload,
                           (uint32_t)(sizeof payload.stack + native_bytes + python_bytes),
                           &offset) != 0)
        return 0;
    return vg_stack_table_add(&recorder->stacks, hash, offset);
}

uint32_t vg_recorder_add_stack(struct vg_recorder *recorder, uint64_t hash,
                               const struct vg_recorder_frames *frames)
{
    if (frames->depth + frames->python_depth == 0 || frames->depth > VG_STACK_FRAMES ||
        frames->python_depth > VG_PYTHON_FRAMES)
        return 0;
    vg_lock_take(&recorder->stacks.lock);
    uint32_t id = vg_stack_table_find(&recorder->stacks, hash);
    const bool is_new = id == 0;
    if (is_new)
        id = append_stack(recorder, hash, frames);
    vg_lock_release(&recorder->stacks.lock);
    if (is_new)
        vg_modules_record(recorder);
    cache_stack(recorder, hash, id);
    return id;
}

uint32_t vg_recorder_stack(struct vg_recorder *recorder, const uint64_t *frames, uint32_t depth,
                           bool truncated)
{
    if (depth == 0 || depth > VG_STACK_FRAMES)
        return 0;
    const uint64_t hash = vg_hash_words(frames, depth);
    const uint32_t known = vg_recorder_find_stack(recorder, hash);
    const struct vg_recorder_frames added = { .native = frames,
                                              .depth = depth,
                                              .truncated = truncated };
    return known ? known : vg_recorder_add_stack(recorder, hash, &added);
}

const struct vg_journal_stack *vg_recorder_stack_record(struct vg_recorder *recorder, uint32_t id)
{
    const uint64_t offset = offset_of(&recorder->stacks, id);
    return offset ? (const void *)(recorder->journal.base + offset) : NULL;
}

/* ---- code objects ---- */

uint32_t vg_recorder_find_code(struct vg_recorder *recorder, uint64_t identity)
{
    vg_lock_take(&recorder->codes.lock);
    const uint32_t id = vg_stack_table_find(&recorder->codes, identity);
    vg_lock_release(&recorder->codes.lock);
    return id;
}

/* Writes a record of code. Returns 0 or -errno. */
static int append_code(struct vg_recorder *recorder, uint32_t id, uint32_t first_line,
                       const char *file, const char *name, uint64_t *out_offset)
{
    union {
        struct vg_journal_code code;
        char bytes[sizeof(struct vg_journal_code) + 2 * CODE_TEXT_BYTES];
    } payload;
    const size_t file_bytes = strnlen(file, CODE_TEXT_BYTES - 1) + 1;
    const size_t name_bytes = strnlen(name, CODE_TEXT_BYTES - 1) + 1;
    payload.code = (struct vg_journal_code){ .id = id,
                                             .first_line = first_line,
                                             .file_bytes = (uint32_t)file_bytes,
                                             .name_bytes = (uint32_t)name_bytes };
    memcpy(payload.code.texts, file, file_bytes - 1);
    payload.code.texts[file_bytes - 1] = '\0';
    memcpy(payload.code.texts + file_bytes, name, name_bytes - 1);
    payload.code.texts[file_bytes + name_bytes - 1] = '\0';
    return vg_recorder_append(recorder, VG_JOURNAL_CODE, &payload,
                              (uint32_t)(sizeof payload.code + file_bytes + name_bytes),
                              out_offset);
}

uint32_t vg_recorder_add_code(struct vg_recorder *recorder, uint64_t identity, uint32_t first_line,
                              const char *file, const char *name)
{
    uint64_t offset;
    vg_lock_take(&recorder->codes.lock);
    uint32_t id = vg_stack_table_find(&recorder->codes, identity);
    if (id == 0 &&
        append_code(recorder, recorder->codes.count + 1, first_line, file, name, &offset) == 0)
        id = vg_stack_table_add(&recorder->codes, identity, offset);
    vg_lock_release(&recorder->codes.lock);
    return id;
}

void vg_recorder_rename_code_file(struct vg_recorder *recorder, uint32_t id, const char *file)
{
    const struct vg_journal_code *const code = vg_recorder_code_record(recorder, id);
    uint64_t offset;
    vg_lock_take(&recorder->codes.lock);
    if (code &&
        append_code(recorder, id, code->first_line, file, vg_journal_code_name(code), &offset) == 0)
        recorder->codes.offsets[id - 1] = offset;
    vg_lock_release(&recorder->codes.lock);
}

const struct vg_journal_code *vg_recorder_code_record(struct vg_recorder *recorder, uint32_t id)
{
    const uint64_t offset = offset_of(&recorder->codes, id);
    return offset ? (const void *)(recorder->journal.base + offset) : NULL;
}
