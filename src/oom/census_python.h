/* What a census needs of CPython beside python_api.h: functions found in the program's own
 * interpreter, and the few public structures that it reads itself. All of this is with the GIL
 * held. Objects are addresses, borrowed: nothing dies while the GIL is kept and nothing runs. */
#ifndef VRAMGUARD_OOM_CENSUS_PYTHON_H
#define VRAMGUARD_OOM_CENSUS_PYTHON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analyze/census.h"
#include "oom/python_api.h"
#include "unwind/python_layout.h"

struct vg_census_python {
    /* PyDict_Next: the dictionary's own storage, whatever its class overrides. */
    int (*next_item)(void *dict, intptr_t *position, void **key, void **value);
    int (*is_subtype)(void *type, void *base);          /* PyType_IsSubtype: reads tp_mro */
    void *(*instance_dict)(void *object, void *unused); /* PyObject_GenericGetDict, owned */
    void (*put_error_aside)(void **, void **, void **); /* PyErr_Fetch, owned */
    void (*bring_error_back)(void *, void *, void *);   /* PyErr_Restore, takes them */
    void (*handled)(void **, void **, void **); /* PyErr_GetExcInfo, owned: what an `except` block
                                                   of this thread is handling */
    void *(*traceback_of)(void *exception);     /* PyException_GetTraceback, owned, may be NULL */
    void *(*context_of)(void *exception);       /* PyException_GetContext, likewise */
    long long (*integer)(void *);               /* PyLong_AsLongLong */
    void *(*make_integer)(long long);           /* PyLong_FromLongLong, owned */
    void *(*pointer)(void *);                   /* PyLong_AsVoidPtr */
    void *(*represent)(void *);                 /* PyObject_Repr, owned */
    void *(*main_interpreter)(void);            /* PyInterpreterState_Main */
    void *(*first_thread)(void *interpreter);   /* PyInterpreterState_ThreadHead */
    void *(*next_thread)(void *thread);         /* PyThreadState_Next */
    void *module, *frame, *traceback, *cell, *dict, *list, *tuple, *set, *frozenset, *str, *number,
        *function, *proxy;  /* the last: weakref.proxy's of what cannot be called */
    void *builtin, *getter; /* PyCFunction_Type, PyGetSetDescr_Type */

    /* Each may be missing. */
    void (*visit_tracked)(int (*visit)(void *object, void *argument), void *argument);
    /* PyUnstable_GC_VisitObjects, from 3.12 on */
    int (*is_collecting)(void), (*stop_collecting)(void), (*start_collecting)(void);
    /* PyGC_IsEnabled, PyGC_Disable, PyGC_Enable, from 3.10 on */

    const struct vg_python_api *api;
    const struct vg_python_layout *layout;
};

/* The interpreter of this process; NULL: there is none, or it cannot be read. The calling thread
 * holds the GIL. */
const struct vg_census_python *vg_census_python(void);

/* ---- objects: the same in all versions (Include/cpython/object.h, objimpl.h) ---- */

enum {
    VG_TYPE_NAME = 24,
    VG_TYPE_FLAGS = 168,
    VG_TYPE_TRAVERSE = 184,
    VG_TYPE_DICT = 264,
    VG_LIST_ITEMS = 24,
    VG_CELL_CONTENT = 16,
    VG_MODULE_DICT = 16,
    VG_SIZE = 16,     /* PyVarObject.ob_size, and how many items a dict has */
    VG_SET_SIZE = 24, /* PySetObject.used */
};

#define VG_TYPE_IS_HEAP  (UINT64_C(1) << 9)
#define VG_TYPE_HAS_GC   (UINT64_C(1) << 14)
#define VG_TYPE_IS_LIST  (UINT64_C(1) << 25)
#define VG_TYPE_IS_TUPLE (UINT64_C(1) << 26)
#define VG_TYPE_IS_DICT  (UINT64_C(1) << 29)
#define VG_TYPE_IS_ERROR (UINT64_C(1) << 30) /* an exception */
#define VG_TYPE_IS_TYPE  (UINT64_C(1) << 31)

static inline uintptr_t vg_object_type(uintptr_t object)
{
    return vg_python_word(object + VG_OBJECT_TYPE);
}

static inline uint64_t vg_type_flags(uintptr_t type)
{
    return vg_python_word(type + VG_TYPE_FLAGS);
}

/* Is this object, whose type has VG_TYPE_HAS_GC and is no type itself, in the collector's lists?
 * One that is not refers to no other container. (PyGC_Head stands before it.) */
static inline bool vg_object_is_tracked(uintptr_t object)
{
    return vg_python_word(object - 2 * sizeof(uintptr_t)) != 0;
}

/* The object's visit by the collector: `visit(referent, argument)` for each, until one returns not
 * 0. The type has VG_TYPE_HAS_GC. */
static inline void vg_object_traverse(uintptr_t object, int (*visit)(void *, void *),
                                      void *argument)
{
    int (*traverse)(void *, int (*)(void *, void *), void *);
    const uintptr_t function = vg_python_word(vg_object_type(object) + VG_TYPE_TRAVERSE);
    memcpy(&traverse, &function, sizeof traverse);
    if (traverse)
        traverse((void *)object, visit, argument);
}

/* Is `object` a str, of no subclass, with exactly this ASCII text? */
bool vg_census_str_is(const struct vg_census_python *python, uintptr_t object, const char *text);

/* The value under the str `key` in `dict` (a dict or of a subclass): compared here, since a key's
 * own comparison may be the program's. 0: none. */
uintptr_t vg_census_dict_find(const struct vg_census_python *python, uintptr_t dict,
                              const char *key);

/* The module that sys.modules has under this name, if it is one, and its dictionary; 0: none. */
uintptr_t vg_census_module_dict(const struct vg_census_python *python, const char *name);

/* The type that the module has under this name; 0: none. */
uintptr_t vg_census_module_type(const struct vg_census_python *python, const char *module,
                                const char *name);

/* The value of an int from 0 on, whose reference is taken over; -1: it is none. */
int64_t vg_census_take_count(const struct vg_census_python *python, uintptr_t object);

/* The attribute dictionary of an instance, whatever its class makes of `__dict__`; 0: it has none.
 * Makes one for an instance that has none yet, as any look at `__dict__` does. */
uintptr_t vg_census_instance_dict(const struct vg_census_python *python, uintptr_t object);

/* Writes the rank and the sizes that a tuple of ints (or of a subclass, as torch.Size) tells.
 * Returns false when it is none: a size that is no plain int is symbolic. */
bool vg_census_read_sizes(const struct vg_census_python *python, uintptr_t sizes,
                          struct vg_census_shape *out);

/* Is that the type's full name? Types written in C begin with their module's ("collections.deque"),
 * those of Python code do not. */
bool vg_census_type_is(uintptr_t type, const char *name);

/* Writes the last part of the type's name ("Tensor"). `cap` >= 1. */
void vg_census_type_name(uintptr_t type, char *out, size_t cap);

/* Writes the str `object` so that it can be printed; of one too long, the end. `cap` >= 4. An
 * object that is no str is written as "?". */
void vg_census_str_write(const struct vg_census_python *python, uintptr_t object, char *out,
                         size_t cap);

#endif
