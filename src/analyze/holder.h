/* Who keeps PyTorch's memory: what the census of a failure and the sites of its blocks tell
 * together. Pure, no malloc, any thread. Takes failures whose texts and counts are valid (run.h).
 */
#ifndef VRAMGUARD_ANALYZE_HOLDER_H
#define VRAMGUARD_ANALYZE_HOLDER_H

#include <stdbool.h>
#include <stdint.h>

#include "analyze/census.h"
#include "analyze/run.h"

/* What came within a shorter time may be one step's, where nothing else tells. */
#define VG_HOLDER_STEP_NS UINT64_C(3000000000)

/* The census of the failure; NULL when none was taken, when it found nothing before it had to stop,
 * or when another version recorded it. What it tells is a lower bound unless its state is
 * VG_CENSUS_COMPLETE. */
const struct vg_census *vg_holder_census(const struct vg_run_failure *failure);

/* The largest site of PyTorch's blocks; NULL when blocks were not recorded. */
const struct vg_run_site *vg_holder_largest_site(const struct vg_run_failure *failure);

/* Bytes that the variable keeps and that are no part of a model: tensors that it reaches, and what
 * autograd graphs hold behind them. */
uint64_t vg_holder_kept_bytes(const struct vg_census_variable *variable);

/* Is it a library's own, such as the table of tensors that torch.load has read: none that the
 * program could remove anything from? */
bool vg_holder_is_librarys(const struct vg_census_variable *variable);

enum vg_holder_results {
    VG_RESULTS_ANY,
    VG_RESULTS_WITH_GRAPHS, /* most of the bytes are behind them, in autograd graphs */
    VG_RESULTS_GROWING,     /* the others, where some of each round is kept, up to now */
};

/* A variable of the program's, and not of a library's function, that keeps results of several calls
 * of a model: a container of four entries or more, which lives outside of every call of a module
 * that is under way (what a forward pass collects for its own use, hidden states for instance, is
 * none), and which keeps `at_least_bytes` and a quarter of all blocks. The largest of that kind,
 * NULL for none. */
const struct vg_census_variable *vg_holder_of_results(const struct vg_run_failure *failure,
                                                      enum vg_holder_results wanted,
                                                      uint64_t at_least_bytes);

/* May `blocks` that came one right after the other since then be what a load, or the making of
 * data, has put there? It takes no time from step to step, or there are as many tensors that they
 * may be copies of. */
bool vg_holder_may_be_a_load(const struct vg_run_failure *failure, uint64_t blocks,
                             uint64_t since_ns);

/* Where the evaluation of transformers' Trainer gathers the outputs of its batches, with
 * `at_least_bytes`; the largest, NULL for none. */
const struct vg_census_variable *vg_holder_of_evaluation(const struct vg_run_failure *failure,
                                                         uint64_t at_least_bytes);

/* Is some of each round of the program still in the variable, up to now? */
bool vg_holder_grows(const struct vg_run_failure *failure,
                     const struct vg_census_variable *variable);

/* Have its entries come one after the other, each after about as much as has been given out since
 * the last one? Also of too few for vg_holder_grows. */
bool vg_holder_piles_up(const struct vg_run_failure *failure,
                        const struct vg_census_variable *variable);

/* Are its entries results of several steps? */
enum vg_holder_steps {
    VG_STEPS_UNKNOWN, /* one backward pass may be about to go through all of them */
    VG_STEPS_SEVERAL, /* backward passes have run between them, and none made anything of theirs, as
                         those do whose gradients are part of what is trained */
};

enum vg_holder_steps vg_holder_steps(const struct vg_run_failure *failure,
                                     const struct vg_census_variable *variable);

/* Are most of the bytes that the variable keeps behind its tensors, in autograd graphs? */
bool vg_holder_keeps_graphs(const struct vg_census_variable *variable);

/* A variable that is no container of results and leads to a graph in which each parameter is used
 * several times: a sum of losses, a hidden state that is never cut off; or a model that shares its
 * weights. With `at_least_bytes` and a quarter of all blocks, outside of every module's call. The
 * largest of that kind, NULL for none. Stores how often in `out_uses`. */
const struct vg_census_variable *vg_holder_of_chain(const struct vg_run_failure *failure,
                                                    uint64_t at_least_bytes, uint32_t *out_uses);

/* A tensor that keeps `at_least_bytes` and a quarter of all blocks through a graph from before the
 * last backward pass, while the failing call is in a forward pass that has no part in it; the
 * largest, NULL for none. Stores how much in `out_bytes`. */
const struct vg_census_variable *vg_holder_of_earlier_graph(const struct vg_run_failure *failure,
                                                            uint64_t at_least_bytes,
                                                            uint64_t *out_bytes);

/* A variable of the program's that holds `at_least_bytes` which torch.load has put onto the GPU and
 * which are no part of a model; the largest, NULL for none. Stores how much in `out_bytes`. */
const struct vg_census_variable *vg_holder_of_loaded(const struct vg_run_failure *failure,
                                                     uint64_t at_least_bytes, uint64_t *out_bytes);

/* The variable that holds more than half of what the site of blocks has, counted block by block;
 * NULL: there is none, or it is not known. */
const struct vg_census_variable *vg_holder_of_site(const struct vg_run_failure *failure,
                                                   const struct vg_run_site *site);

/* Is the variable a torch.nn.Module, or part of one? */
bool vg_holder_is_in_module(const struct vg_run_failure *failure,
                            const struct vg_census_variable *variable);

enum vg_holder_whose {
    VG_HOLDER_PROGRAM,
    VG_HOLDER_LIBRARY,
    VG_HOLDER_FORWARD_PASS, /* of a function within a call of a module that is under way */
};

enum vg_holder_whose vg_holder_whose(const struct vg_run_failure *failure,
                                     const struct vg_census_variable *variable);

/* A variable that keeps `at_least_bytes` through the frames of an exception, the largest; NULL for
 * none. */
const struct vg_census_variable *vg_holder_of_traceback(const struct vg_run_failure *failure,
                                                        uint64_t at_least_bytes);

/* Two models of the same class that hold as much: the second one's entry, NULL for none. */
const struct vg_census_module *vg_holder_model_twice(const struct vg_run_failure *failure);

/* What the forward and backward passes under way hold: what autograd graphs keep, what the
 * variables of functions inside of a module's call hold, and tensors that variables have and that
 * lead to graphs. 0 without a census. */
uint64_t vg_holder_activation_bytes(const struct vg_run_failure *failure);

/* The kind that has most of the blocks' bytes, VG_CENSUS_KINDS without a census. */
enum vg_census_kind vg_holder_largest_kind(const struct vg_run_failure *failure);

/* What is held of which somebody asks where it comes from. */
enum vg_holder_part {
    VG_HELD_KEPT,         /* vg_holder_kept_bytes of a variable */
    VG_HELD_BY_GRAPH,     /* of it, through its graphs */
    VG_HELD_BY_TRACEBACK, /* what a variable keeps through the frames of an exception */
    VG_HELD_AS_GARBAGE,
    VG_HELD_AS_ACTIVATIONS, /* of vg_holder_activation_bytes at least this */
};

/* The line of the program that has made most of that, and how much: counted block by block. NULL
 * when it is not known. `variable`: of the first three. */
const struct vg_run_line *vg_holder_origin(const struct vg_run_failure *failure,
                                           enum vg_holder_part part,
                                           const struct vg_census_variable *variable,
                                           uint64_t *out_bytes);

/* Has the failing call a Python frame of a file whose path contains `part`? */
bool vg_holder_stack_is_in(const struct vg_run_failure *failure, const char *part);

#endif
