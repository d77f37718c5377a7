"""What README.md says of PyTorch on a simulated GPU: what runs there, and what needs a real one."""

import pytest
from conftest import REAL_GPU, TORCH_PYTHON

pytestmark = pytest.mark.skipif(REAL_GPU, reason="about the simulated GPU")
# PyTorch's thread for the backward pass may be ended in the wrong moment by Python's end: bare programs
# abort there now and then on a busy machine.
RUNS = """
import os, torch
weight = torch.ones(64, 64, device="cuda", requires_grad=True)
(torch.sigmoid(weight * 2) + weight.cpu().cuda()).mean().backward()
print(weight.grad.shape, flush=True)
os._exit(0)
"""
NEEDS = """
import torch
images = torch.ones(2, 3, 8, 8, device="cuda")
layer = torch.nn.%s.cuda()
try:
    print(layer(images).shape)
except RuntimeError as error:
    print(error)
"""


def simulate(machine, program):
    run = ["run", "--simulate", "1GiB", "--", TORCH_PYTHON, "-c", program]
    result = machine.vramguard(*run, LD_LIBRARY_PATH=None, SIMGPU_DEVICES=None, SIMGPU_QUIET=None)
    assert result.code == 0, result.stderr
    return result


def test_elementwise_operations_reductions_and_autograd_run(machine):
    result = simulate(machine, RUNS)
    assert result.stdout == "torch.Size([64, 64])\n" and "NVIDIA's own CUDA runtime" not in result.stderr


@pytest.mark.parametrize("layer", ["Linear(8, 8)", "Conv2d(3, 3, 3)"])
def test_layers_of_nvidias_libraries_fail_with_the_reason(machine, layer):
    result = simulate(machine, NEEDS % layer)
    assert "NOT_INITIALIZED" in result.stdout
    assert result.stderr.count("has NVIDIA's own CUDA runtime in it, which works with a real GPU only") == 1
