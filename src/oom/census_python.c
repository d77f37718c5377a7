#include "oom/census_python.h"

#include <stdatomic.h>
#include <string.h>

#include "base/text.h"
#include "os/elf_symbol.h"
#include "unwind/python_code.h"
#include "unwind/python_stack.h"

static struct vg_census_python interpreter;

struct vg_census_symbol {
    const char *name;
    size_t place; /* offset in the structure */
    bool needed;
};

#define NEEDED(member, name)                                                                       \
    {                                                                                              \
        name, offsetof(struct vg_census_python, member), true                                      \
    }
#define EXTRA(member, name)                                                                        \
    {                                                                                              \
        name, offsetof(struct vg_census_python, member), false                                     \
    }

static const struct vg_census_symbol symbols[] = {
    NEEDED(next_item, "PyDict_Next"),
    NEEDED(is_subtype, "PyType_IsSubtype"),
    NEEDED(instance_dict, "PyObject_GenericGetDict"),
    NEEDED(put_error_aside, "PyErr_Fetch"),
    NEEDED(bring_error_back, "PyErr_Restore"),
    NEEDED(handled, "PyErr_GetExcInfo"),
    NEEDED(traceback_of, "PyException_GetTraceback"),
    NEEDED(context_of, "PyException_GetContext"),
    NEEDED(integer, "PyLong_AsLongLong"),
    NEEDED(make_integer, "PyLong_FromLongLong"),
    NEEDED(pointer, "PyLong_AsVoidPtr"),
    NEEDED(represent, "PyObject_Repr"),
    NEEDED(main_interpreter, "PyInterpreterState_Main"),
    NEEDED(first_thread, "PyInterpreterState_ThreadHead"),
    NEEDED(next_thread, "PyThreadState_Next"),
    NEEDED(module, "PyModule_Type"),
    NEEDED(frame, "PyFrame_Type"),
    NEEDED(traceback, "PyTraceBack_Type"),
    NEEDED(cell, "PyCell_Type"),
    NEEDED(dict, "PyDict_Type"),
    NEEDED(list, "PyList_Type"),
    NEEDED(tuple, "PyTuple_Type"),
    NEEDED(set, "PySet_Type"),
    NEEDED(frozenset, "PyFrozenSet_Type"),
    NEEDED(str, "PyUnicode_Type"),
    NEEDED(number, "PyLong_Type"),
    NEEDED(function, "PyFunction_Type"),
    NEEDED(proxy, "_PyWeakref_ProxyType"),
    NEEDED(builtin, "PyCFunction_Type"),
    NEEDED(getter, "PyGetSetDescr_Type"),
    EXTRA(visit_tracked, "PyUnstable_GC_VisitObjects"),
    EXTRA(is_collecting, "PyGC_IsEnabled"),
    EXTRA(stop_collecting, "PyGC_Disable"),
    EXTRA(start_collecting, "PyGC_Enable"),
};

static bool find_symbols(void)
{
    struct vg_elf_object object;
    bool complete = vg_elf_find_definition("PyGILState_Ensure", &object) == 0;
    for (size_t i = 0; complete && i < sizeof symbols / sizeof symbols[0]; i++) {
        void *const address = vg_elf_symbol(&object, symbols[i].name);
        memcpy((char *)&interpreter + symbols[i].place, &address, sizeof address);
        complete = address || !symbols[i].needed;
    }
    return complete;
}

/* A thread of PyTorch's may have no Python frame; any other's will do. */
static const struct vg_python_layout *find_layout(void)
{
    const struct vg_python_layout *layout = vg_python_layout_in_use(NULL);
    void *thread = interpreter.first_thread(interpreter.main_interpreter());
    for (; !layout && thread; thread = interpreter.next_thread(thread))
        layout = vg_python_layout_in_use(thread);
    return layout;
}

const struct vg_census_python *vg_census_python(void)
{
    static enum { LOOKING, READY, UNUSABLE } search; /* under the GIL */
    interpreter.api = vg_python_api_find();
    if (!interpreter.api)
        return NULL;
    if (search == LOOKING)
        search = find_symbols() ? READY : UNUSABLE;
    if (search == READY && !interpreter.layout)
        interpreter.layout = find_layout();
    return search == READY && interpreter.layout ? &interpreter : NULL;
}

bool vg_census_str_is(const struct vg_census_python *python, uintptr_t object, const char *text)
{
    const struct vg_python_layout *const layout = python->layout;
    if (vg_object_type(object) != (uintptr_t)python->str)
        return false;
    const uint32_t bits = vg_python_str_bits(layout, object);
    const size_t length = strlen(text);
    return (bits & VG_STR_ASCII) && (bits & VG_STR_COMPACT) &&
           vg_python_word(object + VG_STR_LENGTH) == length &&
           memcmp((const char *)object + layout->ascii_data, text, length) == 0;
}

uintptr_t vg_census_dict_find(const struct vg_census_python *python, uintptr_t dict,
                              const char *key)
{
    intptr_t position = 0;
    void *name, *value;
    while (python->next_item((void *)dict, &position, &name, &value))
        if (vg_census_str_is(python, (uintptr_t)name, key))
            return (uintptr_t)value;
    return 0;
}

uintptr_t vg_census_module_dict(const struct vg_census_python *python, const char *name)
{
    void *const modules = python->api->modules();
    const uintptr_t module = modules ? vg_census_dict_find(python, (uintptr_t)modules, name) : 0;
    if (!module || !python->is_subtype((void *)vg_object_type(module), python->module))
        return 0;
    return vg_python_word(module + VG_MODULE_DICT);
}

uintptr_t vg_census_module_type(const struct vg_census_python *python, const char *module,
                                const char *name)
{
    const uintptr_t dict = vg_census_module_dict(python, module);
    const uintptr_t found = dict ? vg_census_dict_find(python, dict, name) : 0;
    return found && (vg_type_flags(vg_object_type(found)) & VG_TYPE_IS_TYPE) ? found : 0;
}

int64_t vg_census_take_count(const struct vg_census_python *python, uintptr_t object)
{
    const bool is_number = object && vg_object_type(object) == (uintptr_t)python->number;
    const long long number = is_number ? python->integer((void *)object) : -1;
    if (is_number && number < 0)
        python->api->clear_error();
    python->api->drop((void *)object);
    return number < 0 ? -1 : number;
}

uintptr_t vg_census_instance_dict(const struct vg_census_python *python, uintptr_t object)
{
    void *const dict = python->instance_dict((void *)object, NULL);
    if (!dict) {
        python->api->clear_error();
        return 0;
    }
    python->api->drop(dict); /* the instance keeps it */
    return (vg_type_flags(vg_object_type((uintptr_t)dict)) & VG_TYPE_IS_DICT) ? (uintptr_t)dict : 0;
}

bool vg_census_type_is(uintptr_t type, const char *name)
{
    const char *const own = (const char *)vg_python_word(type + VG_TYPE_NAME);
    return own && strcmp(own, name) == 0;
}

void vg_census_type_name(uintptr_t type, char *out, size_t cap)
{
    const char *const name = (const char *)vg_python_word(type + VG_TYPE_NAME);
    const char *const dot = name ? strrchr(name, '.') : NULL;
    const char *const shown = dot ? dot + 1 : name ? name : "?";
    vg_text_sanitize(out, cap, shown, strlen(shown));
}

void vg_census_str_write(const struct vg_census_python *python, uintptr_t object, char *out,
                         size_t cap)
{
    char text[512];
    const uint64_t is_str = UINT64_C(1) << 28; /* Py_TPFLAGS_UNICODE_SUBCLASS */
    if (!object || !(vg_type_flags(vg_object_type(object)) & is_str)) {
        vg_text_sanitize(out, cap, "?", 1);
        return;
    }
    const size_t length =
        vg_python_text(python->layout, object, text, cap < sizeof text ? cap : sizeof text);
    vg_text_sanitize(out, cap, text, length);
}

bool vg_census_read_sizes(const struct vg_census_python *python, uintptr_t sizes,
                          struct vg_census_shape *out)
{
    bool is_whole = vg_type_flags(vg_object_type(sizes)) & VG_TYPE_IS_TUPLE;
    out->rank = is_whole ? (uint32_t)vg_python_word(sizes + VG_SIZE) : 0;
    for (uint32_t i = 0; is_whole && i < out->rank && i < VG_CENSUS_RANK; i++) {
        const uintptr_t size = vg_python_tuple_item(python->layout, sizes, i);
        is_whole = vg_object_type(size) == (uintptr_t)python->number;
        out->sizes[i] = is_whole ? python->integer((void *)size) : 0;
    }
    return is_whole;
}
