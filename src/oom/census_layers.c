/* How far a forward pass has come: in which of a model's layers, which it calls one after the other
 * and which are all of one class, it is, and what of the batch each of the earlier ones keeps. */
#include <stdlib.h>
#include <string.h>

#include "analyze/process_source.h"
#include "oom/census_work.h"

enum { LAYERS_MIN = 3, DONE_MIN = 3 };

/* ---- where it is ---- */

/* A series of layers under way. */
struct series {
    const struct vg_python_running *loop; /* the function that calls them */
    uint32_t count, done;
};

/* The number that a torch.nn.ModuleList or a torch.nn.Sequential calls it by; -1: none. */
static long number_of(const struct vg_census_work *work, const struct vg_census_model *model)
{
    char name[16], *end;
    if (!model->name)
        return -1;
    vg_census_str_write(work->python, model->name, name, sizeof name);
    const long number = strtol(name, &end, 10);
    return end == name || *end ? -1 : number;
}

/* Nearly as many parameters: a first layer may have one that it shares with the others. */
static bool is_like(const struct vg_census_model *model, const struct vg_census_model *other)
{
    const uint64_t bytes = model->amount[VG_CENSUS_PARAMETER].bytes;
    const uint64_t other_bytes = other->amount[VG_CENSUS_PARAMETER].bytes;
    const uint64_t difference = bytes < other_bytes ? other_bytes - bytes : bytes - other_bytes;
    return difference <= bytes / 8;
}

/* None where they are not alike: stages of a network, each for smaller images than the one before
 * it, keep less and less. */
static struct series series_of(struct vg_census_work *work, uintptr_t module)
{
    struct series series = { 0 };
    const uint64_t *const found = vg_census_map_get(&work->model_of, module);
    const struct vg_census_model *const own =
        found ? vg_census_model_number(work, (uint32_t)*found) : NULL;
    const long number = own ? number_of(work, own) : -1;
    if (number < 0 || own->parent == VG_CENSUS_NO_MODULE)
        return series;
    for (uint32_t i = 0; i < work->modules.count && !vg_census_is_late(work); i++) {
        const struct vg_census_model *const other = vg_census_model_number(work, i);
        if (other->parent != own->parent ||
            vg_object_type(other->object) != vg_object_type(own->object))
            continue;
        if (!is_like(own, other))
            return (struct series){ 0 };
        series.count++;
        series.done += number_of(work, other) < number;
    }
    return series;
}

/* The outermost series in the running functions from `first` on, of one thread, the outermost of
 * which comes first: a layer may have heads or experts, which are a series, too. */
static struct series outermost_series(struct vg_census_work *work, size_t first, size_t end)
{
    const struct vg_census_running *const all = work->running.items;
    for (size_t i = first + 1; i < end; i++) {
        const uintptr_t module = vg_census_called_module(work, &all[i].python);
        size_t loop = i - 1;
        while (module && loop > first &&
               vg_census_module_argument(work, &all[loop].python) == module)
            loop--; /* it is a method of the layer itself */
        struct series series = module ? series_of(work, module) : (struct series){ 0 };
        if (series.count < LAYERS_MIN)
            continue;
        series.loop = &all[loop].python;
        return series;
    }
    return (struct series){ 0 };
}

/* In the only thread that is in one; a count of 0: there is none. */
static struct series find_series(struct vg_census_work *work)
{
    const struct vg_census_running *const all = work->running.items;
    struct series found = { 0 };
    for (size_t first = 0, end; first < work->running.count; first = end) {
        for (end = first + 1; end < work->running.count; end++)
            if (vg_census_thread_of(work, &all[end]) != vg_census_thread_of(work, &all[first]))
                break;
        const struct series series = outermost_series(work, first, end);
        if (series.count >= LAYERS_MIN && found.count > 0)
            return (struct series){ 0 };
        if (series.count >= LAYERS_MIN)
            found = series;
    }
    return found;
}

static bool is_in_forward(const struct vg_census_work *work)
{
    const struct vg_census_frame *const frames = work->frames.items;
    for (size_t i = 0; i < work->frames.count; i++)
        if (frames[i].is_in_forward)
            return true;
    return false;
}

/* ---- what the earlier ones keep ---- */

enum { LAST = 3 };

/* What one stack has made of the batch's tensors: how many, and the numbers of the first and of the
 * last ones, the last of all in front. */
struct stack {
    uint32_t id;
    uint64_t count, first, last[LAST];
};

static void add_to_stack(struct stack *stack, uint64_t number)
{
    stack->count++;
    if (stack->count == 1 || number < stack->first)
        stack->first = number;
    for (size_t i = 0; i < LAST; i++)
        if (number > stack->last[i]) {
            const uint64_t smaller = stack->last[i];
            stack->last[i] = number;
            number = smaller;
        }
}

static void count_stacks(const struct vg_census_work *work, struct vg_census_list *stacks)
{
    struct vg_census_map stack_of = { 0 };
    for (size_t i = 0; i < work->storages.count; i++) {
        const struct vg_census_storage *const storage = vg_census_storage_number(work, i);
        bool is_new = false;
        if (storage->batch_bytes == 0 || storage->stack_id == 0)
            continue;
        const uint64_t *const number =
            vg_census_map_put(&stack_of, storage->stack_id, stacks->count, &is_new);
        struct stack *const added = is_new ? vg_census_list_add(stacks) : NULL;
        if (added)
            added->id = storage->stack_id;
        if (number && *number < stacks->count)
            add_to_stack((struct stack *)stacks->items + *number, storage->number);
    }
    vg_census_map_close(&stack_of);
}

/* Does the stack go through this line of that file? */
static bool goes_through(const struct vg_run_source *source, uint32_t id, const char *file,
                         uint32_t line)
{
    const struct vg_journal_stack *const stack = source->stack(source->context, id);
    for (uint32_t i = 0; stack && i < stack->python_depth; i++) {
        const struct vg_journal_python *const frame = &vg_journal_stack_python(stack)[i];
        const struct vg_journal_code *const code =
            frame->line == line ? source->code(source->context, frame->code_id) : NULL;
        if (code && strcmp(code->texts, file) == 0)
            return true;
    }
    return false;
}

/* From one layer to the next ones: the numbers of what the same line has made in each. */
struct beat {
    uint64_t first, before_last, last; /* in the first layer, and in the last two that are done */
};

/* A line that has made one tensor in each layer that is done, and perhaps one in the present layer,
 * is a clock for them. Both 0: it has not. */
static struct beat beat_of(const struct stack *stack, const struct series *series)
{
    if (stack->count == series->done)
        return (struct beat){ stack->first, stack->last[1], stack->last[0] };
    if (stack->count == series->done + 1)
        return (struct beat){ stack->first, stack->last[2], stack->last[1] };
    return (struct beat){ 0 };
}

/* Of all clocks, those with the longest time between are looked at, for another has made as many
 * tensors within one layer; and of these the one that beats latest in a layer, after which the last
 * layer will make the least. */
static bool is_better(const struct beat *beat, const struct beat *best)
{
    const uint64_t span = beat->last - beat->first, best_span = best->last - best->first;
    return span > 2 * best_span || (span >= best_span / 2 && beat->last > best->last);
}

static struct beat find_beat(struct vg_census_work *work, const struct series *series,
                             const struct vg_run_source *source)
{
    const struct vg_python_layout *const layout = work->python->layout;
    struct vg_census_list stacks = { .item_bytes = sizeof(struct stack) };
    struct beat best = { 0 };
    char file[VG_CENSUS_FILE_CAP * 2];
    vg_census_str_write(work->python, vg_python_word(series->loop->code + (uintptr_t)layout->file),
                        file, sizeof file);
    count_stacks(work, &stacks);
    for (size_t i = 0; i < stacks.count && !vg_census_is_late(work); i++) {
        const struct stack *const stack = (const struct stack *)stacks.items + i;
        const struct beat beat = beat_of(stack, series);
        if (beat.last > beat.first && is_better(&beat, &best) &&
            goes_through(source, stack->id, file, (uint32_t)series->loop->line))
            best = beat;
    }
    vg_census_list_close(&stacks);
    return best;
}

/* From one beat to the next each layer has a part; as many are to come as layers are not done.
 * Where the last one has kept less than they do on average, or more, nothing is known of the
 * others. */
static void count_beats(const struct vg_census_work *work, const struct series *series,
                        const struct beat *beat, struct vg_census_batch *out)
{
    uint64_t between_bytes = 0, last_bytes = 0, after_bytes = 0;
    for (size_t i = 0; i < work->storages.count; i++) {
        const struct vg_census_storage *const storage = vg_census_storage_number(work, i);
        if (storage->number > beat->last)
            after_bytes += storage->batch_bytes;
        else if (storage->number > beat->first)
            between_bytes += storage->batch_bytes;
        if (storage->number > beat->before_last && storage->number <= beat->last)
            last_bytes += storage->batch_bytes;
    }
    const uint64_t average_bytes = between_bytes / (series->done - 1);
    if (last_bytes < average_bytes - average_bytes / 16 ||
        last_bytes > average_bytes + average_bytes / 16)
        return;
    out->layer_bytes = average_bytes;
    const uint64_t all_bytes = out->layer_bytes * (series->count - series->done);
    out->coming_bytes = all_bytes > after_bytes ? all_bytes - after_bytes : 0;
}

void vg_census_write_layers(struct vg_census_work *work)
{
    struct vg_census_batch *const out = &work->out->batch;
    const struct vg_census_source *const asked = work->source;
    struct vg_recorder *const recorder = asked->recorder ? asked->recorder(asked->argument) : NULL;
    const struct series series = find_series(work);
    out->is_in_forward = is_in_forward(work);
    if (series.count < LAYERS_MIN)
        return;
    out->layers = series.count;
    out->layers_done = series.done;
    if (!recorder || series.loop->line <= 0 || series.done < DONE_MIN)
        return;
    const struct vg_run_source source = vg_process_source_of_stacks(recorder);
    const struct beat beat = find_beat(work, &series, &source);
    if (beat.last > beat.first)
        count_beats(work, &series, &beat, out);
}
