/* What a census found (oom/census.h): what the live tensors of the process are, and which of the
 * program's variables hold them. Numbers and names without wording; run files hold it as it is. */
#ifndef VRAMGUARD_ANALYZE_CENSUS_H
#define VRAMGUARD_ANALYZE_CENSUS_H

#include <stdbool.h>
#include <stdint.h>

/* Of struct vg_census, for run files: counted up whenever its layout changes otherwise than by more
 * at its end, which a census from before has as 0. */
enum { VG_CENSUS_FORMAT = 1 };

enum vg_census_kind {
    VG_CENSUS_PARAMETER,
    VG_CENSUS_GRADIENT,  /* the .grad of a parameter or of another leaf */
    VG_CENSUS_OPTIMIZER, /* in the state of a torch.optim.Optimizer */
    VG_CENSUS_BUFFER,    /* of a torch.nn.Module */
    VG_CENSUS_OTHER,     /* has a Python object */
    VG_CENSUS_GRAPH,     /* saved for backward by an autograd graph, and no variable reaches it */
    VG_CENSUS_KINDS,
};

/* Array libraries beside PyTorch. */
enum vg_census_array_library {
    VG_CENSUS_CUPY,
    VG_CENSUS_NUMBA,
    VG_CENSUS_JAX,
    VG_CENSUS_ARRAY_LIBRARIES,
};

/* Kinds that belong to a model. */
enum { VG_CENSUS_MODEL_KINDS = VG_CENSUS_BUFFER + 1 };

enum vg_census_state {
    VG_CENSUS_NOT_TAKEN,
    VG_CENSUS_COMPLETE,
    VG_CENSUS_OUT_OF_TIME,   /* what had been found by then; everything is a lower bound */
    VG_CENSUS_OUT_OF_MEMORY, /* likewise, for want of host memory */
    VG_CENSUS_REFUSED,       /* `may_begin` said no */
    VG_CENSUS_ENDING,        /* Python is ending */
    VG_CENSUS_UNREADABLE,    /* a Python that is not known */
    VG_CENSUS_NO_LIBRARY,    /* none of the libraries it can read is loaded */
    VG_CENSUS_UNKNOWN_TORCH, /* a PyTorch that keeps its tensors in an unknown way */
    VG_CENSUS_NO_GIL,        /* another thread held it for too long */
    VG_CENSUS_BUSY,         /* the thread that would take it had not returned from something else */
    VG_CENSUS_NO_COLLECTOR, /* a Python before 3.12 whose program has not imported gc */
    VG_CENSUS_STATES
};

enum {
    VG_CENSUS_MODULES = 24,
    VG_CENSUS_SHAPES = 12,
    VG_CENSUS_VARIABLES = 16,
    VG_CENSUS_LINES = 8,
    VG_CENSUS_EIGHTHS = 8,
    VG_CENSUS_RANK = 8,
    VG_CENSUS_PATH_CAP = 160,
    VG_CENSUS_TYPE_CAP = 64,
    VG_CENSUS_FILE_CAP = 256,
    VG_CENSUS_DTYPE_CAP = 24,
};

struct vg_census_amount {
    uint64_t bytes; /* of the blocks: what the allocator gave, rounded as it rounds */
    uint64_t blocks;
};

/* A module of a model, with what all modules below it have. */
struct vg_census_module {
    char path[VG_CENSUS_PATH_CAP]; /* the outermost module's class, then attribute names:
                                      "BertModel.encoder.layer.3"; the end of one too long */
    uint32_t depth;                /* 0: outermost */
    uint32_t id, parent_id;        /* tell modules of one census apart; depth 0: parent_id == id */
    struct vg_census_amount amount[VG_CENSUS_MODEL_KINDS];
};

/* Other tensors of one shape. */
struct vg_census_shape {
    uint32_t rank; /* above VG_CENSUS_RANK: the first sizes only */
    int64_t sizes[VG_CENSUS_RANK];
    char dtype[VG_CENSUS_DTYPE_CAP]; /* "float32" */
    struct vg_census_amount amount;
};

/* Arrays of one library and shape. */
struct vg_census_array_shape {
    uint32_t from; /* enum vg_census_array_library */
    struct vg_census_shape shape;
};

enum vg_census_place {
    VG_CENSUS_LOCAL,   /* of a function that is running */
    VG_CENSUS_GLOBAL,  /* of a module of the program's */
    VG_CENSUS_LIBRARY, /* global of an installed package or of Python's library */
    VG_CENSUS_WORK,    /* no variable: what a running function is working on, as the list that a
                          comprehension is making; it has no path */
    VG_CENSUS_HANDLED, /* no variable, either: the exception that an `except` block of that function
                          is handling; no path. A version from before reads LIBRARY */
    VG_CENSUS_HANDLED_ELSEWHERE, /* likewise, in another thread than the one that has failed */
    VG_CENSUS_PLACES
};

/* A variable, with what it reaches and none before it did: running functions come first, from the
 * main thread's outermost inwards, then the other threads', then globals. */
struct vg_census_variable {
    enum vg_census_place place;
    char path[VG_CENSUS_PATH_CAP]; /* "history", "self.cache", "state[\"past\"]" */
    char type[VG_CENSUS_TYPE_CAP];
    int64_t length;                    /* of a list, tuple, dict or set; -1: it has none */
    char function[VG_CENSUS_TYPE_CAP]; /* whose it is, "<module>" of a script that runs; of another
                                          module's global: that module's name */
    char file[VG_CENSUS_FILE_CAP];     /* as Python knows it; "": none, of a module in C */
    int32_t line;                      /* where that function is now; 0: not known */
    uint32_t thread;                   /* of a local: 0 the main thread, else 1, 2, ... */
    struct vg_census_amount direct;    /* by Python references, gradients included */
    struct vg_census_amount graph;     /* through the autograd graphs of those tensors */
    struct vg_census_amount model;     /* of `direct`: what has a model's kind */
    struct vg_census_amount traceback; /* of both: through the frames of an exception */
};

static inline bool vg_census_is_handled(const struct vg_census_variable *variable)
{
    return variable->place == VG_CENSUS_HANDLED || variable->place == VG_CENSUS_HANDLED_ELSEWHERE;
}

/* What a variable holds of other libraries' arrays: in none of its other amounts. */
struct vg_census_held {
    struct vg_census_amount arrays[VG_CENSUS_ARRAY_LIBRARIES];
    struct vg_census_amount traceback; /* of them: through the frames of an exception */
};

/* A line of the program, and what it made of what was found. */
struct vg_census_line {
    uint32_t stack_id; /* one of those that have the line as the innermost of the program's own */
    uint32_t reserved;
    uint64_t kind_bytes[VG_CENSUS_KINDS];
    uint64_t garbage_bytes;
    struct {
        uint64_t direct_bytes; /* without what has a model's kind */
        uint64_t graph_bytes;
        uint64_t traceback_bytes; /* of all kinds */
    } held[VG_CENSUS_VARIABLES];  /* by `variables`, in their order */
};

/* When what a variable holds was made: of what it reaches by references and is of no model's kind.
 */
struct vg_census_history {
    uint64_t blocks;       /* of it; 0: nothing is known */
    uint64_t oldest_count; /* ages, in what the device has given out since, of the oldest and */
    uint64_t newest_count; /* the newest */
    uint64_t since_ns;     /* age of the oldest */
    uint64_t pauses;       /* how often between two of them about as much was given out (half at
                              least) as since the newest */
    uint64_t passes;       /* how often between two of them a backward pass began, as far as these
                              are seen */
    uint64_t saved_blocks; /* of them: those that an autograd graph has saved, too */
    uint64_t backward_blocks;         /* of all that it holds, by graphs, too: those that a
                                         backward pass made */
    uint64_t made[VG_CENSUS_EIGHTHS]; /* by the eighth of their stack's allocations */
};

enum { VG_CENSUS_BLOCK_SIZES = 8 };

/* The batch that the program is working on, and what of the live tensors is no part of a model. */
struct vg_census_batch {
    uint64_t size;  /* below 2^32, as the program says it, and the tensors, too; 0: not known */
    uint64_t bytes; /* of the numbers of tensors with that as their first dimension, or with as
                       many times it as such tensors have rows each */
    uint64_t other_bytes; /* of tensors with other shapes */
    uint64_t alike_bytes; /* of blocks that no Python object leads to, and that are as large as one
                             of the former: what a backward pass works on */
    /* A forward pass is under way. Of `layers` modules of one class, which it calls one after the
     * other, it has done `layers_done` and is in the next one; 0: not known. */
    uint32_t is_in_forward, layers, layers_done, reserved;
    uint64_t layer_bytes;  /* what each of those that are done keeps of `bytes`; 0: not known, or
                              they differ */
    uint64_t coming_bytes; /* what the pass takes at least beside `bytes` until it is through the
                              layers, if the others keep as much */
    uint64_t model_bytes;  /* of the models' kinds: blocks that may be of the batch */
    uint64_t block_bytes[VG_CENSUS_BLOCK_SIZES]; /* the largest sizes of tensors in `bytes`, each
                                                    once, in no order */
};

/* Are these as many bytes as numbers of all pairs of a batch take? `size`: 1 to 2^32 - 1. */
static inline bool vg_census_are_pairs(uint64_t bytes, uint64_t size)
{
    const uint64_t number_bytes = bytes / size / size;
    return bytes % (size * size) == 0 && number_bytes <= sizeof(double) * 2;
}

struct vg_census {
    enum vg_census_state state;
    uint64_t elapsed_ns;
    uint64_t objects; /* Python objects that were looked at */
    uint64_t tensors; /* PyTorch's tensors that have a Python object, on any device */

    struct vg_census_amount kinds[VG_CENSUS_KINDS];
    struct vg_census_amount unnamed; /* of OTHER: no variable was found; temporaries, C++ */
    struct vg_census_amount total;   /* all live blocks; what no kind has, no Python object
                                        reaches: it is held by C++, or by a graph that none shows */
    /* Of arrays of other libraries, as these took them, on the device in question or on any (see
     * `arrays_are_of_device`): not among the kinds, nor in the total. */
    struct vg_census_amount arrays[VG_CENSUS_ARRAY_LIBRARIES];
    uint64_t graph_nodes;
    bool graph_cut; /* there were more nodes than are looked at */

    uint32_t module_count, shape_count, variable_count;
    struct vg_census_module modules[VG_CENSUS_MODULES];       /* outermost first, then by bytes */
    struct vg_census_shape shapes[VG_CENSUS_SHAPES];          /* by bytes */
    struct vg_census_variable variables[VG_CENSUS_VARIABLES]; /* by bytes */

    /* ---- in run files of this and later versions ---- */
    uint8_t arrays_were_asked;    /* it was taken, or was to be, for an array library's sake */
    uint8_t arrays_are_of_device; /* of the failure, and of no other */
    uint32_t array_shape_count;
    struct vg_census_array_shape array_shapes[VG_CENSUS_SHAPES]; /* by bytes */
    struct vg_census_held held_arrays[VG_CENSUS_VARIABLES]; /* by `variables`, in their order */
    uint32_t graph_uses[VG_CENSUS_VARIABLES]; /* likewise: how often the graphs that the variable
                                                 leads to use each parameter, on average */
    /* Of all kinds, in no variable: in objects that nothing but they themselves refers to. Python's
     * collector frees them once it runs. */
    struct vg_census_amount garbage;
    char garbage_type[VG_CENSUS_TYPE_CAP]; /* the class that most of those objects are of; ""
                                              unknown */
    uint8_t garbage_is_exception;          /* that is an exception's: its frames refer to it */
    /* By kind, of the blocks whose tensors show their type: floating-point numbers of 4 bytes and
     * more, and numbers of at most 2 bytes. */
    uint64_t wide_bytes[VG_CENSUS_KINDS], narrow_bytes[VG_CENSUS_KINDS];
    uint32_t line_count;                          /* 0: not measured */
    struct vg_census_line lines[VG_CENSUS_LINES]; /* by the bytes that were found */
    uint64_t elsewhere_tensors; /* of `tensors`: those that lie in none of these blocks, mostly in
                                   the host's memory */
    struct vg_census_history histories[VG_CENSUS_VARIABLES]; /* by `variables`, in their order */
    uint8_t in_forward[VG_CENSUS_VARIABLES]; /* likewise: it is a variable of a function within a
                                                forward pass of a module that is under way */
    uint8_t in_module[VG_CENSUS_VARIABLES];  /* it is a torch.nn.Module, or part of one */
    /* Likewise: through how many modules the function that it is of goes one after the other, such
     * as the layers of a model; 0: through none. */
    uint32_t series[VG_CENSUS_VARIABLES];
    /* By `modules`, of the outermost: parameters that lie in none of these blocks, as they are
     * there. */
    uint64_t elsewhere_bytes[VG_CENSUS_MODULES];
    struct vg_census_batch batch;
    /* By `variables`: of `graph`, what was made before the last backward pass that has begun, as
     * far as these are seen. */
    uint64_t earlier_graph_bytes[VG_CENSUS_VARIABLES];
    /* Likewise: of `model`, parameters that no module has, with their gradients and the state that
     * an optimizer has for them. */
    uint64_t homeless_bytes[VG_CENSUS_VARIABLES];
    uint8_t is_optimizer[VG_CENSUS_VARIABLES]; /* it is a torch.optim.Optimizer */
};

#endif
