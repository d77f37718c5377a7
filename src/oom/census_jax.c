#include "oom/census_jax.h"

#include <string.h>

enum {
    PROPERTY_GET = 16, /* propertyobject.prop_get (Objects/descrobject.c) */
    DEVICES_MAX = 256,
};

/* Is it a function written in C or C++: one of CPython's own kinds, or of nanobind's, which jaxlib
 * is bound with? */
static bool is_native(uintptr_t function)
{
    char name[VG_CENSUS_TYPE_CAP];
    const uintptr_t type = vg_object_type(function);
    vg_census_type_name(type, name, sizeof name);
    if (vg_type_flags(type) & VG_TYPE_IS_HEAP)
        return strcmp(name, "nb_method") == 0 || strcmp(name, "nb_func") == 0;
    return strcmp(name, "function") != 0 && strcmp(name, "method") != 0;
}

/* A function that the type itself has, as written in C or C++, or that reads its property; 0: none.
 */
static uintptr_t own_function(const struct vg_census_python *python, uintptr_t type,
                              const char *name)
{
    const uintptr_t dict = vg_python_word(type + VG_TYPE_DICT);
    uintptr_t found = dict ? vg_census_dict_find(python, dict, name) : 0;
    char type_name[VG_CENSUS_TYPE_CAP];
    if (!found)
        return 0;
    vg_census_type_name(vg_object_type(found), type_name, sizeof type_name);
    if (strcmp(type_name, "property") == 0 &&
        !(vg_type_flags(vg_object_type(found)) & VG_TYPE_IS_HEAP))
        found = vg_python_word(found + PROPERTY_GET);
    return found && is_native(found) ? found : 0;
}

void vg_census_jax_find(const struct vg_census_python *python, struct vg_census_jax *out)
{
    const uintptr_t array = vg_census_module_type(python, "jax._src.array", "ArrayImpl");
    if (!array)
        return;
    out->is_deleted = own_function(python, array, "is_deleted");
    out->bytes = own_function(python, array, "on_device_size_in_bytes");
    out->sharding = own_function(python, array, "_sharding");
    out->facts = own_function(python, array, "aval");
    if (out->is_deleted && out->bytes)
        out->array = array;
}

static uintptr_t call_function(const struct vg_census_python *python, uintptr_t function,
                               uintptr_t array)
{
    void *const answer = python->api->call((void *)function, (void *)array, NULL);
    if (!answer)
        python->api->clear_error();
    return (uintptr_t)answer;
}

/* Calls what the object's own type has under the name, if it is written in C or C++. Owned. */
static uintptr_t call_own(const struct vg_census_python *python, uintptr_t object, const char *name)
{
    const uintptr_t function = object ? own_function(python, vg_object_type(object), name) : 0;
    return function ? call_function(python, function, object) : 0;
}

/* The device in question. */
struct wanted {
    const struct vg_census_python *python;
    int32_t device;
    const char *platform;
};

static bool is_wanted(const struct wanted *wanted, uintptr_t device)
{
    const struct vg_census_python *const python = wanted->python;
    const uintptr_t platform = call_own(python, device, "platform");
    const bool is_gpu = platform && vg_census_str_is(python, platform, wanted->platform);
    python->api->drop((void *)platform);
    return is_gpu && vg_census_take_count(python, call_own(python, device, "local_hardware_id")) ==
                         wanted->device;
}

static bool is_true_of(const struct vg_census_python *python, uintptr_t object, const char *name)
{
    const uintptr_t answer = call_own(python, object, name);
    const bool is_true = answer && python->api->is_true((void *)answer) == 1;
    python->api->drop((void *)answer);
    return is_true;
}

/* Of `bytes` on all of the `devices` (jaxlib's DeviceList), which have as much each, those on the
 * device in question. Devices of another host are not told from ours: then 0. */
static uint64_t share_of_device(const struct wanted *wanted, uintptr_t devices, uint64_t bytes)
{
    const struct vg_census_python *const python = wanted->python;
    const uintptr_t item = own_function(python, vg_object_type(devices), "__getitem__");
    const int64_t count = vg_census_take_count(python, call_own(python, devices, "__len__"));
    int64_t ours = 0;
    if (!item || count <= 0 || count > DEVICES_MAX ||
        !is_true_of(python, devices, "is_fully_addressable"))
        return 0;
    for (int64_t i = 0; i < count; i++) {
        void *const number = python->make_integer(i);
        void *const device =
            number ? python->api->call((void *)item, (void *)devices, number, NULL) : NULL;
        if (!device)
            python->api->clear_error();
        ours += device && is_wanted(wanted, (uintptr_t)device);
        python->api->drop(device);
        python->api->drop(number);
    }
    return bytes / (uint64_t)count * (uint64_t)ours;
}

static uint64_t bytes_on_device(const struct wanted *wanted, uintptr_t sharding, uint64_t bytes)
{
    const struct vg_census_python *const python = wanted->python;
    const uintptr_t device = call_own(python, sharding, "_device");
    const uintptr_t devices = device ? 0 : call_own(python, sharding, "_internal_device_list");
    uint64_t own_bytes = 0;
    if (device)
        own_bytes = is_wanted(wanted, device) ? bytes : 0;
    else if (devices)
        own_bytes = share_of_device(wanted, devices, bytes);
    python->api->drop((void *)devices);
    python->api->drop((void *)device);
    return own_bytes;
}

uint64_t vg_census_jax_bytes(const struct vg_census_python *python, const struct vg_census_jax *jax,
                             int32_t device, const char *platform, uintptr_t array)
{
    const struct wanted wanted = { .python = python, .device = device, .platform = platform };
    const uintptr_t deleted = call_function(python, jax->is_deleted, array);
    const bool is_live = deleted && python->api->is_true((void *)deleted) == 0;
    python->api->drop((void *)deleted);
    const int64_t bytes =
        is_live ? vg_census_take_count(python, call_function(python, jax->bytes, array)) : 0;
    if (bytes <= 0 || device < 0)
        return bytes > 0 ? (uint64_t)bytes : 0;
    const uintptr_t sharding = jax->sharding ? call_function(python, jax->sharding, array) : 0;
    const uint64_t own_bytes = bytes_on_device(&wanted, sharding, (uint64_t)bytes);
    python->api->drop((void *)sharding);
    return own_bytes;
}

/* ShapedArray has slots, in older versions attributes of its own: neither runs anything. */
static uintptr_t fact_of(const struct vg_census_python *python, uintptr_t facts, const char *name)
{
    const uintptr_t answer = (uintptr_t)python->api->attribute((void *)facts, name);
    if (!answer)
        python->api->clear_error();
    return answer;
}

void vg_census_jax_facts(const struct vg_census_python *python, const struct vg_census_jax *jax,
                         uintptr_t array, uintptr_t *shape, uintptr_t *dtype)
{
    const uintptr_t facts = jax->facts ? call_function(python, jax->facts, array) : 0;
    const bool is_known =
        facts &&
        vg_object_type(facts) == vg_census_module_type(python, "jax._src.core", "ShapedArray");
    *shape = is_known ? fact_of(python, facts, "shape") : 0;
    *dtype = is_known ? fact_of(python, facts, "dtype") : 0;
    python->api->drop((void *)facts);
}
