"""Each cause that the report names, shown by a program that has it, beside one that looks like it and
has another."""

import json
import re
import signal

import pytest
from conftest import MIB, REAL_GPU, VERSION, needs_cuda, skip_what_is_lacking

pytestmark = [needs_cuda(), pytest.mark.skipif(REAL_GPU, reason="needs a GPU of a known size")]

# What `why` and `do` of each program's last report begin with or contain.
CAUSES = {
    "kept_graphs": (
        r"a leak: `history` \(list of \d+, causes\.py:\d+ kept_graphs\) keeps .* graphs behind them",
        r"x\.detach\(\)",
    ),
    "forward": (r"a leak: `history` \(list of \d+, causes\.py:\d+ forward\) keeps", r"x\.detach\(\)"),
    "kept_without_backward": (
        r"`history` \(list of \d+, causes\.py:\d+ kept_without_backward\) keeps more and more: \S+ MiB by now, most of it through the autograd graphs of its entries",
        r"if these are results of steps that are over: put x\.detach\(\) .* if one backward pass is to go through all",
    ),
    "micro_batches": (
        r"the list of \d+ that causes\.py:\d+ \S+ is working on keeps more and more: \S+ MiB by now, most of it through the autograd graphs of its entries",
        r"if these are results of steps that are over: put x\.detach\(\) .* if one backward pass is to go through all",
    ),
    "penalties": (
        r"`losses` \(list of \d+, causes\.py:\d+ penalties\) keeps more and more: \S+ MiB by now, most of it through the autograd graphs of its entries",
        r"if these are results of steps that are over: put x\.detach\(\) .* if one backward pass is to go through all",
    ),
    "unrolled": (r"(?!.*leak)(?!.*earlier steps)`state` \(Tensor, .* each parameter is used", r"if they are all of one forward"),
    "features": (r"(?!.*more and more)(?!.*leak)`found` \(list of \d+, causes\.py:\d+ compare\) holds ", r""),
    "first_pass": (r"activations: ", r""),
    "first_pass_by_forward": (r"activations: ", r""),
    "first_pass_kept": (r"(?!.*more and more)this process itself: tensors made at causes\.py:\d+ Attention\.forward", r""),
    "first_pass_gathered": (r"(?!.*more and more)this process itself: tensors made at causes\.py:\d+ Attention", r""),
    "first_pass_by_hand": (
        r"(?!.*more and more)`outs` \(list of 26, causes\.py:\d+ run\) holds 1000 MiB .*; 1000 MiB comes from causes\.py:\d+ Attention\.forward",
        r"x\.cpu\(\)",
    ),
    "first_pass_of_stages": (r"(?!.*more and more)`outs` \(list of 26, .*\) holds 1000 MiB ", r"x\.cpu\(\)"),
    "first_pass_of_plain_layers": (r"(?!.*more and more)`outs` \(list of 17, .*\) holds 996 MiB ", r"x\.cpu\(\)"),
    "outputs_of_loader": (r"`outs` \(list of \d+, causes\.py:\d+ outputs_of_loader\) keeps more and more", r"x\.cpu\(\)"),
    "outputs_of_a_layer": (r"`outs` \(list of \d+, causes\.py:\d+ outputs_of_a_layer\) keeps more and more", r"x\.cpu\(\)"),
    "hidden_states": (r"activations: ", r"smaller batch"),
    "loss_sum": (
        r"`total_loss` \(Tensor, causes\.py:\d+ loss_sum\) keeps \S+ MiB alive through its autograd graph, "
        r"in which each parameter is used \d+ times",
        r"add x\.item\(\) to a sum, assign x\.detach\(\) to `total_loss`",
    ),
    "hidden_state": (r"`state` \(Tensor, .* each parameter is used \d+ times", r"x\.detach\(\) to `state`"),
    "shared_weights": (r"activations: ", r"smaller batch"),
    "deque_of_results": (r"`outputs` \(deque of \d+, .*\) keeps more and more", r"x\.cpu\(\)"),
    "closure": (r"causes\.py:\d+ \S*<lambda> keeps more and more: .* `step` \(function, .*\) leads to them", r"x\.cpu"),
    "kept_results": (
        r"`outputs` \(list of \d+, causes\.py:\d+ kept_results\) keeps more and more",
        r"x\.cpu\(\)",
    ),
    "comprehension": (
        r"the list of \d+ that causes\.py:\d+ \S+ is working on keeps more and more",
        r"put x\.cpu\(\) into it",
    ),
    "cached_calls": (
        r"causes\.py:\d+ .*encode keeps more and more: .* `encode` \(_lru_cache_wrapper, .*\) leads to them",
        r"^bound what `encode` caches: functools\.lru_cache\(maxsize=N\); or empty it: encode\.cache_clear\(\)$",
    ),
    "cycled_batches": (r"causes\.py:\d+ .*", r"^itertools\.cycle keeps all that its first round gives"),
    "garbage": (
        r"\S+ \w+ in \d+ tensors is garbage: only objects that refer to each other \(Step\) lead to them",
        r"gc\.collect\(\)",
    ),
    "failed_steps": (
        r"\S+ \w+ in \d+ tensors is garbage: only objects that refer to each other \(ValueError\) lead to them",
        r"keeps an exception beyond its `except` block .* del that variable",
    ),
    "steps": (r"(?!.*garbage)`kept` \(list of \d+, causes\.py:\d+ steps\) keeps more and more", r"x\.cpu\(\)"),
    "data_on_gpu": (r"`dataset` \(list of 60, causes\.py:\d+ data_on_gpu\) holds ", r"x\.cpu\(\)"),
    "cache_beside_model": (
        r"`cache` \(list of 32, .*\) holds 640 MiB .*; 320 MiB comes from causes\.py:\d+ cache_beside_model\.",
        r"x\.cpu\(\)",
    ),
    "cache_of_a_part": (
        r"`cache` \(list of 12, .*\) holds 586 MiB .*; 586 MiB comes from causes\.py:\d+ batch\.",
        r"x\.cpu\(\)",
    ),
    "data_and_first_step": (r"activations: ", r"smaller batch"),
    "data_beside_growth": (
        r"causes\.py:\d+ data_beside_growth keeps more and more: .* `kept` \(tuple of 2, .*\) leads to them",
        r"x\.cpu",
    ),
    "leak_beside_model": (
        r"`outputs` \(list of \d+, causes\.py:\d+ leak_beside_model\) keeps more and more",
        r"x\.cpu\(\)",
    ),
    "weights_one_by_one": (r"the dict of \d+ that causes\.py:\d+ \S+ is working on holds ", r"(?!.*finished)"),
    "weights_in_a_loop": (r"`loaded` \(dict of \d+, causes\.py:\d+ weights_in_a_loop\) holds ", r"(?!.*finished)"),
    "weights_halved": (r"the dict of 108 that causes\.py:\d+ \S+ is working on holds ", r"(?!.*finished)"),
    "weights_halved_in_a_loop": (r"`loaded` \(dict of 108, .*\) holds ", r"(?!.*finished)"),
    "outputs_of_host_data": (r"`outs` \(list of \d+, causes\.py:\d+ outputs_of_host_data\) keeps more and more", r"x\.cpu\(\)"),
    "packed_layers": (r"(?!.*more and more)this process itself: tensors made at causes\.py:\d+ Packed\.__init__", r""),
    "halved_layers": (r"the model itself: parameters take ", r"^quantised weights, or device_map"),
    "narrowed_on_gpu": (
        r"the model itself: parameters take ",
        r"^convert the model before it is moved: model\.bfloat16\(\)\.cuda\(\); .* device_map",
    ),
    "full_cache": (r"`cache` \(dict of 100, causes\.py:\d+ full_cache\) holds ", r"x\.cpu\(\)"),
    "ring_buffer": (r"(?!.*leak)(?!.*more and more)this process itself", r"keep less"),
    "traceback": (r"an earlier exception keeps the frames .*`kept` \(OutOfMemoryError", r"del kept"),
    "traceback_beside_leak": (r"a leak: `history` \(list of 20, .* hold 640 MiB", r"x\.detach\(\)"),
    "leak_beside_traceback": (r"an earlier exception keeps .* 488 MiB of tensors: `kept` \(ValueError", r"del kept"),
    "retry_in_except": (
        r"an earlier exception keeps the frames .* hold 684 MiB of tensors: the OutOfMemoryError that "
        r"causes\.py:\d+ retry_in_except is handling; 684 MiB comes from causes\.py:\d+ batch\.",
        r"leave the `except` block before you try again(?!.*del )",
    ),
    "retry_in_inner_except": (
        r"an earlier exception .* the OutOfMemoryError that causes\.py:\d+ retry_in_inner_except is handling;",
        r"leave the `except` block before you try again(?!.*del )",
    ),
    **{
        name: (
            r"an earlier exception .* the ValueError that causes\.py:\d+ %s is handling;" % name,
            r"leave the `except` block before you try again(?!.*del )",
        )
        for name in ("train_in_except", "train_functions_in_except")
    },
    "retry_beside_generator": (
        r"an earlier exception keeps .* 684 MiB of tensors: the generator that causes\.py:\d+ retry_beside_generator is working on;",
        r"^let that generator keep no exception where it yields: no `yield` in its `except` block(?!.*del )",
    ),
    "failures_of_trials": (
        r"an earlier exception keeps .* of tensors: `results` \(dict of \d+, causes\.py:\d+ failures_of_trials\);",
        r"^keep in `results` only what you need of an exception, as str\(error\)(?!.*del )",
    ),
    "exceptions_of_steps": (
        r"an earlier exception keeps .* of tensors: the list of \d+ that causes\.py:\d+ \S+ is working on;",
        r"^keep what you need of an exception, as str\(error\), and not itself(?!.*del )",
    ),
    **{
        name: (
            r"an earlier exception keeps the frames .* hold 684 MiB of tensors: the OutOfMemoryError that "
            r"causes\.py:\d+ %s is handling in another thread; 684 MiB comes from causes\.py:\d+ batch\." % function,
            r"let that thread leave the `except` block before it waits or goes on(?!.*del )",
        )
        for name, function in (
            ("wait_in_except", "serve"),
            ("wait_in_inner_except", "serve"),
            ("wait_in_generator", "answers"),
            ("wait_outside_generator", "serve"),
            ("wait_in_with", "serve"),
        )
    },
    "wait_in_pool": (
        r"an earlier exception keeps .* `exc_val` \(OutOfMemoryError, _base\.py:\d+ (?:Executor\.)?__exit__\);",
        r"^catch the exception inside the `with` block that it leaves: (?:Executor\.)?__exit__ has it(?!.*del )",
    ),
    "wait_after_except": (r"(?!.*exception)this process itself: tensors made at causes\.py:\d+ batch", r""),
    "wait_in_except_of_little": (r"(?!.*exception)this process itself: tensors made at causes\.py:\d+ batch", r""),
    "fail_in_except": (r"(?!.*exception)this process itself: tensors made at causes\.py:\d+ batch", r""),
    "handled": (r"(?!.*exception)this process itself: tensors made at causes\.py:\d+ batch", r""),
    "activations": (r"activations: ", r"smaller batch.*bfloat16 autocast"),
    "retained_graph": (
        r"while a forward pass runs, `loss` \(Tensor, causes\.py:\d+ retained_graph\) still keeps the autograd graph of an "
        r"earlier one, with 703 MiB, though a backward pass has begun since; 645 MiB comes from causes\.py:\d+ ",
        r"`loss`: backward\(\) without retain_graph=True; or, before the next forward pass, loss = loss\.detach\(\); else",
    ),
    "freed_graph": (r"activations: ", r"smaller batch"),
    "two_parts": (r"activations: ", r"smaller batch"),
    "adversaries": (r"", r"^if no other backward pass is to go through `made`: .*; else a smaller batch"),
    "loss_of_logits": (
        r"activations: .* take 774 MiB of PyTorch's 782 MiB, the parameters 4\.00 MiB; 344 MiB comes from",
        r"smaller batch",
    ),
    "backward_of_logits": (r"activations: .* take 598 MiB of PyTorch's 873 MiB", r"smaller batch"),
    "logits_without_graph": (
        r"(?!.*activations)this process itself: tensors made at causes\.py:\d+ Logits\.forward \(called from",
        r"(?!.*batch)",
    ),
    "optimizer": (r"the optimizer's state does not fit beside the model", r"8-bit.*weights in bfloat16"),
    "optimizer_closure": (r"the optimizer's state does not fit beside the model", r"8-bit"),
    "own_optimizer": (r"the optimizer's step does not fit beside the model", r"^(?!.*foreach).*8-bit"),
    "second_step": (
        r"the optimizer's step does not fit beside the model: .* state 374 MiB; more is asked for in",
        r"foreach=False",
    ),
    "step_closure": (r"activations: ", r"smaller batch"),
    "lbfgs": (r"activations: ", r"smaller batch"),
    "averaged_model": (r"(?!.*optimizer)", r"^(?!.*Adam)"),
    "parameters": (r"the model itself: parameters take ", r"bfloat16"),
    "narrow_parameters": (r"the model itself: parameters take ", r"^quantised weights, or device_map"),
    "narrow_optimizer": (r"the optimizer's state does not fit beside the model", r"^(?!.*bfloat16).*8-bit"),
    "narrow_activations": (r"activations: ", r"^(?!.*bfloat16).*smaller batch"),
    "autocast": (r"activations: ", r"^(?!.*bfloat16).*smaller batch"),
    "parameters_beside_data": (r"(?!.*the model itself)this process itself: tensors made at", r"^(?!.*device_map)"),
    "large_weight": (r"the 23\.84 GiB asked for in one piece", r"^(?!.*batch)(?!.*bfloat16).*one tensor of a model"),
    "wide_weight": (r"the 1\.49 GiB asked for in one piece", r"^(?!.*batch).*dtype=torch\.bfloat16"),
    "large_input": (r"the 13\.41 GiB asked for", r"if its size follows the batch .* a smaller batch"),
    "large_tensor": (r"the 2\.86 GiB asked for in one piece", r"^(?!.*batch)(?!.*model)"),
    "model_twice": (
        r"there are two models of class Net .* each: `model` \(Net, .*\) and `again` \(Net, ",
        r"if one is left over: del model or del again",
    ),
    "model_again": (r"there are two models of class Net .* each\.$", r"^if one of them is no longer needed: delete"),
    "population": (
        r"`population` \(list of 15, causes\.py:\d+ population\) holds modules with 960 MiB of PyTorch's \S+ GiB: "
        r"1[2-5] or more of class Net are on the GPU, with 64\.0 MiB of parameters each\.$",
        r"keep in `population` only numbers, or weights in host memory: \S+ v\.cpu\(\)(?!.*optimizer)",
    ),
    "folds": (
        r"`results` \(list of 8, .*\) holds modules with 824 MiB .*: 9 of class Net .*; optimizers have 601 MiB of state\.",
        r"and no optimizer, which keeps",
    ),
    "ensemble": (r"activations: ", r"smaller batch"),
    "resumed": (
        r"`checkpoint\[\"model\"\]` \(OrderedDict of 12, causes\.py:\d+ resumed\) still holds 288 MiB that torch\.load has put "
        r"onto the GPU, beside parameters of 288 MiB, gradients of 288 MiB and optimizer state of ",
        r"map_location=\"cpu\".*; or, once load_state_dict\(\) has copied what it takes, del checkpoint",
    ),
    "resumed_on_host": (r"the optimizer's state does not fit", r"^(?!.*del checkpoint)"),
    "old_optimizer": (
        r"`adam` \(Adam, causes\.py:\d+ old_optimizer\) keeps parameters that are in no model, with their gradients and "
        r"its state: 768 MiB of PyTorch's 1\.05 GiB\.",
        r"before the next model is made: del adam",
    ),
    "new_optimizer": (r"(?!.*in no model)", r"(?!.*del adam)"),
    "plain_parameters": (r"(?!.*in no model)", r"(?!.*del adam)"),
    "mixture": (r"the models themselves: parameters of a Net take 206 MiB, those of a Critic 206 MiB; in all", r""),
    "three_models": (
        r"there are 3 models of class Net .* each; two of them are `first` \(Net, .*\) and `second` \(Net, ",
        r"if one is left over: del first or del second",
    ),
    "trainer_outputs": (
        r"the Trainer keeps the outputs of all batches on the GPU until the evaluation ends: `all_preds\.tensors` "
        r"\(Tensor, trainer\.py:\d+ Trainer\.evaluation_loop\) holds ",
        r"eval_accumulation_steps=1",
    ),
    "trainer_batch": (r"(?!.*Trainer keeps)", r"(?!.*eval_accumulation)"),
    "teacher": (
        r"there are two models of class Net .*: `distillation\.student` \(Net, .* and `distillation\.teacher` \(Net",
        r"^if both are needed .* keep the one that is not trained in host memory or in bfloat16; if one",
    ),
    "load_onto_gpu": (
        r"torch\.load puts the tensors of the file onto the GPU as it reads them: \S+ MiB so far, beside parameters of",
        r"map_location=\"cpu\"",
    ),
    "load_alone": (
        r"torch\.load puts the tensors of the file onto the GPU as it reads them: \S+ GiB so far\.$",
        r"map_location=\"cpu\"",
    ),
    "load_larger_than_model": (
        r"torch\.load puts the tensors of the file onto the GPU as it reads them: \S+ MiB so far, beside parameters of",
        r"map_location=\"cpu\"",
    ),
    "load_and_move": (r"(?!.*torch\.load)", r"(?!.*map_location)"),
    "second_model": (
        r"the models themselves: parameters of `teacher` \(Net, causes\.py:\d+ second_model\) take 687 MiB, those of "
        r"`student` \(Student, causes\.py:\d+ second_model\) 343 MiB so far \(its other 1\.01 GiB are not on this GPU\)",
        r"^keep a model that is not used at the same time in host memory; ",
    ),
    "second_model_begins": (r"the models themselves: .* those of `student` \(Student, .*\) \S+ MiB so far \(its other", r""),
    "second_model_of_a_class": (
        r"the models themselves: .*`teacher` .* take 858 MiB, those of `student` \(Net, .*\) 172 MiB so far \(its other 687",
        r"",
    ),
    "model_beside_host_copy": (
        r"the model itself: parameters take 1\.01 GiB of .* \(Net\) so far; its other 343 MiB are not on this GPU\.",
        r"^weights of fewer bytes",
    ),
    "model_in_parts": (r"the model itself: (?!.*so far)(?!.*other)", r""),
    "two_models": (
        r"the models themselves: parameters of `model` \(.*\) take 480 MiB, those of `other` \(.*\) 288 MiB; in all they take",
        r"^keep a model that",
    ),
    "holes": (r"fragmentation: ", r"expandable_segments:True"),
    "no_holes": (r"`kept` \(list of 11, causes\.py:\d+ no_holes\) holds 440 MiB", r"x\.cpu\(\)"),
    "cache_in_way": (r"PyTorch caches 900 MiB of this GPU that no tensor uses", r"empty_cache\(\) before this call"),
    "cache_in_use": (r"(?!.*caches)", r"^(?!.*empty_cache)"),
    "graph_pools": (
        r"the private pools of CUDA graphs hold \S+ GiB of PyTorch's \S+ GiB: \d captures took it",
        r"one pool for graphs .* pool=first\.pool\(\)",
    ),
    "graph_pool_shared": (r"the private pools of CUDA graphs hold ", r"^capture the largest first"),
    "graph_beside_tensors": (r"(?!.*private pools)", r""),
    "fraction": (r"PyTorch's own limit: set_per_process_memory_fraction", r"larger fraction"),
    "leak_under_fraction": (
        r"PyTorch's own limit: set_per_process_memory_fraction",
        r"^a larger fraction .*; or, to fit into it, .*put x\.cpu\(\) into `outputs`|put x\.cpu\(\) into it",
    ),
}
FAILS_IN_BACKWARD = ("penalties", "loss_of_logits", "backward_of_logits", "population")
# What 1.13 does not tell: it does not name the threads of its backward passes, so that steps are not seen to end
# (heap/passes.h).
IN_1_13 = {
    "kept_graphs": (r"`history` \(list of \d+, causes\.py:\d+ kept_graphs\) keeps more and more: ", r"x\.detach\(\)"),
    "forward": (r"`history` \(list of \d+, causes\.py:\d+ forward\) keeps more and more: ", r"x\.detach\(\)"),
    "retained_graph": (r"activations: ", r"smaller batch"),
    "adversaries": (r"activations: ", r"smaller batch"),
    "traceback_beside_leak": (r"`history` \(list of 20, .* keeps more and more: 640 MiB", r"x\.detach\(\)"),
}
if VERSION < [2, 0]:
    CAUSES.update(IN_1_13)


def last_answer(result):
    """`why` and `do` of the last report that is told in full."""
    found = re.findall(r"^  (why|do) +(\S.*(?:\n {11}\S.*)*)", result.guard_text, re.M)
    return {key: " ".join(text.split()) for key, text in found}


def first_screen(result):
    """The lines of the last report that is told in full, up to its tables."""
    whole = re.findall(r"^vramguard: GPU \d+ (?:out of memory|refused by).*\n(?: .*\n)+", result.stderr, re.M)
    return whole[-1].splitlines()


EACH_GPU = """
import torch
kept = []
for device in (1, 0):
    try:
        while True:
            kept.append(torch.empty(20 << 20, dtype=torch.uint8, device="cuda:%d" % device))
    except torch.cuda.OutOfMemoryError as error:
        print(device, type(error).__name__)
"""


def test_each_gpu(machine):
    """A failure on a second GPU ends as it does bare, and is told as on the first."""
    result = machine.run(machine.code(EACH_GPU), True, SIMGPU_DEVICES="400MiB,400MiB")
    assert (result.code, result.stdout) == (0, "1 OutOfMemoryError\n0 OutOfMemoryError\n"), result.stderr
    failures = json.loads(machine.vramguard("report", "--json").stdout)["failures"]
    assert [failure["device"]["gpu"]["ordinal"] for failure in failures] == [1, 0]
    for failure in failures:
        (variable,) = failure["census"]["variables"]
        assert (variable["variable"], variable["type"]) == ("kept", "list")


MODEL_AND_LIST = """
import torch
net = torch.nn.ModuleList(torch.nn.Linear(1024, 5120, bias=False, device="cuda") for _ in range(4))
for parameter in net.parameters():
    parameter.grad = torch.empty_like(parameter)
def fill():
    kept = []
    while True:
        kept.append(torch.empty(20 << 20, dtype=torch.uint8, device="cuda"))
fill()
"""


def test_census_in_json(machine):
    machine.run_to_failure(machine.code(MODEL_AND_LIST), SIMGPU_DEVICES="800MiB")
    (failure,) = json.loads(machine.vramguard("report", "--json").stdout)["failures"]
    census, none, one = failure["census"], {"bytes": 0, "blocks": 0}, {"bytes": 20 * MIB, "blocks": 1}
    four, eight = ({"bytes": n * 20 * MIB, "blocks": n} for n in (4, 8))
    assert census["complete"] and failure["arrays"] is None
    assert [census[kind] for kind in ("parameters", "gradients", "optimizer", "buffers")] == [four, four, none, none]
    outermost, *_, last = census["modules"]
    assert (outermost["path"], outermost["depth"], outermost["parameters"]) == ("ModuleList", 0, four)
    assert (last["path"], last["depth"]) == ("ModuleList.3", 1)
    assert [last[kind] for kind in ("parameters", "gradients", "optimizer", "buffers")] == [one, one, none, none]
    variables = {variable["variable"]: variable for variable in census["variables"]}
    net, kept = variables["net"], variables["kept"]
    assert [net[name] for name in ("type", "length", "place")] == ["ModuleList", None, "global"]
    assert [net[name] for name in ("direct", "model", "traceback")] == [eight, eight, none]
    count = kept["length"]
    assert [kept[name] for name in ("type", "function", "place")] == ["list", "fill", "local"]
    assert kept["direct"] == census["other"] == {"bytes": count * 20 * MIB, "blocks": count} and count > 5
    assert census["shapes"] == [{"shape": [20 * MIB], "dtype": "uint8", "amount": kept["direct"]}]


LINES = """
import torch
class Store:
    def __init__(self):
        self.many, self.few = [one(4) for _ in range(9)], [one(2)]
def one(mib):
    return torch.empty(mib << 20, dtype=torch.uint8, device="cuda")
def fail():
    net = torch.nn.Linear(1024, 1024, bias=False, device="cuda")
    store, pair, parts = Store(), [one(8), torch.empty(6 << 20, dtype=torch.uint8, device="cuda")], {"a": one(4)}
    parts["b"] = one(40)
    loss = (torch.empty(1024, 1024, device="cuda", requires_grad=True) * net.weight).exp()
    again = loss
    del loss
    try:
        failed(one(10))
    except ValueError as error:
        kept = error
    one(4000)
def failed(x):
    raise ValueError(1)
fail()
"""


def test_what_variables_hold_is_counted_by_line(machine):
    machine.run_to_failure(machine.code(LINES), SIMGPU_DEVICES="800MiB")
    (failure,) = json.loads(machine.vramguard("report", "--json").stdout)["failures"]
    lines = {line["line"]["line"]: line for line in failure["census"]["lines"]}
    held = {
        number: {one["variable"]: [one[key + "_bytes"] // MIB for key in ("direct", "graph", "traceback")] for one in line["held"]}
        for number, line in lines.items()
    }
    assert held == {
        7: {"store.many": [36, 0, 0], "parts[\"b\"]": [40, 0, 0], "pair": [8, 0, 0], "kept": [10, 0, 10]},
        9: {},
        10: {"pair": [6, 0, 0]},
        12: {"again": [4, 4, 0]},
    }
    kinds = {number: {kind: line[kind] // MIB for kind in ("parameters", "other", "graph")} for number, line in lines.items()}
    assert kinds == {
        7: {"parameters": 0, "other": 100, "graph": 0},
        9: {"parameters": 4, "other": 0, "graph": 0},
        10: {"parameters": 0, "other": 6, "graph": 0},
        12: {"parameters": 0, "other": 4, "graph": 4},
    }
    for variable in failure["census"]["variables"]:
        by_lines = sum(one.get(variable["variable"], [0])[0] for one in held.values())
        assert by_lines * MIB == variable["direct"]["bytes"] - variable["model"]["bytes"], variable


# Without a census.
BY_LINES = {
    "halved_layers": (
        r"the model itself: \S+ GiB of PyTorch's \S+ GiB come from causes\.py:\d+ halved_layers \(Module\.half\)",
        r"^weights of fewer bytes",
    ),
}


@pytest.mark.parametrize("name", BY_LINES)
def test_the_cause_by_lines(machine, name):
    result = machine.run(
        machine.program("causes", name), True, VRAMGUARD_POLICY="off", VRAMGUARD_TENSORS="lines", SIMGPU_DEVICES="1400MiB"
    )
    assert result.code == 1, result.stderr
    found = last_answer(result)
    why, do = BY_LINES[name]
    assert re.match(why, found["why"]), found["why"]
    assert re.search(do, found["do"]), found["do"]


@pytest.mark.parametrize("name", CAUSES)
def test_the_cause_is_the_programs(machine, name):
    result = machine.run_to_failure(machine.program("causes", name), SIMGPU_DEVICES="1400MiB")
    skip_what_is_lacking(result)
    # PyTorch's thread that failed in a backward pass may end the program while Python ends: bare, too.
    may_abort = name in FAILS_IN_BACKWARD or name.startswith("train_")
    assert result.code == 1 or may_abort and result.code == -signal.SIGABRT, result.stderr
    found = last_answer(result)
    why, do = CAUSES[name]
    assert re.match(why, found["why"]), found["why"]
    assert re.search(do, found["do"]), found["do"]
    headline, *rest = first_screen(result)
    assert len(rest) < 14 and all(len(line) <= 80 for line in rest), "\n".join([headline, *rest])


def test_features_are_known_to_be_saved(machine):
    """An autograd graph has saved what `found` has of each layer, but perhaps for the last."""
    machine.run_to_failure(machine.program("causes", "features"), SIMGPU_DEVICES="1400MiB")
    failure = json.loads(machine.vramguard("report", "--json").stdout)["failures"][-1]
    (found,) = [variable for variable in failure["census"]["variables"] if variable["variable"] == "found"]
    assert found["history"]["saved_blocks"] >= found["history"]["blocks"] - 1 > 4, found
