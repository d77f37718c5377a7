/* The program's variables, in the order in which they are asked what they hold: those of running
 * functions, the main thread's outermost first, then globals. Attributes of objects are asked each
 * under its own name, so that `trainer.history` can be told and not only `trainer`. */
#include <string.h>

#include "analyze/frame.h"
#include "oom/census_work.h"
#include "unwind/python_stack.h"

enum {
    FRAMES_MAX = 1024, /* of a thread */
    THREADS_MAX = 256,
    DEPTH_MAX = 12, /* of names: a.b.c */
    KEYS_MAX = 64,  /* of a dictionary whose values are named */
    ROWS_MAX = 8192,
};

struct vg_census_row *vg_census_row_number(const struct vg_census_work *work, size_t number)
{
    return (struct vg_census_row *)work->rows.items + number;
}

static void add_amount(struct vg_census_amount *to, const struct vg_census_amount *from)
{
    to->bytes += from->bytes;
    to->blocks += from->blocks;
}

struct vg_census_amount vg_census_row_sum(const struct vg_census_row *row)
{
    struct vg_census_amount sum = row->direct;
    add_amount(&sum, &row->graph);
    for (size_t i = 0; i < VG_CENSUS_ARRAY_LIBRARIES; i++)
        add_amount(&sum, &row->arrays[i]);
    return sum;
}

/* A row that holds nothing goes again: it is the last one, since its children have gone. */
static void close_row(struct vg_census_work *work, uint32_t number)
{
    struct vg_census_row *const row = vg_census_row_number(work, number);
    if (row->parent != VG_CENSUS_NO_ROW) {
        struct vg_census_row *const parent = vg_census_row_number(work, row->parent);
        add_amount(&parent->direct, &row->direct);
        add_amount(&parent->graph, &row->graph);
        add_amount(&parent->model, &row->model);
        add_amount(&parent->traceback, &row->traceback);
        add_amount(&parent->array_traceback, &row->array_traceback);
        parent->leaf_edges += row->leaf_edges;
        for (size_t i = 0; i < VG_CENSUS_ARRAY_LIBRARIES; i++)
            add_amount(&parent->arrays[i], &row->arrays[i]);
    }
    if (row->step == VG_STEP_MODULE) {
        vg_census_amount_subtract(&row->direct, &row->model);
        row->model = (struct vg_census_amount){ 0 };
    }
    if (vg_census_row_sum(row).blocks == 0 && row->traceback.blocks == 0)
        work->rows.count = number;
}

/* ---- one variable ---- */

struct variable {
    bool is_code; /* functions and classes only, or all but these: what they share with the function
                     around them is that one's first */
    uint32_t parent, frame;
    enum vg_census_step step;
    enum vg_census_place place;
    uint32_t depth;
};

static void walk_variable(struct vg_census_work *work, const struct variable *variable,
                          uintptr_t name, uintptr_t object);

/* Each value of `dict` under its key, as a part of `of`. */
static void walk_values(struct vg_census_work *work, const struct variable *of, uintptr_t dict,
                        enum vg_census_step step)
{
    struct variable part = *of;
    intptr_t position = 0;
    void *name, *value;
    part.step = step;
    part.depth++;
    while (!vg_census_is_done(work) &&
           work->python->next_item((void *)dict, &position, &name, &value))
        walk_variable(work, &part, (uintptr_t)name, (uintptr_t)value);
}

/* What a module has of a model: its own tensors, which count for itself, and the modules in it by
 * their names. Before its other attributes, since hooks may lead to all of them. */
static void walk_model(struct vg_census_work *work, const struct variable *of, uintptr_t dict)
{
    static const char *const names[] = { "_parameters", "_buffers", "_modules" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const uintptr_t value = vg_census_dict_find(work->python, dict, names[i]);
        if (!value || !(vg_type_flags(vg_object_type(value)) & VG_TYPE_IS_DICT) ||
            !vg_census_marks_add(&work->seen, value))
            continue;
        if (strcmp(names[i], "_modules") == 0)
            walk_values(work, of, value, VG_STEP_MODULE);
        else
            vg_census_reach(work, value);
    }
}

static void walk_attributes(struct vg_census_work *work, const struct variable *of,
                            uintptr_t object, bool is_model)
{
    const uintptr_t dict = vg_census_instance_dict(work->python, object);
    if (!dict || !vg_census_marks_add(&work->seen, dict))
        return;
    if (is_model)
        walk_model(work, of, dict);
    walk_values(work, of, dict, VG_STEP_ATTRIBUTE);
}

static void walk_parts(struct vg_census_work *work, const struct variable *of, uintptr_t object)
{
    const uintptr_t type = vg_object_type(object);
    const enum vg_census_class class = vg_census_class_of(work, type);
    if (of->depth >= DEPTH_MAX || work->rows.count >= ROWS_MAX)
        return;
    if (class == VG_CLASS_INSTANCE || class == VG_CLASS_LOADER || class == VG_CLASS_MODEL)
        walk_attributes(work, of, object, class == VG_CLASS_MODEL);
    else if (type == (uintptr_t)work->python->dict && vg_python_word(object + VG_SIZE) <= KEYS_MAX)
        walk_values(work, of, object, VG_STEP_KEY);
    else if (vg_type_flags(type) & VG_TYPE_IS_TYPE) /* a class: what it keeps itself */
        walk_values(work, of, vg_python_word(object + VG_TYPE_DICT), VG_STEP_ATTRIBUTE);
}

static bool is_class_of_program(const struct variable *variable, uintptr_t object)
{
    const uint64_t kind = vg_type_flags(vg_object_type(object)) & VG_TYPE_IS_TYPE;
    return kind && variable->step == VG_STEP_VARIABLE && variable->place != VG_CENSUS_LIBRARY &&
           (vg_type_flags(object) & VG_TYPE_IS_HEAP) && vg_python_word(object + VG_TYPE_DICT);
}

static bool is_code(const struct vg_census_work *work, uintptr_t object)
{
    const uintptr_t type = vg_object_type(object);
    return type == (uintptr_t)work->python->function || (vg_type_flags(type) & VG_TYPE_IS_TYPE);
}

static void walk_row(struct vg_census_work *work, const struct variable *variable, uintptr_t name,
                     uintptr_t object)
{
    const uint32_t outer = work->row, number = (uint32_t)work->rows.count;
    struct vg_census_row *const row = vg_census_list_add(&work->rows);
    if (!row)
        return;
    *row = (struct vg_census_row){
        .parent = variable->parent,
        .frame = variable->frame,
        .step = (uint8_t)variable->step,
        .place = (uint8_t)variable->place,
        .is_dict = vg_type_flags(vg_object_type(object)) & VG_TYPE_IS_DICT,
        .name = name,
        .object = object,
    };
    struct variable here = *variable;
    here.parent = work->row = number;
    if (name)
        walk_parts(work, &here, object);
    vg_census_reach(work, object);
    work->row = outer;
    close_row(work, number);
}

static void walk_variable(struct vg_census_work *work, const struct variable *variable,
                          uintptr_t name, uintptr_t object)
{
    if (vg_object_type(object) == (uintptr_t)work->python->cell)
        object = vg_python_word(object + VG_CELL_CONTENT);
    if (!object || vg_census_is_done(work) ||
        (variable->step == VG_STEP_VARIABLE && is_code(work, object) != variable->is_code) ||
        !(vg_census_may_lead_on(object) || is_class_of_program(variable, object)) ||
        !vg_census_marks_add(&work->seen, object))
        return;
    walk_row(work, variable, name, object);
}

void vg_census_walk_unnamed(struct vg_census_work *work, uintptr_t object, uint32_t frame,
                            enum vg_census_place place)
{
    const struct variable variable = { .frame = frame, .place = place };
    if (vg_census_marks_add(&work->seen, object))
        walk_row(work, &variable, 0, object);
}

/* ---- running functions ---- */

static uint32_t add_frame(struct vg_census_work *work, const struct vg_census_frame *frame)
{
    struct vg_census_frame *const added = vg_census_list_add(&work->frames);
    if (added)
        *added = *frame;
    return added ? (uint32_t)work->frames.count - 1 : 0;
}

/* The n-th name of the tuples of names that `code` has for its variables, which stand in this
 * order: up to 3.10 those local only, those that closures share, those of outer functions; later
 * one tuple has all. Of the shared ones that are arguments, up to 3.10, both tuples have the name.
 */
uintptr_t vg_census_variable_name(const struct vg_python_layout *layout, uintptr_t code, size_t n)
{
    const int16_t places[] = { layout->variables, layout->cells, layout->frees };
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        if (places[i] == VG_PYTHON_ABSENT)
            break;
        const uintptr_t names = vg_python_word(code + (uintptr_t)places[i]);
        const size_t count = names ? vg_python_word(names + VG_SIZE) : 0;
        if (n < count)
            return vg_python_tuple_item(layout, names, n);
        n -= count;
    }
    return 0;
}

size_t vg_census_variable_count(const struct vg_python_layout *layout, uintptr_t code)
{
    size_t count = 0;
    while (vg_census_variable_name(layout, code, count))
        count++;
    return count;
}

static void walk_locals(struct vg_census_work *work, struct variable *variable, uintptr_t frame,
                        uintptr_t code)
{
    const struct vg_python_layout *const layout = work->python->layout;
    const uintptr_t first = frame + (uintptr_t)layout->frame_variables;
    for (size_t i = 0; !vg_census_is_done(work); i++) {
        const uintptr_t name = vg_census_variable_name(layout, code, i);
        if (!name)
            return;
        const uintptr_t object =
            vg_census_variable_value(vg_python_word(first + i * sizeof(uintptr_t)));
        if (object)
            walk_variable(work, variable, name, object);
    }
}

long long vg_census_code_number(const struct vg_census_python *python, uintptr_t code,
                                const char *name)
{
    void *const object = python->api->attribute((void *)code, name);
    const long long number = object ? python->integer(object) : 0;
    if (!object)
        python->api->clear_error();
    python->api->drop(object);
    return number;
}

/* What is known of a thread before its frames are walked, and of its frames further out. */
struct thread_walk {
    uint32_t number;
    uint32_t series; /* of the module that the outermost forward pass is of; 0: none is under way */
    bool in_forward; /* a function further out is a forward pass */
};

/* Once it has been walked, the functions that it calls may be in a forward pass. */
static void walk_frame(struct vg_census_work *work, const struct vg_python_running *running,
                       struct thread_walk *thread)
{
    const struct vg_python_layout *const layout = work->python->layout;
    const uintptr_t frame = running->frame;
    const uintptr_t globals = vg_python_word(frame + (uintptr_t)layout->frame_globals);
    const uintptr_t names = vg_python_word(frame + (uintptr_t)layout->frame_namespace);
    const bool has_names = names && (vg_type_flags(vg_object_type(names)) & VG_TYPE_IS_DICT);
    thread->in_forward = thread->in_forward || vg_census_called_module(work, running);
    const struct vg_census_frame place = {
        .file = vg_python_word(running->code + (uintptr_t)layout->file),
        .function = vg_python_word(running->code + (uintptr_t)layout->name),
        .line = running->line,
        .thread = thread->number,
        .is_in_forward = thread->in_forward,
        .series = thread->series > 0
                      ? thread->series
                      : vg_census_series_of_variables(work, running, has_names ? names : 0),
    };
    struct variable variable = { .frame = add_frame(work, &place) };
    struct vg_census_running *const noted = vg_census_list_add(&work->running);
    if (noted)
        *noted = (struct vg_census_running){ .python = *running, .frame = variable.frame };
    variable.place = has_names && names == globals ? VG_CENSUS_GLOBAL : VG_CENSUS_LOCAL;
    struct variable outside = variable;
    outside.parent = VG_CENSUS_NO_ROW;
    outside.depth = (uint32_t)-1; /* its values are variables, not attributes */
    for (int code = 0; code < 2; code++) {
        variable.is_code = outside.is_code = code;
        if (has_names)
            walk_values(work, &outside, names, VG_STEP_VARIABLE);
        walk_locals(work, &variable, frame, running->code);
    }
}

/* Frames that run are walked by their variables' names, not when something refers to them. */
static void pass_over_frame(struct vg_census_work *work, const struct vg_python_running *running)
{
    const struct vg_python_layout *const layout = work->python->layout;
    const uintptr_t object = vg_census_frame_object(layout, running->frame);
    const uintptr_t globals = vg_python_word(running->frame + (uintptr_t)layout->frame_globals);
    if (object)
        vg_census_marks_add(&work->seen, object);
    if (globals)
        vg_census_marks_add(&work->seen, globals);
}

struct running_thread {
    uintptr_t state;
    uint32_t first, count; /* in the frames, innermost first */
};

/* All threads' frames, the main thread last. */
static uint32_t find_frames(struct vg_census_work *work, struct vg_census_list *frames,
                            struct running_thread threads[THREADS_MAX])
{
    const struct vg_census_python *const python = work->python;
    uint32_t count = 0;
    for (void *thread = python->first_thread(python->main_interpreter());
         thread && count < THREADS_MAX; thread = python->next_thread(thread), count++) {
        struct vg_python_running *const room =
            (struct vg_python_running *)frames->items + frames->count;
        const size_t left = frames->cap - frames->count;
        threads[count].state = (uintptr_t)thread;
        threads[count].first = (uint32_t)frames->count;
        threads[count].count = vg_python_running_frames(
            (uintptr_t)thread, room, (uint32_t)(left < FRAMES_MAX ? left : FRAMES_MAX));
        frames->count += threads[count].count;
    }
    return count;
}

/* Of the module that the outermost forward pass is of; 0: none is under way. */
static uint32_t series_under_way(struct vg_census_work *work,
                                 const struct vg_python_running *frames, uint32_t count)
{
    while (count-- > 0) {
        const uintptr_t module = vg_census_called_module(work, &frames[count]);
        if (module)
            return vg_census_series_of(work, module, VG_SERIES_OF_CALL);
    }
    return 0;
}

static void walk_threads(struct vg_census_work *work)
{
    struct running_thread threads[THREADS_MAX];
    struct vg_census_list frames = { .item_bytes = sizeof(struct vg_python_running) };
    while (frames.cap < 4 * FRAMES_MAX && vg_census_list_grow(&frames))
        ;
    const uint32_t count = find_frames(work, &frames, threads);
    const struct vg_python_running *const all = frames.items;
    for (size_t i = 0; i < frames.count; i++)
        pass_over_frame(work, &all[i]);
    for (uint32_t thread = count; thread-- > 0;) {
        const struct vg_python_running *const own = &all[threads[thread].first];
        uint32_t i = threads[thread].count;
        vg_census_list_push(&work->threads, threads[thread].state);
        struct thread_walk walk = { .number = count - 1 - thread,
                                    .series = series_under_way(work, own, i) };
        while (i-- > 0)
            walk_frame(work, &own[i], &walk);
    }
    vg_census_list_close(&frames);
}

/* ---- globals ---- */

static bool is_module(const struct vg_census_work *work, uintptr_t object)
{
    return work->python->is_subtype((void *)vg_object_type(object), work->python->module);
}

/* Of the program itself, as reports tell it: neither installed nor Python's library. A module
 * without a file is written in C, but for the main one, which may be a notebook's. */
static bool is_of_program(const struct vg_census_work *work, uintptr_t name, uintptr_t file)
{
    char path[512];
    if (vg_census_str_is(work->python, name, "__main__"))
        return true;
    if (!file)
        return false;
    vg_census_str_write(work->python, file, path, sizeof path);
    return !vg_frame_is_library_path(path);
}

/* `ours`: the program's modules, or all others. */
static void walk_modules(struct vg_census_work *work, bool ours)
{
    const struct vg_census_python *const python = work->python;
    void *const modules = python->api->modules();
    intptr_t position = 0;
    void *name, *module;
    while (modules && !vg_census_is_done(work) &&
           python->next_item(modules, &position, &name, &module)) {
        const uintptr_t dict = is_module(work, (uintptr_t)module)
                                   ? vg_python_word((uintptr_t)module + VG_MODULE_DICT)
                                   : 0;
        const uintptr_t file = dict ? vg_census_dict_find(python, dict, "__file__") : 0;
        if (!dict || is_of_program(work, (uintptr_t)name, file) != ours)
            continue;
        const struct vg_census_frame place = { .file = file, .function = (uintptr_t)name };
        struct variable of = {
            .frame = add_frame(work, &place),
            .place = ours ? VG_CENSUS_GLOBAL : VG_CENSUS_LIBRARY,
            .depth = (uint32_t)-1,
        };
        walk_values(work, &of, dict, VG_STEP_VARIABLE);
        of.is_code = true;
        walk_values(work, &of, dict, VG_STEP_VARIABLE);
    }
}

/* Dictionaries of globals are reached by every function: they are walked by name only. */
static void pass_over_modules(struct vg_census_work *work)
{
    const struct vg_census_python *const python = work->python;
    void *const modules = python->api->modules();
    intptr_t position = 0;
    void *name, *module;
    vg_census_marks_add(&work->seen, (uintptr_t)modules);
    while (modules && python->next_item(modules, &position, &name, &module))
        if (is_module(work, (uintptr_t)module))
            vg_census_marks_add(&work->seen, vg_python_word((uintptr_t)module + VG_MODULE_DICT));
}

/* ---- all of it ---- */

static void walk_unreached(struct vg_census_work *work, const struct vg_census_list *objects)
{
    for (size_t i = 0; i < objects->count && !vg_census_is_done(work); i++) {
        const uintptr_t object = vg_census_list_at(objects, i);
        if (vg_census_marks_has(&work->wanted, object) && !vg_census_marks_has(&work->seen, object))
            vg_census_reach(work, object);
    }
}

void vg_census_walk_variables(struct vg_census_work *work)
{
    pass_over_modules(work);
    walk_threads(work);
    walk_modules(work, true);
    vg_census_walk_handled(work);
    walk_modules(work, false);
    vg_census_walk_strays(work);
    /* Whom no variable reaches: what their graphs have saved is a graph's all the same. */
    work->row = VG_CENSUS_NO_ROW;
    walk_unreached(work, &work->tensors);
    walk_unreached(work, &work->others);
}
