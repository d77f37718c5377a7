/* The batch: its size, where the program says it, and what of the live tensors has it as its first
 * dimension, so that a smaller one takes less of it. */
#include <ctype.h>
#include <string.h>

#include "base/text.h"
#include "oom/census_work.h"

enum {
    CANDIDATES_MAX = 16,
    KEYS_MAX = 256, /* of an object that may have a batch size among its attributes */
    NAME_CAP = 48,
    ROUNDING = 512,        /* what PyTorch gives a tensor is a multiple of it */
    NUMBER_BYTES_MAX = 16, /* complex128 */
};

/* Sizes that the program gives a batch; those of its DataLoaders come first. */
struct candidates {
    uint32_t count, of_loaders;
    uint64_t sizes[CANDIDATES_MAX];
    uint64_t bytes[CANDIDATES_MAX]; /* of the tensors that begin with it */
};

/* ---- what the program says ---- */

static void add_candidate(struct candidates *candidates, int64_t size)
{
    if (size < 1 || size > UINT32_MAX || candidates->count == CANDIDATES_MAX)
        return;
    for (uint32_t i = 0; i < candidates->count; i++)
        if (candidates->sizes[i] == (uint64_t)size)
            return;
    candidates->sizes[candidates->count++] = (uint64_t)size;
}

/* "batch_size", "per_device_train_batch_size", "batchSize"; of a variable also what it is called
 * for short. */
static bool is_batch_name(const struct vg_census_work *work, uintptr_t name, bool is_variable)
{
    static const char *const short_names[] = { "batch", "bsz", "bs", "b" };
    char text[NAME_CAP];
    size_t length = 0;
    vg_census_str_write(work->python, name, text, sizeof text);
    for (const char *at = text; *at; at++)
        if (*at != '_')
            text[length++] = (char)tolower((unsigned char)*at);
    text[length] = '\0';
    if (strstr(text, "batchsize"))
        return true;
    for (size_t i = 0; is_variable && i < sizeof short_names / sizeof short_names[0]; i++)
        if (strcmp(text, short_names[i]) == 0)
            return true;
    return false;
}

/* `object`: an int. */
static void add_number(struct candidates *candidates, const struct vg_census_work *work,
                       uintptr_t object)
{
    const struct vg_census_python *const python = work->python;
    const long long number = python->integer((void *)object);
    if (number < 0)
        python->api->clear_error(); /* it may be too long for a long long */
    add_candidate(candidates, number);
}

static void add_values(struct candidates *candidates, const struct vg_census_work *work,
                       uintptr_t dict)
{
    intptr_t position = 0;
    void *name, *value;
    for (int i = 0;
         dict && i < KEYS_MAX && work->python->next_item((void *)dict, &position, &name, &value);
         i++)
        if (vg_object_type((uintptr_t)value) == (uintptr_t)work->python->number &&
            vg_object_type((uintptr_t)name) == (uintptr_t)work->python->str &&
            is_batch_name(work, (uintptr_t)name, false))
            add_number(candidates, work, (uintptr_t)value);
}

static void add_variable(struct candidates *candidates, struct vg_census_work *work, uintptr_t name,
                         uintptr_t object)
{
    const uintptr_t type = vg_object_type(object);
    const enum vg_census_class class = vg_census_class_of(work, type);
    if (type == (uintptr_t)work->python->number) {
        if (is_batch_name(work, name, true))
            add_number(candidates, work, object);
    } else if (type == (uintptr_t)work->python->dict) {
        add_values(candidates, work, object);
    } else if (class == VG_CLASS_INSTANCE || class == VG_CLASS_MODEL) {
        add_values(candidates, work, vg_census_instance_dict(work->python, object));
    }
}

static void add_frame_variables(struct candidates *candidates, struct vg_census_work *work,
                                const struct vg_python_running *running)
{
    const struct vg_python_layout *const layout = work->python->layout;
    const uintptr_t first = running->frame + (uintptr_t)layout->frame_variables;
    const uintptr_t names = vg_python_word(running->frame + (uintptr_t)layout->frame_namespace);
    const bool has_names = names && (vg_type_flags(vg_object_type(names)) & VG_TYPE_IS_DICT);
    intptr_t position = 0;
    void *key, *value;
    uintptr_t name;
    for (size_t i = 0; (name = vg_census_variable_name(layout, running->code, i)); i++) {
        uintptr_t object = vg_census_variable_value(vg_python_word(first + i * sizeof object));
        if (object && vg_object_type(object) == (uintptr_t)work->python->cell)
            object = vg_python_word(object + VG_CELL_CONTENT);
        if (object)
            add_variable(candidates, work, name, object);
    }
    while (has_names && work->python->next_item((void *)names, &position, &key, &value))
        add_variable(candidates, work, (uintptr_t)key, (uintptr_t)value);
}

static void find_candidates(struct candidates *candidates, struct vg_census_work *work)
{
    const struct vg_census_running *const running = work->running.items;
    for (size_t i = 0; i < work->loaders.count; i++)
        add_values(candidates, work,
                   vg_census_instance_dict(work->python, vg_census_list_at(&work->loaders, i)));
    candidates->of_loaders = candidates->count;
    /* What is innermost is nearest. */
    for (size_t i = work->running.count; i-- > 0 && !vg_census_is_late(work);)
        add_frame_variables(candidates, work, &running[i].python);
}

/* ---- what the tensors say ---- */

/* Their Python objects are asked only now, since few are needed. */
static void complete_sizes(struct vg_census_work *work)
{
    for (size_t i = 0; i < work->storages.count && !vg_census_is_late(work); i++) {
        struct vg_census_storage *const storage = vg_census_storage_number(work, i);
        if (storage->kind < VG_CENSUS_KINDS && storage->tensor && storage->sizes.rank == 0)
            storage->sizes = vg_census_torch_read_sizes(&work->torch, storage->tensor);
    }
}

static bool has_later(const struct vg_census_sizes *sizes, uint64_t size)
{
    for (uint32_t i = 1; i < sizes->rank; i++)
        if (sizes->of[i] == size)
            return true;
    return false;
}

/* Is the first dimension the batch, and no other one? */
static bool begins_with(const struct vg_census_sizes *sizes, uint64_t size)
{
    return sizes->rank > 0 && sizes->of[0] == size && (size == 1 || !has_later(sizes, size));
}

static void count_candidates(struct candidates *candidates, const struct vg_census_work *work)
{
    for (size_t i = 0; i < work->storages.count; i++) {
        const struct vg_census_storage *const storage = vg_census_storage_number(work, i);
        if (!vg_census_is_activation(storage))
            continue;
        for (uint32_t k = 0; k < candidates->count; k++)
            if (begins_with(&storage->sizes, candidates->sizes[k]))
                candidates->bytes[k] += storage->bytes;
    }
}

static uint32_t best_candidate(const struct candidates *candidates)
{
    uint32_t best = 0;
    for (uint32_t k = 1; k < candidates->count; k++)
        if (candidates->bytes[k] > candidates->bytes[best])
            best = k;
    return best;
}

/* Of the tensors that begin with `size`, have nearly all the `other` one, too, as words of a batch
 * whose words come first? */
static bool have_both(const struct vg_census_work *work, uint64_t size, uint64_t other)
{
    uint64_t bytes = 0, both_bytes = 0;
    for (size_t i = 0; i < work->storages.count; i++) {
        const struct vg_census_storage *const storage = vg_census_storage_number(work, i);
        if (!vg_census_is_activation(storage) || !begins_with(&storage->sizes, size))
            continue;
        bytes += storage->bytes;
        both_bytes += has_later(&storage->sizes, other) ? storage->bytes : 0;
    }
    return both_bytes > bytes - bytes / 8;
}

/* May the batch be the other size as well? It may when the best is a multiple of it, as the windows
 * of all images are, or all beams of all texts; 1 may be what is left of a dimension. */
static bool is_doubtful(const struct vg_census_work *work, const struct candidates *candidates,
                        uint32_t best)
{
    const uint64_t size = candidates->sizes[best];
    for (uint32_t k = 0; k < candidates->count; k++) {
        const uint64_t other = candidates->sizes[k];
        const bool is_loaders_alone = k < candidates->of_loaders && best >= candidates->of_loaders;
        if (k == best || other == 1)
            continue;
        if (size == 1 && best >= candidates->of_loaders)
            return true;
        if (size % other == 0 && (candidates->bytes[k] > 0 || is_loaders_alone))
            return true;
        if (have_both(work, size, other))
            return true;
    }
    return false;
}

/* ---- which tensors are of the batch ---- */

static uint64_t numbers_of(const struct vg_census_sizes *sizes)
{
    uint64_t numbers = sizes->rank > 0;
    for (uint32_t i = 0; i < sizes->rank; i++)
        if (__builtin_mul_overflow(numbers, (uint64_t)sizes->of[i], &numbers))
            return 0;
    return numbers;
}

enum { FACTOR, WHOLE };

/* What tells which tensors are of the batch of `size`. */
struct shapes {
    uint64_t size;
    struct vg_census_map factors; /* what those that begin with it have as their next dimensions,
                                     one or more of them multiplied: a batch of 32 texts of 128
                                     words may also be 4096 words. WHOLE: all of them */
    struct vg_census_map rows;    /* first dimensions that are a multiple of it */
};

/* A sample has one of its own, or all others, or both, in each pair. */
static bool is_nearly(uint64_t number, uint64_t other)
{
    return number + 2 >= other && number <= other + 1;
}

/* May the tensor be of pairs of samples? It grows faster than the batch then. Two dimensions are
 * enough for what is asked of each pair. */
static bool may_be_pairs(const struct vg_census_sizes *sizes, const struct shapes *shapes)
{
    for (uint32_t i = 1; i < sizes->rank; i++)
        if (sizes->of[i] > 1 && vg_census_map_get(&shapes->rows, sizes->of[i]))
            return true;
    return sizes->rank == 2 && sizes->of[1] > 2 &&
           (is_nearly(sizes->of[1], sizes->of[0]) || is_nearly(sizes->of[1], shapes->size));
}

/* So many rows for each sample are pairs with the others, each once or twice. */
static bool counts_pairs(uint64_t factor, uint64_t size)
{
    return is_nearly(factor, size) || is_nearly(2 * factor, size);
}

static void find_rows(const struct vg_census_work *work, struct shapes *shapes)
{
    bool is_new;
    for (size_t i = 0; i < work->storages.count; i++) {
        const struct vg_census_storage *const storage = vg_census_storage_number(work, i);
        if (vg_census_is_activation(storage) && storage->sizes.rank > 0 &&
            storage->sizes.of[0] > 0 && storage->sizes.of[0] % shapes->size == 0)
            vg_census_map_put(&shapes->rows, storage->sizes.of[0], 0, &is_new);
    }
}

static void find_factors(const struct vg_census_work *work, struct shapes *shapes)
{
    bool is_new;
    for (size_t i = 0; i < work->storages.count; i++) {
        const struct vg_census_storage *const storage = vg_census_storage_number(work, i);
        uint64_t factor = 1, *kind;
        if (!vg_census_is_activation(storage) || !begins_with(&storage->sizes, shapes->size) ||
            may_be_pairs(&storage->sizes, shapes))
            continue;
        for (uint32_t k = 1; k < storage->sizes.rank; k++)
            if (!__builtin_mul_overflow(factor, (uint64_t)storage->sizes.of[k], &factor) &&
                factor && (kind = vg_census_map_put(&shapes->factors, factor, FACTOR, &is_new)) &&
                k + 1 == storage->sizes.rank)
                *kind = WHOLE;
    }
}

/* Where a later dimension is as large as the batch, it may be the batch again, unless others have
 * as many numbers for each sample. */
static bool is_of_batch(const struct vg_census_sizes *sizes, const struct shapes *shapes)
{
    const uint64_t size = shapes->size;
    if (sizes->rank == 0 || sizes->of[0] < size || sizes->of[0] % size != 0)
        return false;
    const uint64_t factor = sizes->of[0] / size;
    const uint64_t *const whole = vg_census_map_get(&shapes->factors, numbers_of(sizes) / size);
    if (factor > 1 && (!vg_census_map_get(&shapes->factors, factor) || counts_pairs(factor, size)))
        return false;
    return size == 1 || !may_be_pairs(sizes, shapes) ||
           (sizes->rank > 2 && whole && *whole == WHOLE);
}

/* What its numbers take: of a block that is larger than they are, a smaller batch need not have as
 * much to spare. Sizes tell how many they are, and the block how large each is at most. */
static uint64_t bytes_of_numbers(const struct vg_census_storage *storage)
{
    const uint64_t numbers = numbers_of(&storage->sizes);
    return numbers > 0 ? storage->bytes / numbers * numbers : 0;
}

/* Is the tensor only a part of what lies in the block, such as the diagonal of a matrix? Its shape
 * says nothing of the others then. */
static bool is_part(const struct vg_census_storage *storage)
{
    const uint64_t numbers = numbers_of(&storage->sizes);
    return storage->bytes > ROUNDING && storage->bytes / NUMBER_BYTES_MAX > numbers;
}

/* The largest sizes of its blocks: each once, in no order. */
static void note_large(struct vg_census_batch *out, uint64_t bytes)
{
    uint32_t least = 0;
    for (uint32_t i = 0; i < VG_CENSUS_BLOCK_SIZES; i++) {
        if (out->block_bytes[i] == bytes)
            return;
        if (out->block_bytes[i] < out->block_bytes[least])
            least = i;
    }
    if (bytes > out->block_bytes[least])
        out->block_bytes[least] = bytes;
}

static void count_batch(struct vg_census_work *work, struct vg_census_batch *out)
{
    struct shapes shapes = { .size = out->size };
    find_rows(work, &shapes);
    find_factors(work, &shapes);
    for (size_t i = 0; i < work->storages.count; i++) {
        struct vg_census_storage *const storage = vg_census_storage_number(work, i);
        if (!vg_census_is_activation(storage))
            continue;
        if (is_of_batch(&storage->sizes, &shapes) && !is_part(storage))
            storage->batch_bytes = bytes_of_numbers(storage);
        if (storage->batch_bytes > 0) {
            out->bytes += storage->batch_bytes;
            note_large(out, storage->batch_bytes);
        } else if (storage->sizes.rank > 0) {
            out->other_bytes += storage->bytes;
        }
    }
    vg_census_map_close(&shapes.factors);
    vg_census_map_close(&shapes.rows);
}

/* What a model has that may be of the batch, such as its last state: a parameter or a buffer that
 * begins with it, and with that gradients and what an optimizer keeps, which are as large. */
static void count_model(const struct vg_census_work *work, struct vg_census_batch *out)
{
    struct vg_census_map blocks = { 0 };
    bool is_new;
    for (size_t i = 0; i < work->storages.count; i++) {
        const struct vg_census_storage *const storage = vg_census_storage_number(work, i);
        if (storage->kind < VG_CENSUS_MODEL_KINDS && storage->sizes.rank > 0 &&
            storage->sizes.of[0] == out->size)
            vg_census_map_put(&blocks, storage->bytes, 1, &is_new);
    }
    for (size_t i = 0; i < work->storages.count; i++) {
        const struct vg_census_storage *const storage = vg_census_storage_number(work, i);
        if (storage->kind < VG_CENSUS_MODEL_KINDS && vg_census_map_get(&blocks, storage->bytes))
            out->model_bytes += storage->bytes;
    }
    vg_census_map_close(&blocks);
}

/* ---- what no Python object leads to ---- */

struct alike {
    struct vg_census_work *work;
    struct vg_census_map
        numbers; /* bytes of a block of the batch's -> of its numbers, the fewest */
    uint64_t bytes;
};

static void add_unseen(uintptr_t address, uint64_t bytes, void *argument)
{
    struct alike *const alike = argument;
    const uint64_t *const numbers = vg_census_map_get(&alike->numbers, bytes);
    if (numbers && !vg_census_are_pairs(bytes, alike->work->out->batch.size) &&
        !vg_census_map_get(&alike->work->storage_of, address))
        alike->bytes += *numbers;
}

/* One that is not of the batch after all does no harm: what stays is more, not less. */
static uint64_t count_alike(struct vg_census_work *work)
{
    const struct vg_census_source *const source = work->source;
    struct alike alike = { .work = work };
    bool is_new;
    if (!source->each_block)
        return 0;
    for (size_t i = 0; i < work->storages.count; i++) {
        const struct vg_census_storage *const storage = vg_census_storage_number(work, i);
        uint64_t *const known =
            storage->batch_bytes == 0
                ? NULL
                : vg_census_map_put(&alike.numbers, storage->bytes, storage->batch_bytes, &is_new);
        if (known && *known > storage->batch_bytes)
            *known = storage->batch_bytes;
    }
    source->each_block(source->argument, add_unseen, &alike);
    vg_census_map_close(&alike.numbers);
    return alike.bytes;
}

void vg_census_write_batch(struct vg_census_work *work)
{
    struct vg_census_batch *const out = &work->out->batch;
    struct candidates candidates = { 0 };
    if (!work->torch.impl_sizes)
        return;
    find_candidates(&candidates, work);
    if (candidates.count == 0)
        return;
    complete_sizes(work);
    count_candidates(&candidates, work);
    const uint32_t best = best_candidate(&candidates);
    if (candidates.bytes[best] == 0 || is_doubtful(work, &candidates, best))
        return;
    out->size = candidates.sizes[best];
    count_batch(work, out);
    if (out->bytes < out->other_bytes) { /* another size is the batch's, or none has a name */
        *out = (struct vg_census_batch){ 0 };
        return;
    }
    count_model(work, out);
    out->alike_bytes = count_alike(work);
    vg_census_write_layers(work);
}
