/* What a census reads of PyTorch: where its tensors keep their storage, and C functions behind a
 * few attributes, called directly. With the GIL. */
#ifndef VRAMGUARD_OOM_CENSUS_TORCH_H
#define VRAMGUARD_OOM_CENSUS_TORCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "oom/census_python.h"
#include "oom/census_set.h"

/* The C function behind an attribute (PyGetSetDef): no look-up, no `__torch_function__` while it is
 * disabled. */
struct vg_census_getter {
    void *(*get)(void *object, void *closure); /* owned; NULL with an exception */
    void *closure;
};

struct vg_census_torch {
    /* Types, borrowed; 0: that part of PyTorch is not loaded. */
    uintptr_t tensor_base, tensor, parameter, model, optimizer, loader, sampler, function;

    struct vg_census_getter grad_fn, grad, shape, dtype;
    struct vg_census_getter function_next, function_saved; /* of autograd.Function's nodes */

    /* Offsets in bytes, found by comparing with what PyTorch says of real tensors
     * (c10/core/TensorImpl.h, StorageImpl.h). */
    int tensor_impl, impl_storage, impl_autograd, storage_data;
    int impl_sizes; /* 0: they were not found */
    bool is_readable;

    void *guards[2]; /* while entered: objects to leave, owned */
};

enum { VG_CENSUS_SIZES = 5 }; /* c10/core/impl/SizesAndStrides.h: those that lie in the tensor */

struct vg_census_sizes {
    uint32_t rank; /* 0: a scalar, or they are not known */
    uint32_t of[VG_CENSUS_SIZES];
};

struct vg_census_tensor {
    uintptr_t address; /* where its storage begins; 0: it has none */
    bool has_autograd; /* may have a gradient or a graph */
};

/* Finds PyTorch in the loaded modules. Returns false when it is not loaded, or not whole yet. */
bool vg_census_torch_find(const struct vg_census_python *python, struct vg_census_torch *out);

/* Keeps PyTorch's functions from calling the program's `__torch_function__` and
 * `__torch_dispatch__` in this thread until vg_census_torch_leave. Returns false when this PyTorch
 * cannot be kept from it and there is a mode that would be called. */
bool vg_census_torch_enter(const struct vg_census_python *python, struct vg_census_torch *torch);
void vg_census_torch_leave(const struct vg_census_python *python, struct vg_census_torch *torch);

/* Finds the offsets by some of `tensors`, which are of exactly torch.Tensor or torch.nn.Parameter
 * (others among them are passed over), after vg_census_torch_enter. Known offsets stay. Returns
 * false when they cannot be found: no tensor has a storage, or PyTorch keeps them otherwise. */
bool vg_census_torch_calibrate(const struct vg_census_python *python, struct vg_census_torch *torch,
                               const struct vg_census_list *tensors);

/* Reads a tensor's Python object. Runs nothing. */
struct vg_census_tensor vg_census_torch_read(const struct vg_census_torch *torch, uintptr_t tensor);

/* The sizes of a tensor's Python object. Runs nothing. */
struct vg_census_sizes vg_census_torch_read_sizes(const struct vg_census_torch *torch,
                                                  uintptr_t tensor);

/* Where the storage begins that a SavedTensor (the raw one) has; 0: none, as when its graph has
 * been used or hooks packed it. Stores the saved tensor's sizes. Another thread may use the graph
 * at the same time: what is read is checked for being mapped, and may be outdated. */
uintptr_t vg_census_torch_read_saved(const struct vg_census_torch *torch, uintptr_t saved,
                                     struct vg_census_sizes *out_sizes);

/* Calls a getter. An exception counts as 0. The answer is owned. */
uintptr_t vg_census_torch_get(const struct vg_census_python *python,
                              const struct vg_census_getter *getter, uintptr_t object);

/* The getter of a getset_descriptor. */
struct vg_census_getter vg_census_torch_getter_of(uintptr_t description);

/* The getter of the attribute `name` of `type`, if it is written in C; `get` is NULL when not. */
struct vg_census_getter vg_census_torch_getter(const struct vg_census_python *python,
                                               uintptr_t type, const char *name);

#endif
