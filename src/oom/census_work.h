/* What the parts of a census share while it is taken. Internal to oom/census*.c. */
#ifndef VRAMGUARD_OOM_CENSUS_WORK_H
#define VRAMGUARD_OOM_CENSUS_WORK_H

#include "oom/census.h"
#include "oom/census_arrays.h"
#include "oom/census_python.h"
#include "oom/census_set.h"
#include "oom/census_torch.h"
#include "unwind/python_stack.h"

/* What a type makes of its objects. */
enum vg_census_class {
    VG_CLASS_IGNORED, /* refers to nothing, or to everything: strings, types, modules */
    VG_CLASS_PLAIN,
    VG_CLASS_INSTANCE, /* of a class written in Python */
    VG_CLASS_TENSOR,
    VG_CLASS_EXACT_TENSOR, /* of torch.Tensor or torch.nn.Parameter and no other class */
    VG_CLASS_MODEL,        /* torch.nn.Module */
    VG_CLASS_OPTIMIZER,
    VG_CLASS_LOADER, /* torch.utils.data.DataLoader, or the BatchSampler that makes its batches:
                        an iterator keeps that one only */
    VG_CLASS_NODE,   /* of an autograd graph */
    VG_CLASS_TRACEBACK,
    VG_CLASS_ARRAY, /* and, one after the other, those of each enum vg_census_array_library */
};

static inline bool vg_census_is_array(enum vg_census_class class)
{
    return class >= VG_CLASS_ARRAY;
}

static inline bool vg_census_is_tensor(enum vg_census_class class)
{
    return class == VG_CLASS_TENSOR || class == VG_CLASS_EXACT_TENSOR;
}

#define VG_CENSUS_NO_MODULE UINT32_MAX
#define VG_CENSUS_NO_ROW    0

/* A live block that a tensor lies in: counted once however many tensors share it. */
struct vg_census_storage {
    uint64_t bytes;
    uintptr_t tensor;   /* a Python object that has it; 0: none was seen */
    uint32_t module;    /* of a model's kinds; VG_CENSUS_NO_MODULE */
    uint8_t kind;       /* enum vg_census_kind; beyond them, enum vg_census_array_library */
    bool is_attributed; /* to a variable */
    bool is_reached;    /* by Python references from a variable */
    bool is_saved;      /* by a graph */
    bool is_garbage;
    bool is_row_graph;                     /* it counts for `row` by a graph, and */
    bool is_in_traceback;                  /* through the frames of an exception */
    uint32_t row;                          /* that it counts for; VG_CENSUS_NO_ROW */
    uint32_t stack_id;                     /* of what made it; 0 not known */
    uint64_t number, passes, monotonic_ns; /* when it came, and */
    uint8_t eighth;                        /* how: of struct vg_census_block */
    bool is_of_backward;
    uint64_t batch_bytes; /* of numbers of the batch's; 0: it is not of it, or not known to be */
    struct vg_census_sizes sizes; /* of a tensor that has it: of one that a graph has saved, once
                                     that was walked through */
};

/* How a row hangs on its parent. */
enum vg_census_step {
    VG_STEP_VARIABLE, /* it has none */
    VG_STEP_ATTRIBUTE,
    VG_STEP_KEY,    /* of a dictionary */
    VG_STEP_MODULE, /* a torch.nn.Module of another: what it has of a model is its parent's */
};

/* A variable, or an attribute of one, while its objects are walked through. */
struct vg_census_row {
    uint32_t parent; /* VG_CENSUS_NO_ROW: a variable */
    uint32_t frame;  /* index in the frames */
    uint8_t step;    /* enum vg_census_step */
    uint8_t place;   /* enum vg_census_place */
    bool is_dict;
    bool stands_alone; /* what it holds is told of itself, or of nobody: not of its parent */
    uint8_t told;      /* 1 + index among the result's variables; 0: it is none */
    uintptr_t name;    /* a str */
    uintptr_t object;
    struct vg_census_amount direct, graph, model, traceback; /* its children's included, once it is
                                                                walked through */
    struct vg_census_amount arrays[VG_CENSUS_ARRAY_LIBRARIES]; /* in none of those; likewise */
    struct vg_census_amount array_traceback;                   /* of all of them */
    uint64_t leaf_edges; /* how often the graphs lead to a leaf: a parameter, mostly; likewise */
};

/* Where a variable lives. */
struct vg_census_frame {
    uintptr_t file, function; /* str; 0: none */
    int32_t line;
    uint32_t thread;
    bool is_in_forward; /* a forward pass of a module that is under way */
    uint32_t series;    /* of the module that it has called, or has in a variable; 0: of none */
};

/* A frame of a thread. */
struct vg_census_running {
    struct vg_python_running python;
    uint32_t frame; /* index in the frames */
};

/* A torch.nn.Module. */
struct vg_census_model {
    uintptr_t object, dict; /* its attributes */
    uintptr_t name;         /* a str: what its parent calls it */
    uint32_t parent;        /* VG_CENSUS_NO_MODULE: none */
    bool is_written;
    uint64_t bytes;
    uint64_t elsewhere_bytes; /* of parameters that lie in no live block */
    struct vg_census_amount amount[VG_CENSUS_MODEL_KINDS];
};

enum { VG_CENSUS_SAVED = 16, VG_CENSUS_RECENT_TYPES = 64 };

/* What autograd nodes of one type show. */
struct vg_census_node_type {
    bool is_python; /* of the program's torch.autograd.Function */
    struct vg_census_getter next, leaf, saved[VG_CENSUS_SAVED];
    uint32_t saved_count;
};

struct vg_census_work {
    const struct vg_census_python *python;
    const struct vg_census_source *source;
    struct vg_census *out;
    struct vg_census_torch torch;
    struct vg_census_arrays arrays;
    uint64_t until_ns;
    uint32_t ticks;
    bool is_late;

    struct vg_census_map types; /* type -> enum vg_census_class */
    struct {
        uintptr_t type;
        enum vg_census_class class;
    } recent_types[VG_CENSUS_RECENT_TYPES]; /* by the type's address */

    struct vg_census_list tensors, models, optimizers, loaders, others; /* objects: all there are;
                                                          others are other libraries' arrays */
    struct vg_census_list leaves;  /* of the tensors: those that may have a gradient and no graph */
    struct vg_census_marks wanted; /* tensors that lie in live blocks or begin a graph */
    uint64_t wanted_count;         /* of them not yet reached */

    struct vg_census_map storage_of; /* address -> number, or UINT64_MAX: nothing live is there */
    struct vg_census_list storages;  /* struct vg_census_storage */

    struct vg_census_marks elsewhere; /* parameters that lie in no live block */
    struct vg_census_map model_of;    /* a model's object -> number */
    struct vg_census_list modules;    /* struct vg_census_model */

    struct vg_census_marks seen;   /* objects walked through, or not to be */
    struct vg_census_list stack;   /* objects still to be walked through */
    struct vg_census_list rows;    /* struct vg_census_row; [0] is for what no variable has */
    struct vg_census_list frames;  /* struct vg_census_frame */
    struct vg_census_list threads; /* their PyThreadStates, by number: the main thread's first */
    struct vg_census_list running; /* struct vg_census_running: the main thread's outermost first */
    uint32_t row;                  /* that finds count for */
    bool in_traceback;

    struct vg_census_list strays;        /* objects that no variable leads to */
    struct vg_census_marks strays_known; /* the same */

    struct vg_census_marks nodes_seen;
    struct vg_census_list nodes;       /* owned until the end */
    struct vg_census_map node_type_of; /* type -> number */
    struct vg_census_list node_types;  /* struct vg_census_node_type */
    uint64_t leaf_count;               /* of the nodes: those of leaves */
    uintptr_t saved_type;              /* of PyTorch's raw saved tensors, once one was seen */
    bool in_graph;
};

/* Is the time over, or is there no memory left? To be asked often: looks at the clock now and then.
 */
bool vg_census_is_late(struct vg_census_work *work);

/* The class of the objects of `type`. */
enum vg_census_class vg_census_class_of(struct vg_census_work *work, uintptr_t type);

/* The storage that begins at `address`, made when a live block begins there; NULL: none does. Valid
 * until the next call. */
struct vg_census_storage *vg_census_storage_at(struct vg_census_work *work, uintptr_t address);

/* Counts for the present row the memory of another library's array. */
void vg_census_count_array(struct vg_census_work *work, enum vg_census_class class,
                           uintptr_t array);

/* Fills the storages from all tensors and arrays, and tells which of them are wanted. */
void vg_census_measure_tensors(struct vg_census_work *work);

/* That of a tensor, or of the first that it refers to, as a DTensor does to its local one; NULL:
 * none. Valid until the next call. */
struct vg_census_storage *vg_census_storage_of(struct vg_census_work *work, uintptr_t tensor);

struct vg_census_storage *vg_census_storage_number(const struct vg_census_work *work,
                                                   size_t number);

/* The module with this number, and the number of the outermost one that it is in, or its own. */
struct vg_census_model *vg_census_model_number(const struct vg_census_work *work, uint32_t number);
uint32_t vg_census_outermost(const struct vg_census_work *work, uint32_t number);

/* Finds the models' and the optimizers' tensors and gives storages their kinds and modules. */
void vg_census_claim_models(struct vg_census_work *work);

/* The sums of the modules, into the result. */
void vg_census_write_modules(struct vg_census_work *work);

/* Is nothing left to be found, or the time over? */
bool vg_census_is_done(struct vg_census_work *work);

/* Calls `visit` for each object that the collector knows, until it returns 0. Returns whether they
 * could be asked for. */
bool vg_census_each_tracked(struct vg_census_work *work, int (*visit)(void *object, void *work));

enum vg_census_series_of { VG_SERIES_OF_CALL, VG_SERIES_OF_VARIABLE };

/* The number of the thread that the frame is of; UINT32_MAX: no memory was left to note it. */
static inline uint32_t vg_census_thread_of(const struct vg_census_work *work,
                                           const struct vg_census_running *running)
{
    if (running->frame >= work->frames.count)
        return UINT32_MAX;
    return ((const struct vg_census_frame *)work->frames.items)[running->frame].thread;
}

/* How many modules there are that a program may call one after the other where it calls this one,
 * or has it in a variable: the layers of a model, the models of an ensemble. With itself; 0: it is
 * no module. */
uint32_t vg_census_series_of(struct vg_census_work *work, uintptr_t module,
                             enum vg_census_series_of of);

/* The longest that a module in a variable of the frame, or in its namespace `names`, is of. */
uint32_t vg_census_series_of_variables(struct vg_census_work *work,
                                       const struct vg_python_running *running, uintptr_t names);

/* The frame's first argument when that is a module, as `self` of a method of one is; else 0. */
uintptr_t vg_census_module_argument(struct vg_census_work *work,
                                    const struct vg_python_running *running);

/* The module whose call this frame is; 0: it is none. */
uintptr_t vg_census_called_module(struct vg_census_work *work,
                                  const struct vg_python_running *running);

/* The object that a word of a frame's variables stands for; 0: none. From 3.14 on the low bits say
 * how the reference is counted; two of them, that it is a number (pycore_stackref.h). */
static inline uintptr_t vg_census_variable_value(uintptr_t word)
{
    return (word & 3) == 3 ? 0 : word & ~(uintptr_t)7;
}

/* Walks from all variables, then from the tensors that none of them reached. */
void vg_census_walk_variables(struct vg_census_work *work);

/* Counts what `object` leads to for a row of its own, which is no variable's. `frame`: its index in
 * the frames. */
void vg_census_walk_unnamed(struct vg_census_work *work, uintptr_t object, uint32_t frame,
                            enum vg_census_place place);

/* Likewise what the exceptions lead to that threads are handling, the failing one first. */
void vg_census_walk_handled(struct vg_census_work *work);

/* The Python object of a frame that runs; 0: it has none yet. */
static inline uintptr_t vg_census_frame_object(const struct vg_python_layout *layout,
                                               uintptr_t frame)
{
    const int16_t at = layout->frame_object;
    return at == VG_PYTHON_ABSENT ? frame : vg_python_word(frame + (uintptr_t)at);
}

/* A number that a code object has as an attribute, such as "co_argcount"; 0: unknown. */
long long vg_census_code_number(const struct vg_census_python *python, uintptr_t code,
                                const char *name);

/* The n-th name of a variable of a frame of `code`, as they stand in it; 0: it has no more. */
uintptr_t vg_census_variable_name(const struct vg_python_layout *layout, uintptr_t code, size_t n);

/* How many variables a frame of `code` has. */
size_t vg_census_variable_count(const struct vg_python_layout *layout, uintptr_t code);

/* Does the function that runs have the object among the values that it works on, or had it there?
 */
bool vg_census_stack_has(const struct vg_census_work *work, const struct vg_census_running *running,
                         uintptr_t object);

/* Looks among what no variable reached for what running functions are working on, and for what is
 * garbage. */
void vg_census_walk_strays(struct vg_census_work *work);

/* Goes through the objects that `object` leads to and counts what they hold for the present row. */
void vg_census_reach(struct vg_census_work *work, uintptr_t object);

/* Can the object refer to others? */
static inline bool vg_census_may_lead_on(uintptr_t object)
{
    const uint64_t flags = vg_type_flags(vg_object_type(object));
    return (flags & VG_TYPE_HAS_GC) && !(flags & VG_TYPE_IS_TYPE) && vg_object_is_tracked(object);
}

/* Puts `part` and `separator` before the path, of which the end stays when it becomes too long. */
void vg_census_path_prepend(char *path, size_t cap, const char *part, const char *separator);

struct vg_census_row *vg_census_row_number(const struct vg_census_work *work, size_t number);

/* All that the row holds, arrays included. */
struct vg_census_amount vg_census_row_sum(const struct vg_census_row *row);

/* Adds one block. */
void vg_census_amount_add(struct vg_census_amount *amount, uint64_t bytes);

void vg_census_amount_subtract(struct vg_census_amount *from, const struct vg_census_amount *what);

/* Counts for the present row: the storage at `address`, found by a reference or saved by a graph.
 */
void vg_census_count_storage(struct vg_census_work *work, uintptr_t address, bool is_saved);

/* Likewise what a graph has saved, with its sizes. */
void vg_census_count_saved(struct vg_census_work *work, uintptr_t address,
                           const struct vg_census_sizes *sizes);

/* Goes through the graph from `node`, an autograd node's Python object, an owned reference that is
 * taken over. */
void vg_census_walk_graph(struct vg_census_work *work, uintptr_t node);
void vg_census_drop_nodes(struct vg_census_work *work);

/* Turns rows into the result's variables. */
void vg_census_write_variables(struct vg_census_work *work);

/* 1 + index of the variable in the result that the storage is told of; 0: of none. */
uint8_t vg_census_teller_of(const struct vg_census_work *work,
                            const struct vg_census_storage *storage);

/* When what the result's variables hold was made, once they are there. */
void vg_census_write_histories(struct vg_census_work *work);

/* By which lines of the program what is held was made, into the result: once its variables and
 * kinds are there. */
void vg_census_write_lines(struct vg_census_work *work);

/* The kinds, and other libraries' arrays, into the result. */
void vg_census_write_kinds(struct vg_census_work *work);

/* What a storage of a tensor's is. */
enum vg_census_kind vg_census_kind_of(const struct vg_census_storage *storage);

/* The product of the sizes; 0: unknown. */
uint64_t vg_census_shape_elements(const struct vg_census_shape *shape);

/* "float32" of torch.float32, which is how PyTorch represents the type in C. */
void vg_census_write_dtype(const struct vg_census_python *python, uintptr_t dtype, char *out,
                           size_t cap);

/* What the tensor's numbers take, by its sizes and its type; 0: unknown. */
uint64_t vg_census_numbers_bytes(struct vg_census_work *work, uintptr_t tensor);

/* How many bytes are of wide and of narrow numbers, into the result. */
void vg_census_write_widths(struct vg_census_work *work);

/* The shapes of other tensors and of arrays, into the result. */
void vg_census_write_shapes(struct vg_census_work *work);

/* Is it memory of tensors that are no part of a model? */
static inline bool vg_census_is_activation(const struct vg_census_storage *storage)
{
    return storage->kind >= VG_CENSUS_MODEL_KINDS && storage->kind < VG_CENSUS_KINDS;
}

/* The batch, into the result: once what is live is known, and who runs. */
void vg_census_write_batch(struct vg_census_work *work);

/* How far a forward pass has come with it, once the storages are marked that are of the batch. */
void vg_census_write_layers(struct vg_census_work *work);

#endif
