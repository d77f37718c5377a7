#include "analyze/stack_names.h"

#include <string.h>

#include "analyze/frame.h"
#include "base/text.h"
#include "record/stack_merge.h"

enum { INLINED_MAX = 8, DIRECTORIES_MAX = 8 };

/* A file of the program's own code. */
struct vg_own_file {
    struct vg_own_file *older;
    const char *path;
    uint32_t number;      /* from 1 */
    uint32_t directories; /* that its name takes to be told from the others */
};

/* What is known of a code object. */
struct vg_code_note {
    struct vg_own_file *file; /* NULL: not the program's, or not looked at */
    bool is_known;
};

void vg_stack_names_init(struct vg_stack_names *names, const struct vg_run_source *source,
                         struct vg_region *region)
{
    *names = (struct vg_stack_names){ .source = source, .region = region };
    names->codes = vg_region_array(region, (size_t)source->code_count + 1, sizeof *names->codes);
}

/* ---- the program's own files ---- */

/* Two files with the same name show more of their paths, as far as that helps. */
static void tell_apart(struct vg_own_file *a, struct vg_own_file *b)
{
    uint32_t directories = a->directories > b->directories ? a->directories : b->directories;
    while (directories < DIRECTORIES_MAX && strcmp(vg_frame_path_end(a->path, directories),
                                                   vg_frame_path_end(b->path, directories)) == 0)
        directories++;
    if (strcmp(vg_frame_path_end(a->path, 0), vg_frame_path_end(b->path, 0)) == 0)
        a->directories = b->directories = directories;
}

static struct vg_own_file *find_file(struct vg_stack_names *names, const char *path)
{
    struct vg_own_file *file = names->files;
    while (file && strcmp(file->path, path) != 0)
        file = file->older;
    if (file)
        return file;
    file = vg_region_alloc(names->region, sizeof *file);
    if (!file)
        return NULL;
    *file = (struct vg_own_file){ .older = names->files,
                                  .path = vg_region_safe_text(names->region, path),
                                  .number = ++names->file_count };
    for (struct vg_own_file *other = names->files; other; other = other->older)
        tell_apart(file, other);
    names->files = file;
    return file;
}

/* The file of a code object of the program's own; NULL for all others. */
static struct vg_own_file *file_of_code(struct vg_stack_names *names, uint32_t code_id)
{
    if (!names->codes || code_id > names->source->code_count)
        return NULL;
    struct vg_code_note *const note = &names->codes[code_id];
    if (note->is_known)
        return note->file;
    note->is_known = true;
    const struct vg_journal_code *const code = names->source->code(names->source->context, code_id);
    if (code && !vg_frame_is_library_path(code->texts))
        note->file = find_file(names, code->texts);
    return note->file;
}

struct vg_own_frame vg_stack_names_own(struct vg_stack_names *names,
                                       const struct vg_journal_stack *stack, uint32_t from)
{
    const uint32_t count = stack ? stack->python_depth : 0;
    const struct vg_journal_python *const python = stack ? vg_journal_stack_python(stack) : NULL;
    for (uint32_t i = from; i < count; i++) {
        const struct vg_own_file *const file = file_of_code(names, python[i].code_id);
        if (file)
            return (struct vg_own_frame){ .key = (uint64_t)file->number << 32 | python[i].line,
                                          .index = i };
    }
    return (struct vg_own_frame){ .key = 0 };
}

static bool is_of_the_same_file(struct vg_own_frame a, struct vg_own_frame b)
{
    return a.key >> 32 == b.key >> 32;
}

struct vg_own_frame vg_stack_names_caller(struct vg_stack_names *names,
                                          const struct vg_journal_stack *stack,
                                          struct vg_own_frame own)
{
    const struct vg_own_frame next = vg_stack_names_own(names, stack, own.index + 1);
    struct vg_own_frame other = next;
    while (other.key && is_of_the_same_file(other, own))
        other = vg_stack_names_own(names, stack, other.index + 1);
    return other.key ? other : next;
}

struct vg_run_line vg_run_line_none(void)
{
    return (struct vg_run_line){ .path = "", .file = "", .function = "", .text = "" };
}

struct vg_run_line vg_stack_names_line(struct vg_stack_names *names,
                                       const struct vg_journal_stack *stack, uint32_t index)
{
    const struct vg_journal_python *const python = &vg_journal_stack_python(stack)[index];
    const struct vg_journal_code *const code =
        names->source->code(names->source->context, python->code_id);
    const struct vg_own_file *const file = file_of_code(names, python->code_id);
    struct vg_run_line line = vg_run_line_none();
    line.line = python->line;
    if (!code)
        return line;
    line.path = vg_region_safe_text(names->region, code->texts);
    line.file = vg_frame_path_end(line.path, file ? file->directories : 0);
    line.function = vg_region_safe_text(names->region, vg_journal_code_name(code));
    return line;
}

struct vg_run_line vg_stack_names_own_line(struct vg_stack_names *names, uint32_t id)
{
    const struct vg_run_source *const source = names->source;
    const struct vg_journal_stack *const stack = source->stack(source->context, id);
    const struct vg_own_frame own = vg_stack_names_own(names, stack, 0);
    return own.key ? vg_stack_names_line(names, stack, own.index) : vg_run_line_none();
}

/* ---- names ---- */

void vg_stack_names_note(struct vg_stack_names *names, uint32_t id)
{
    const struct vg_run_source *const source = names->source;
    const struct vg_journal_stack *const stack = source->stack(source->context, id);
    for (uint32_t i = 0; stack && i < stack->depth; i++)
        source->note_address(source->context, stack->frames[i]);
}

static struct vg_run_frame name_python(struct vg_stack_names *names,
                                       const struct vg_journal_python *python)
{
    const struct vg_run_source *const source = names->source;
    struct vg_run_frame frame = vg_frame_of_python(
        names->region, source->code(source->context, python->code_id), python->line);
    const struct vg_own_file *const file = file_of_code(names, python->code_id);
    if (file)
        frame.flags |= file->directories * VG_FRAME_DIRECTORY;
    return frame;
}

/* Puts the names of a native frame behind the `used` frames of `out`. Returns how many there are
 * then. */
static uint32_t add_native(struct vg_stack_names *names, uint64_t address, struct vg_run_frame *out,
                           uint32_t used, uint32_t cap)
{
    return used + names->source->name_address(names->source->context, address, names->region,
                                              out + used, cap - used);
}

struct vg_run_stack vg_stack_names_get(struct vg_stack_names *names, uint32_t id)
{
    const struct vg_run_source *const source = names->source;
    const struct vg_journal_stack *const stack = source->stack(source->context, id);
    struct vg_run_stack out = { .id = id };
    if (!stack)
        return out;
    const uint32_t cap = stack->depth + stack->python_depth + INLINED_MAX;
    struct vg_run_frame *const frames = vg_region_array(names->region, cap, sizeof *frames);
    struct vg_stack_cursor cursor = { 0 };
    struct vg_stack_item item;
    out.frames = frames;
    out.truncated = stack->truncated;
    while (frames && out.frame_count < cap && vg_stack_next(stack, &cursor, &item)) {
        if (item.python)
            frames[out.frame_count++] = name_python(names, item.python);
        else
            out.frame_count = add_native(names, item.address, frames, out.frame_count, cap);
    }
    return out;
}

struct vg_run_stack vg_stack_names_of_addresses(struct vg_stack_names *names,
                                                const uint64_t *addresses, uint32_t count)
{
    const uint32_t cap = count + INLINED_MAX;
    struct vg_run_frame *const frames = vg_region_array(names->region, cap, sizeof *frames);
    struct vg_run_stack out = { .frames = frames };
    for (uint32_t i = 0; frames && i < count && out.frame_count < cap; i++)
        out.frame_count = add_native(names, addresses[i], frames, out.frame_count, cap);
    return out;
}
