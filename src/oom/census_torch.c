#include "oom/census_torch.h"

#include <string.h>

#include "os/mapped.h"

/* PyGetSetDescrObject (Include/descrobject.h): object header, type, name, qualified name, then the
 * definition: name, get, set, text, closure. */
enum { DESCRIPTION_OF = 40, DEFINITION_GET = 8, DEFINITION_CLOSURE = 32 };

/* A pybind11 object's pointer to its value (pybind11/detail/common.h, struct instance, simple
 * layout). */
enum { BOUND_VALUE = 16 };

enum {
    SAMPLES = 8,
    READ_BYTES = 64,  /* from the start of what offsets are looked for in */
    IMPL_BYTES = 192, /* of a tensor: its sizes, too */
};

/* Offsets found once hold for the process: one PyTorch is loaded. Under the GIL. */
static struct {
    int tensor_impl;
    int after_counts; /* of a tensor and of a storage */
    int sizes;
} known;

static uintptr_t type_in(const struct vg_census_python *python, uintptr_t dict, const char *name)
{
    const uintptr_t found = dict ? vg_census_dict_find(python, dict, name) : 0;
    return found && (vg_type_flags(vg_object_type(found)) & VG_TYPE_IS_TYPE) ? found : 0;
}

struct vg_census_getter vg_census_torch_getter_of(uintptr_t description)
{
    const uintptr_t definition = vg_python_word(description + DESCRIPTION_OF);
    const uintptr_t get = vg_python_word(definition + DEFINITION_GET);
    struct vg_census_getter getter = { .closure = (void *)vg_python_word(definition +
                                                                         DEFINITION_CLOSURE) };
    memcpy(&getter.get, &get, sizeof get);
    return getter;
}

/* Types are looked at by PyTorch's own metaclass, which has no code of the program's. */
struct vg_census_getter vg_census_torch_getter(const struct vg_census_python *python,
                                               uintptr_t type, const char *name)
{
    struct vg_census_getter getter = { 0 };
    void *const description = python->api->attribute((void *)type, name);
    if (!description) {
        python->api->clear_error();
        return getter;
    }
    if (vg_object_type((uintptr_t)description) == (uintptr_t)python->getter)
        getter = vg_census_torch_getter_of((uintptr_t)description);
    python->api->drop(description); /* the type keeps it */
    return getter;
}

uintptr_t vg_census_torch_get(const struct vg_census_python *python,
                              const struct vg_census_getter *getter, uintptr_t object)
{
    void *const answer = getter->get ? getter->get((void *)object, getter->closure) : NULL;
    if (!answer)
        python->api->clear_error();
    return (uintptr_t)answer;
}

bool vg_census_torch_find(const struct vg_census_python *python, struct vg_census_torch *out)
{
    const uintptr_t core = vg_census_module_dict(python, "torch._C");
    const uintptr_t torch = vg_census_module_dict(python, "torch");
    memset(out, 0, sizeof *out);
    if (!core || !torch)
        return false;
    out->tensor_base = type_in(python, core, "TensorBase");
    if (!out->tensor_base)
        out->tensor_base = type_in(python, core, "_TensorBase"); /* before 2.1 */
    out->tensor = type_in(python, torch, "Tensor");
    out->parameter =
        type_in(python, vg_census_module_dict(python, "torch.nn.parameter"), "Parameter");
    out->model =
        type_in(python, vg_census_module_dict(python, "torch.nn.modules.module"), "Module");
    out->optimizer =
        type_in(python, vg_census_module_dict(python, "torch.optim.optimizer"), "Optimizer");
    out->loader =
        type_in(python, vg_census_module_dict(python, "torch.utils.data.dataloader"), "DataLoader");
    out->sampler =
        type_in(python, vg_census_module_dict(python, "torch.utils.data.sampler"), "BatchSampler");
    out->function = type_in(python, core, "_FunctionBase");
    if (!out->tensor_base || !out->tensor)
        return false;
    out->grad_fn = vg_census_torch_getter(python, out->tensor_base, "grad_fn");
    out->grad = vg_census_torch_getter(python, out->tensor_base, "grad");
    out->shape = vg_census_torch_getter(python, out->tensor_base, "shape");
    out->dtype = vg_census_torch_getter(python, out->tensor_base, "dtype");
    if (out->function) {
        out->function_next = vg_census_torch_getter(python, out->function, "next_functions");
        out->function_saved = vg_census_torch_getter(python, out->function, "_raw_saved_tensors");
    }
    return true;
}

/* ---- modes ---- */

static void *call_method(const struct vg_census_python *python, void *object, const char *name)
{
    void *const method = python->api->attribute(object, name);
    void *const result = method ? python->api->call(method, NULL) : NULL;
    python->api->drop(method);
    if (!result)
        python->api->clear_error();
    return result;
}

/* Makes an object of torch._C's class `name` and enters it. NULL: there is none. */
static void *enter_guard(const struct vg_census_python *python, uintptr_t core, const char *name)
{
    const uintptr_t type = type_in(python, core, name);
    void *const guard = type ? python->api->call((void *)type, NULL) : NULL;
    void *const entered = guard ? call_method(python, guard, "__enter__") : NULL;
    if (!guard)
        python->api->clear_error();
    python->api->drop(entered);
    if (guard && !entered) {
        python->api->drop(guard);
        return NULL;
    }
    return guard;
}

/* Before 2.0 nothing keeps a mode of the program's from being called. */
static bool has_mode(const struct vg_census_python *python, uintptr_t core)
{
    const uintptr_t count = vg_census_dict_find(python, core, "_len_torch_function_stack");
    void *const answer = count ? python->api->call((void *)count, NULL) : NULL;
    const bool has = !answer || python->api->is_true(answer) != 0;
    if (!answer)
        python->api->clear_error();
    python->api->drop(answer);
    return has;
}

bool vg_census_torch_enter(const struct vg_census_python *python, struct vg_census_torch *torch)
{
    const uintptr_t core = vg_census_module_dict(python, "torch._C");
    const bool covers_modes =
        vg_census_dict_find(python, core, "DisableTorchFunctionSubclass") != 0;
    if (!covers_modes && has_mode(python, core))
        return false;
    torch->guards[0] = enter_guard(python, core, "DisableTorchFunction");
    if (!torch->guards[0])
        return false;
    torch->guards[1] = enter_guard(python, core, "_DisableTorchDispatch");
    return true;
}

void vg_census_torch_leave(const struct vg_census_python *python, struct vg_census_torch *torch)
{
    for (size_t i = sizeof torch->guards / sizeof torch->guards[0]; i-- > 0;) {
        void *const guard = torch->guards[i];
        void *const leave = guard ? python->api->attribute(guard, "__exit__") : NULL;
        void *const none = python->api->none;
        void *const result = leave ? python->api->call(leave, none, none, none, NULL) : NULL;
        if (guard && !result)
            python->api->clear_error();
        python->api->drop(result);
        python->api->drop(leave);
        python->api->drop(guard);
        torch->guards[i] = NULL;
    }
}

/* ---- offsets ---- */

struct sample {
    uintptr_t object, impl, address; /* as PyTorch says */
    struct vg_census_shape shape;    /* likewise; rank 0: none */
};

static uintptr_t integer_of(const struct vg_census_python *python, void *number)
{
    const uintptr_t value = number ? (uintptr_t)python->pointer(number) : 0;
    if (!number || value == 0)
        python->api->clear_error();
    python->api->drop(number);
    return value;
}

static void take_shape(const struct vg_census_python *python, const struct vg_census_getter *getter,
                       struct sample *out)
{
    const uintptr_t sizes = vg_census_torch_get(python, getter, out->object);
    if (sizes && !vg_census_read_sizes(python, sizes, &out->shape))
        out->shape.rank = 0;
    python->api->drop((void *)sizes);
}

static bool take_sample(const struct vg_census_python *python, uintptr_t tensor,
                        const struct vg_census_getter *impl, void *data_pointer, struct sample *out)
{
    *out = (struct sample){ .object = tensor };
    out->impl = (uintptr_t)integer_of(python, (void *)vg_census_torch_get(python, impl, tensor));
    out->address = integer_of(python, python->api->call(data_pointer, (void *)tensor, NULL));
    return out->impl && out->address && vg_is_mapped((void *)tensor, READ_BYTES) &&
           vg_is_mapped((void *)out->impl, IMPL_BYTES);
}

/* PyObject header, then a c10::MaybeOwned<Tensor> or a Tensor, which is one pointer. */
static int impl_offset(const struct sample *samples, size_t count)
{
    for (int at = 16; at <= 24; at += 8) {
        size_t fits = 0;
        for (size_t i = 0; i < count; i++)
            fits += vg_python_word(samples[i].object + (uintptr_t)at) == samples[i].impl;
        if (fits == count)
            return at;
    }
    return 0;
}

/* Both begin with a table of virtual functions and reference counts, of 8 or 16 bytes; then come
 * the tensor's storage, and the storage's address. One that fits tells: tensors that begin after
 * their storage may be among the samples. */
static int offset_after_counts(const struct sample *samples, size_t count)
{
    for (int at = 16; at <= 24; at += 8)
        for (size_t i = 0; i < count; i++) {
            const uintptr_t storage = vg_python_word(samples[i].impl + (uintptr_t)at);
            if (vg_is_mapped((void *)storage, READ_BYTES) &&
                vg_python_word(storage + (uintptr_t)at) == samples[i].address)
                return at;
        }
    return 0;
}

/* SizesAndStrides: how many there are, then the sizes themselves, of few. */
static bool has_sizes_at(const struct sample *sample, uintptr_t at)
{
    if (vg_python_word(sample->impl + at) != sample->shape.rank)
        return false;
    for (uint32_t i = 0; i < sample->shape.rank; i++)
        if (vg_python_word(sample->impl + at + (i + 1) * sizeof(uint64_t)) !=
            (uint64_t)sample->shape.sizes[i])
            return false;
    return true;
}

/* Is one of the sizes more than what may be a count of something else? */
static bool is_telling(const struct vg_census_shape *shape)
{
    for (uint32_t i = 0; i < shape->rank; i++)
        if (shape->sizes[i] > 2)
            return true;
    return false;
}

/* All samples that have sizes must agree, and one of them must tell. */
static int sizes_offset(const struct sample *samples, size_t count)
{
    const uintptr_t last = IMPL_BYTES - (VG_CENSUS_SIZES + 1) * sizeof(uint64_t);
    for (uintptr_t at = 4 * sizeof(uint64_t); at <= last; at += sizeof(uint64_t)) {
        size_t asked = 0, fits = 0;
        bool has_telling = false;
        for (size_t i = 0; i < count; i++) {
            const struct vg_census_shape *const shape = &samples[i].shape;
            if (shape->rank == 0 || shape->rank > VG_CENSUS_SIZES)
                continue;
            asked++;
            fits += has_sizes_at(&samples[i], at);
            has_telling |= is_telling(shape);
        }
        if (has_telling && fits == asked)
            return (int)at;
    }
    return 0;
}

static bool learn_offsets(const struct sample *samples, size_t count)
{
    known.tensor_impl = count ? impl_offset(samples, count) : 0;
    known.after_counts = count ? offset_after_counts(samples, count) : 0;
    known.sizes = sizes_offset(samples, count);
    return known.tensor_impl && known.after_counts;
}

/* `_data_address` tells where the storage begins and, unlike data_ptr, never copies one that is
 * shared until it is written to. Older PyTorch has none of those, and no `_data_address`. */
static void *data_function(const struct vg_census_python *python,
                           const struct vg_census_torch *torch)
{
    const uintptr_t core = vg_census_module_dict(python, "torch._C");
    const uintptr_t function = vg_census_dict_find(python, core, "_data_address");
    if (function) {
        python->api->take((void *)function);
        return (void *)function;
    }
    return python->api->attribute((void *)torch->tensor_base, "data_ptr");
}

static size_t take_samples(const struct vg_census_python *python,
                           const struct vg_census_torch *torch,
                           const struct vg_census_list *tensors, struct sample *samples)
{
    const struct vg_census_getter impl =
        vg_census_torch_getter(python, torch->tensor_base, "_cdata");
    void *const data = data_function(python, torch);
    size_t count = 0, tried = 0;
    for (size_t i = 0; data && i < tensors->count && count < SAMPLES && tried < 64; i++) {
        const uintptr_t type = vg_object_type(vg_census_list_at(tensors, i));
        if (type != torch->tensor && type != torch->parameter)
            continue;
        tried++;
        if (take_sample(python, vg_census_list_at(tensors, i), &impl, data, &samples[count]))
            take_shape(python, &torch->shape, &samples[count++]);
    }
    python->api->clear_error();
    python->api->drop(data);
    return count;
}

bool vg_census_torch_calibrate(const struct vg_census_python *python, struct vg_census_torch *torch,
                               const struct vg_census_list *tensors)
{
    struct sample samples[SAMPLES];
    if (!known.after_counts &&
        !learn_offsets(samples, take_samples(python, torch, tensors, samples)))
        return false;
    torch->tensor_impl = known.tensor_impl;
    torch->impl_storage = torch->storage_data = known.after_counts;
    torch->impl_autograd = known.after_counts + (int)sizeof(uintptr_t);
    torch->impl_sizes = known.sizes;
    return torch->is_readable = true;
}

/* ---- reading ---- */

static uintptr_t storage_address(const struct vg_census_torch *torch, uintptr_t impl)
{
    const uintptr_t storage = vg_python_word(impl + (uintptr_t)torch->impl_storage);
    return storage ? vg_python_word(storage + (uintptr_t)torch->storage_data) : 0;
}

struct vg_census_tensor vg_census_torch_read(const struct vg_census_torch *torch, uintptr_t tensor)
{
    struct vg_census_tensor out = { 0 };
    const uintptr_t impl = vg_python_word(tensor + (uintptr_t)torch->tensor_impl);
    if (impl) {
        out.address = storage_address(torch, impl);
        out.has_autograd = vg_python_word(impl + (uintptr_t)torch->impl_autograd) != 0;
    }
    return out;
}

/* Of a tensor that is mapped so far. */
static struct vg_census_sizes sizes_of(const struct vg_census_torch *torch, uintptr_t impl)
{
    struct vg_census_sizes sizes = { 0 };
    const uintptr_t at = impl + (uintptr_t)torch->impl_sizes;
    const uint64_t rank = torch->impl_sizes ? vg_python_word(at) : 0;
    if (rank > VG_CENSUS_SIZES)
        return sizes;
    for (uint32_t i = 0; i < rank; i++) {
        const uint64_t size = vg_python_word(at + (i + 1) * sizeof(uint64_t));
        if (size > UINT32_MAX)
            return sizes;
        sizes.of[i] = (uint32_t)size;
    }
    sizes.rank = (uint32_t)rank;
    return sizes;
}

struct vg_census_sizes vg_census_torch_read_sizes(const struct vg_census_torch *torch,
                                                  uintptr_t tensor)
{
    const uintptr_t impl = vg_python_word(tensor + (uintptr_t)torch->tensor_impl);
    return impl ? sizes_of(torch, impl) : (struct vg_census_sizes){ 0 };
}

uintptr_t vg_census_torch_read_saved(const struct vg_census_torch *torch, uintptr_t saved,
                                     struct vg_census_sizes *out_sizes)
{
    /* torch/csrc/autograd/saved_variable.h: the saved tensor is the first member. */
    const uintptr_t value = vg_python_word(saved + BOUND_VALUE);
    if (!value || !vg_is_mapped((void *)value, sizeof value))
        return 0;
    const uintptr_t impl = vg_python_word(value);
    if (!impl || !vg_is_mapped((void *)impl, IMPL_BYTES))
        return 0;
    const uintptr_t storage = vg_python_word(impl + (uintptr_t)torch->impl_storage);
    if (!storage || !vg_is_mapped((void *)storage, READ_BYTES))
        return 0;
    *out_sizes = sizes_of(torch, impl);
    return vg_python_word(storage + (uintptr_t)torch->storage_data);
}
