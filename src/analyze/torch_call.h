/* What PyTorch does in a failing call, as the Python frames of the call tell. Pure, no malloc. */
#ifndef VRAMGUARD_ANALYZE_TORCH_CALL_H
#define VRAMGUARD_ANALYZE_TORCH_CALL_H

#include <stdbool.h>

#include "analyze/run.h"

/* Is the frame PyTorch's own call of a module, between who calls it and its forward()? */
bool vg_torch_call_is_module(const struct vg_run_frame *frame);

/* Does the call come out of a module's forward()? */
bool vg_torch_call_is_in_module(const struct vg_run_failure *failure);

/* Does an optimizer itself make the call: one of torch.optim, or the step() of another? Not the
 * closure that a step is given, which holds a forward and backward pass. */
bool vg_torch_call_is_optimizers(const struct vg_run_failure *failure);

/* Is that where an optimizer of torch.optim makes or loads its state, and no later part of a step?
 */
bool vg_torch_call_makes_state(const struct vg_run_failure *failure);

/* Is it in the multi-tensor variant of a step (foreach=True), which makes copies? */
bool vg_torch_call_is_multi_tensor(const struct vg_run_failure *failure);

/* Are tensors of a model made or moved: in a module's constructor or Module.to(), in a load of
 * transformers'? What torch.load reads may be anything. */
bool vg_torch_call_makes_weights(const struct vg_run_failure *failure);

/* Is that a library's function that moves or converts a model, as a site's `called` names it? */
bool vg_torch_call_is_models_move(const char *function);

/* Does the call come out of such a function of torch.nn.Module, Module._apply() in it? */
bool vg_torch_call_moves_model(const struct vg_run_failure *failure);

/* Is a model that is there converted to 2-byte numbers: Module.half(), Module.bfloat16()? */
bool vg_torch_call_narrows_model(const struct vg_run_failure *failure);

#endif
