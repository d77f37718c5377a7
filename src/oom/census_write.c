/* From the rows of a census to its result's variables. */
#include <string.h>

#include "base/text.h"
#include "oom/census_work.h"
#include "oom/notebook.h"

enum { NAMES_MAX = 16 };

static uint64_t bytes_of(const struct vg_census_row *row)
{
    return vg_census_row_sum(row).bytes;
}

void vg_census_path_prepend(char *path, size_t cap, const char *part, const char *separator)
{
    const size_t part_length = strlen(part), separator_length = strlen(separator);
    const size_t length = strlen(path), added = part_length + separator_length;
    if (vg_text_starts_with(path, "..."))
        return;
    if (added + length < cap) {
        memmove(path + added, path, length + 1);
        memcpy(path, part, part_length);
        memcpy(path + part_length, separator, separator_length);
    } else if (3 + length < cap) {
        memmove(path + 3, path, length + 1);
        memcpy(path, "...", 3);
    }
}

/* ---- which rows are told ---- */

struct choice {
    const struct vg_census_work *work;
    uint32_t rows[VG_CENSUS_VARIABLES]; /* by bytes, the largest first */
    uint32_t count;
};

static void choose_row(struct choice *choice, uint32_t number)
{
    const uint64_t bytes = bytes_of(vg_census_row_number(choice->work, number));
    if (bytes == 0)
        return;
    uint32_t at = choice->count;
    while (at > 0 && bytes_of(vg_census_row_number(choice->work, choice->rows[at - 1])) < bytes)
        at--;
    if (at == VG_CENSUS_VARIABLES)
        return;
    if (choice->count < VG_CENSUS_VARIABLES)
        choice->count++;
    memmove(&choice->rows[at + 1], &choice->rows[at],
            (choice->count - at - 1) * sizeof choice->rows[0]);
    choice->rows[at] = number;
}

/* The children of a row stand after it, before the first that is not below it. */
static bool is_below(const struct vg_census_work *work, size_t number, uint32_t top)
{
    return number < work->rows.count && vg_census_row_number(work, number)->parent >= top;
}

static uint32_t largest_child(const struct vg_census_work *work, uint32_t parent)
{
    uint32_t largest = 0;
    uint64_t bytes = 0;
    for (uint32_t i = parent + 1; is_below(work, i, parent); i++) {
        const struct vg_census_row *const row = vg_census_row_number(work, i);
        if (row->parent == parent && bytes_of(row) > bytes) {
            bytes = bytes_of(row);
            largest = i;
        }
    }
    return largest;
}

static void choose_parts(struct choice *choice, uint32_t number, uint32_t depth);

/* An object's attributes are told where they have a tenth of it, and the rest where it has one. */
static void choose_attributes(struct choice *choice, uint32_t number, uint32_t depth)
{
    const struct vg_census_work *const work = choice->work;
    struct vg_census_row *const row = vg_census_row_number(work, number);
    const uint64_t bytes = bytes_of(row), part_bytes = bytes / 10;
    for (uint32_t i = number + 1; is_below(work, i, number); i++) {
        const struct vg_census_row *const part = vg_census_row_number(work, i);
        if (part->parent != number || bytes_of(part) < part_bytes)
            continue;
        vg_census_amount_subtract(&row->direct, &part->direct);
        vg_census_amount_subtract(&row->graph, &part->graph);
        vg_census_amount_subtract(&row->model, &part->model);
        vg_census_amount_subtract(&row->traceback, &part->traceback);
        vg_census_amount_subtract(&row->array_traceback, &part->array_traceback);
        row->leaf_edges -= part->leaf_edges < row->leaf_edges ? part->leaf_edges : row->leaf_edges;
        for (size_t k = 0; k < VG_CENSUS_ARRAY_LIBRARIES; k++)
            vg_census_amount_subtract(&row->arrays[k], &part->arrays[k]);
        choose_parts(choice, i, depth + 1);
    }
    if (bytes_of(row) >= part_bytes)
        choose_row(choice, number);
}

/* A dictionary is told whole unless one of its values has four fifths of it. */
static void choose_parts(struct choice *choice, uint32_t number, uint32_t depth)
{
    const struct vg_census_work *const work = choice->work;
    struct vg_census_row *const row = vg_census_row_number(work, number);
    const uint64_t bytes = bytes_of(row);
    row->stands_alone = true;
    if (depth < NAMES_MAX && !row->is_dict) {
        choose_attributes(choice, number, depth);
        return;
    }
    const uint32_t largest = largest_child(work, number);
    if (depth < NAMES_MAX && largest &&
        bytes_of(vg_census_row_number(work, largest)) >= bytes - bytes / 5)
        choose_parts(choice, largest, depth + 1);
    else
        choose_row(choice, number);
}

/* ---- how they are told ---- */

static void write_path(const struct vg_census_work *work, const struct vg_census_row *row,
                       char *path, size_t cap)
{
    char name[VG_CENSUS_PATH_CAP], key[VG_CENSUS_PATH_CAP];
    const char *after = "";
    path[0] = '\0';
    if (!row->name)
        return;
    for (;; row = vg_census_row_number(work, row->parent)) {
        vg_census_str_write(work->python, row->name, name, sizeof name);
        if (row->step == VG_STEP_KEY) {
            struct vg_text text = vg_text_over(key, sizeof key);
            vg_text_addf(&text, "[\"%s\"]", name);
            vg_census_path_prepend(path, cap, key, after);
            after = "";
        } else {
            vg_census_path_prepend(path, cap, name, after);
            after = ".";
        }
        if (row->parent == VG_CENSUS_NO_ROW)
            return;
    }
}

static int64_t length_of(const struct vg_census_python *python, uintptr_t object)
{
    const uintptr_t type = vg_object_type(object);
    if (vg_type_flags(type) & (VG_TYPE_IS_LIST | VG_TYPE_IS_TUPLE | VG_TYPE_IS_DICT))
        return (int64_t)vg_python_word(object + VG_SIZE);
    if (type == (uintptr_t)python->set || type == (uintptr_t)python->frozenset)
        return (int64_t)vg_python_word(object + VG_SET_SIZE);
    if (vg_census_type_is(type, "collections.deque"))
        return (int64_t)vg_python_word(object + VG_SIZE);
    return -1;
}

static const struct vg_census_frame *frame_of_row(const struct vg_census_work *work,
                                                  const struct vg_census_row *row)
{
    return (const struct vg_census_frame *)work->frames.items + row->frame;
}

static void write_variable(const struct vg_census_work *work, const struct vg_census_row *row,
                           struct vg_census_variable *out)
{
    const struct vg_census_frame *const frame = frame_of_row(work, row);
    *out = (struct vg_census_variable){
        .place = row->place,
        .length = length_of(work->python, row->object),
        .line = frame->line,
        .thread = frame->thread,
        .direct = row->direct,
        .graph = row->graph,
        .model = row->model,
        .traceback = row->traceback,
    };
    write_path(work, row, out->path, sizeof out->path);
    vg_census_type_name(vg_object_type(row->object), out->type, sizeof out->type);
    if (frame->file) {
        vg_census_str_write(work->python, frame->file, out->file, sizeof out->file);
        vg_notebook_name_file(work->python, out->file, sizeof out->file);
    }
    if (frame->function)
        vg_census_str_write(work->python, frame->function, out->function, sizeof out->function);
}

/* Is it a torch.nn.Module, or part of one? */
static bool is_in_module(struct vg_census_work *work, const struct vg_census_row *row)
{
    for (;; row = vg_census_row_number(work, row->parent)) {
        if (vg_census_class_of(work, vg_object_type(row->object)) == VG_CLASS_MODEL)
            return true;
        if (row->parent == VG_CENSUS_NO_ROW)
            return false;
    }
}

void vg_census_write_variables(struct vg_census_work *work)
{
    struct choice choice = { .work = work };
    for (size_t i = 1; i < work->rows.count; i++)
        if (vg_census_row_number(work, i)->parent == VG_CENSUS_NO_ROW)
            choose_parts(&choice, (uint32_t)i, 0);
    for (uint32_t i = 0; i < choice.count; i++) {
        struct vg_census_row *const row = vg_census_row_number(work, choice.rows[i]);
        row->told = (uint8_t)(i + 1);
        write_variable(work, row, &work->out->variables[i]);
        struct vg_census_held *const held = &work->out->held_arrays[i];
        memcpy(held->arrays, row->arrays, sizeof held->arrays);
        held->traceback = row->array_traceback;
        work->out->in_forward[i] = frame_of_row(work, row)->is_in_forward;
        work->out->in_module[i] = is_in_module(work, row);
        work->out->is_optimizer[i] =
            vg_census_class_of(work, vg_object_type(row->object)) == VG_CLASS_OPTIMIZER;
        work->out->series[i] = frame_of_row(work, row)->series;
        if (work->leaf_count > 0)
            work->out->graph_uses[i] = (uint32_t)(row->leaf_edges / work->leaf_count);
    }
    work->out->variable_count = choice.count;
}
