#include "oom/python_api.h"

#include <stdatomic.h>
#include <stddef.h>

#include "os/elf_symbol.h"

static struct vg_python_api found;

enum stage { LOOKING, READY, UNUSABLE };
static _Atomic uint32_t stage;
static _Atomic uint64_t looked_generation;

/* The names of the pointers, in the structure's order; is_finalizing has two. */
static const char *const names[] = {
    "Py_IsInitialized",
    "Py_IsFinalizing",
    "PyGILState_Check",
    "PyGILState_Ensure",
    "PyGILState_GetThisThreadState",
    "PyGILState_Release",
    "PyEval_SaveThread",
    "PyEval_RestoreThread",
    "PyImport_GetModuleDict",
    "PyImport_ImportModule",
    "PyDict_GetItemString",
    "PyObject_GetAttrString",
    "PyObject_CallFunctionObjArgs",
    "PyObject_IsTrue",
    "Py_IncRef",
    "Py_DecRef",
    "PyErr_Occurred",
    "PyErr_Clear",
    "PyUnicode_AsUTF8",
    "PyCFunction_NewEx",
    "PyGC_Collect",
    "_Py_NoneStruct",
};

enum { NAMES = sizeof names / sizeof names[0] };

_Static_assert(sizeof(struct vg_python_api) == NAMES * sizeof(void *), "a name for each pointer");

/* Exported by free-threaded builds only (Include/refcount.h). In them PyGILState_Check says nothing
 * of who else runs. */
static bool is_free_threaded(const struct vg_elf_object *object)
{
    return vg_elf_symbol(object, "_Py_MergeZeroLocalRefcount") != NULL;
}

/* Several threads may come here at once; all of them store the same values. */
static bool resolve_functions(const struct vg_elf_object *object)
{
    bool complete = true;
    for (size_t i = 0; i < NAMES; i++) {
        void **const place = (void **)&found + i;
        void *address = vg_elf_symbol(object, names[i]);
        if (!address && place == (void **)&found.is_finalizing)
            address = vg_elf_symbol(object, "_Py_IsFinalizing");
        __atomic_store_n(place, address, __ATOMIC_RELAXED);
        complete = complete && address;
    }
    return complete;
}

static void look_for_python(void)
{
    struct vg_elf_object object;
    const uint64_t generation = vg_elf_generation();
    if (atomic_load(&looked_generation) == generation)
        return;
    if (vg_elf_find_definition("PyGILState_Ensure", &object) == 0)
        atomic_store_explicit(
            &stage, !is_free_threaded(&object) && resolve_functions(&object) ? READY : UNUSABLE,
            memory_order_release);
    atomic_store(&looked_generation, generation);
}

const struct vg_python_api *vg_python_api_find(void)
{
    if (atomic_load_explicit(&stage, memory_order_acquire) == LOOKING)
        look_for_python();
    return atomic_load_explicit(&stage, memory_order_acquire) == READY ? &found : NULL;
}
