/* The shapes of tensors that are no part of a model, and of other libraries' arrays. */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "oom/census_work.h"

struct shapes {
    struct vg_census_list list; /* of struct vg_census_array_shape; of tensors, no library */
    struct vg_census_map of;    /* hash of library, sizes and data type -> index */
};

/* The entry of such a shape; `dtype`: what tells its data type. NULL: no memory. */
static struct vg_census_array_shape *find_shape(struct shapes *shapes,
                                                const struct vg_census_array_shape *shape,
                                                uint64_t dtype, bool *is_new)
{
    uint64_t words[VG_CENSUS_RANK + 3];
    memcpy(words, shape->shape.sizes, sizeof shape->shape.sizes);
    words[VG_CENSUS_RANK] = shape->shape.rank;
    words[VG_CENSUS_RANK + 1] = dtype;
    words[VG_CENSUS_RANK + 2] = shape->from;
    const uint64_t hash = vg_hash_words(words, VG_CENSUS_RANK + 3) | 1;
    const uint64_t *const index = vg_census_map_put(&shapes->of, hash, shapes->list.count, is_new);
    if (!index)
        return NULL;
    if (!*is_new)
        return (struct vg_census_array_shape *)shapes->list.items + *index;
    struct vg_census_array_shape *const added = vg_census_list_add(&shapes->list);
    if (added)
        *added = *shape;
    return added;
}

static void count_tensor(struct vg_census_work *work, struct shapes *shapes,
                         const struct vg_census_storage *storage)
{
    const struct vg_census_python *const python = work->python;
    struct vg_census_array_shape shape = { .from = VG_CENSUS_ARRAY_LIBRARIES };
    bool is_new;
    const uintptr_t type = storage->tensor ? vg_object_type(storage->tensor) : 0;
    if (!type || vg_census_class_of(work, type) != VG_CLASS_EXACT_TENSOR)
        return;
    const uintptr_t sizes = vg_census_torch_get(python, &work->torch.shape, storage->tensor);
    const uintptr_t dtype = vg_census_torch_get(python, &work->torch.dtype, storage->tensor);
    if (sizes && vg_census_read_sizes(python, sizes, &shape.shape)) {
        struct vg_census_array_shape *const found = find_shape(shapes, &shape, dtype, &is_new);
        if (found && is_new && dtype)
            vg_census_write_dtype(python, dtype, found->shape.dtype, sizeof found->shape.dtype);
        if (found)
            vg_census_amount_add(&found->shape.amount, storage->bytes);
    }
    python->api->drop((void *)dtype);
    python->api->drop((void *)sizes);
}

uint64_t vg_census_shape_elements(const struct vg_census_shape *shape)
{
    uint64_t elements = 1;
    if (shape->rank > VG_CENSUS_RANK)
        return 0;
    for (uint32_t i = 0; i < shape->rank; i++)
        if (shape->sizes[i] <= 0 ||
            __builtin_mul_overflow(elements, (uint64_t)shape->sizes[i], &elements))
            return 0;
    return elements;
}

/* Is the array but a part of its memory? By the bits of an element that its type's name ends in. */
static bool is_part(const struct vg_census_shape *shape, uint64_t bytes)
{
    const char *bits = shape->dtype + strlen(shape->dtype);
    while (bits > shape->dtype && bits[-1] >= '0' && bits[-1] <= '9')
        bits--;
    const uint64_t element_bytes = strtoull(bits, NULL, 10) / 8;
    const uint64_t elements = vg_census_shape_elements(shape);
    return element_bytes > 0 && elements > 0 && elements < bytes / element_bytes / 2;
}

static void count_array(struct vg_census_work *work, struct shapes *shapes,
                        const struct vg_census_storage *storage)
{
    struct vg_census_array_shape shape = { .from = storage->kind - VG_CENSUS_KINDS };
    uint64_t dtype[VG_CENSUS_DTYPE_CAP / sizeof(uint64_t)];
    bool is_new;
    _Static_assert(sizeof dtype == sizeof shape.shape.dtype, "whole words");
    if (!vg_census_arrays_describe(work->python, &work->arrays, shape.from, storage->tensor,
                                   &shape.shape) ||
        is_part(&shape.shape, storage->bytes))
        return;
    memcpy(dtype, shape.shape.dtype, sizeof dtype);
    struct vg_census_array_shape *const found =
        find_shape(shapes, &shape, vg_hash_words(dtype, sizeof dtype / sizeof dtype[0]), &is_new);
    if (found)
        vg_census_amount_add(&found->shape.amount, storage->bytes);
}

/* The entry with the most bytes that is of an array, or of none; NULL: none is left. */
static struct vg_census_array_shape *largest_shape(const struct shapes *shapes, bool of_arrays)
{
    struct vg_census_array_shape *const all = shapes->list.items;
    struct vg_census_array_shape *largest = NULL;
    for (size_t i = 0; i < shapes->list.count; i++)
        if ((all[i].from < VG_CENSUS_ARRAY_LIBRARIES) == of_arrays &&
            all[i].shape.amount.bytes > (largest ? largest->shape.amount.bytes : 0))
            largest = &all[i];
    return largest;
}

/* The largest go into the result, in order. */
static void write_largest(struct vg_census *out, const struct shapes *shapes)
{
    struct vg_census_array_shape *largest;
    while (out->shape_count < VG_CENSUS_SHAPES && (largest = largest_shape(shapes, false))) {
        out->shapes[out->shape_count++] = largest->shape;
        largest->shape.amount.bytes = 0;
    }
    while (out->array_shape_count < VG_CENSUS_SHAPES && (largest = largest_shape(shapes, true))) {
        out->array_shapes[out->array_shape_count++] = *largest;
        largest->shape.amount.bytes = 0;
    }
}

void vg_census_write_shapes(struct vg_census_work *work)
{
    struct shapes shapes = { .list.item_bytes = sizeof(struct vg_census_array_shape) };
    for (size_t i = 0; i < work->storages.count && !vg_census_is_late(work); i++) {
        const struct vg_census_storage *const storage = vg_census_storage_number(work, i);
        if (storage->kind >= VG_CENSUS_KINDS)
            count_array(work, &shapes, storage);
        else if (vg_census_kind_of(storage) == VG_CENSUS_OTHER)
            count_tensor(work, &shapes, storage);
    }
    write_largest(work->out, &shapes);
    vg_census_list_close(&shapes.list);
    vg_census_map_close(&shapes.of);
}
