/* The few functions of CPython's C API that are called, found in the program's own interpreter;
 * nothing is linked. All of them have been exported since 3.8, most in the stable ABI (Python/C API
 * Reference Manual). Objects are `void *`. */
#ifndef VRAMGUARD_OOM_PYTHON_API_H
#define VRAMGUARD_OOM_PYTHON_API_H

#include <stdbool.h>

/* PyMethodDef (Include/methodobject.h). */
struct vg_python_method {
    const char *name;
    void *(*function)(void *self, void *unused);
    int flags;
    const char *doc;
};

enum { VG_PYTHON_NO_ARGUMENTS = 4 /* METH_NOARGS */ };

struct vg_python_api {
    /* To be called by any thread, without the GIL. */
    int (*is_initialized)(void); /* Py_IsInitialized */
    int (*is_finalizing)(void);  /* Py_IsFinalizing, _Py_IsFinalizing before 3.13 */
    int (*holds_gil)(void);      /* PyGILState_Check */
    int (*ensure)(void);         /* PyGILState_Ensure */
    void *(*this_thread)(void);  /* PyGILState_GetThisThreadState: its state, which stays its own;
                                    NULL: it has none. Reads thread-local storage */

    /* With the GIL. */
    void (*release)(int state);                         /* PyGILState_Release */
    void *(*save)(void);                                /* PyEval_SaveThread */
    void (*restore)(void *thread);                      /* PyEval_RestoreThread */
    void *(*modules)(void);                             /* PyImport_GetModuleDict, borrowed */
    void *(*import)(const char *name);                  /* PyImport_ImportModule */
    void *(*item)(void *dict, const char *key);         /* PyDict_GetItemString, borrowed */
    void *(*attribute)(void *object, const char *name); /* PyObject_GetAttrString */
    void *(*call)(void *callable, ...);                 /* PyObject_CallFunctionObjArgs */
    int (*is_true)(void *object);                       /* PyObject_IsTrue */
    void (*take)(void *object);                         /* Py_IncRef */
    void (*drop)(void *object);                         /* Py_DecRef, of NULL nothing */
    void *(*error)(void);                               /* PyErr_Occurred, borrowed */
    void (*clear_error)(void);                          /* PyErr_Clear */
    const char *(*text)(void *str);                     /* PyUnicode_AsUTF8, borrowed */
    void *(*function)(struct vg_python_method *, void *, void *); /* PyCFunction_NewEx */
    long (*collect)(void);                                        /* PyGC_Collect */
    void *none;                                                   /* _Py_NoneStruct, borrowed */
};

/* The interpreter of this process; NULL while none is loaded, and for one that cannot be used: it
 * lacks a function, or is a free-threaded build. Asks the dynamic loader until one has been found.
 * Any thread. */
const struct vg_python_api *vg_python_api_find(void);

#endif
