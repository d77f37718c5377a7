"""The blocks of PyTorch's allocator: what vramguard records of them is what PyTorch says, to the byte and to
the line, and PyTorch behaves as it does bare."""

import os
from pathlib import Path

import pytest
from conftest import needs_cuda, skip_what_is_lacking

ROOT = Path(__file__).resolve().parents[2]
MEASURE = (ROOT / os.environ.get("BUILD", "build")).resolve() / "test" / "torch" / "measure"
pytestmark = needs_cuda()
TWO = "8GiB,8GiB"
STEPS = 500
SETTINGS = {
    "segments": {},
    "expandable": {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"},
    "split": {"PYTORCH_CUDA_ALLOC_CONF": "max_split_size_mb:32,roundup_power2_divisions:4"},
    "two": {"SIMGPU_DEVICES": TWO},
}
WAYS = [
    "profiler",
    "profiler_out_of_memory",
    "history",
    "pools",
    "graph",
    "record_stream",
    "forked",
]


def log(machine):
    return {"VRAMGUARD_LOG": str(machine.folder / "own.vgr")}


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("seed", [1, 2])
def test_random_programs(machine, settings, seed):
    """At random moments: totals, peak, every live block, the sums of the sites, and how PyTorch's memory is
    cut up. Pieces of an expandable segment that hold nothing PyTorch does not tell apart."""
    command = machine.program("random_tensors", seed, STEPS)
    extra = {**log(machine), **SETTINGS[settings], "MEASURE": str(MEASURE)}
    if settings == "expandable":
        extra["PIECES"] = "1"
    result = machine.run(command, True, **extra)
    skip_what_is_lacking(result)
    assert result.code == 0, result.stdout + result.stderr
    assert result.stdout.startswith("compared ")


@pytest.mark.parametrize("settings", SETTINGS)
def test_lines_are_those_of_pytorchs_own_history(machine, settings):
    command = machine.program("random_tensors", 3, STEPS, "history")
    result = machine.run(command, True, **log(machine), **SETTINGS[settings])
    skip_what_is_lacking(result)
    assert result.code == 0, result.stdout + result.stderr
    lines = int(result.stdout.split(" lines")[0].split()[-1])
    assert lines > 1000


@pytest.mark.parametrize("way", WAYS)
def test_pytorch_behaves_as_bare(machine, way):
    bare = machine.run(machine.program("ways_of_torch", way))
    skip_what_is_lacking(bare)
    guarded = machine.run(machine.program("ways_of_torch", way), True)
    assert bare.code == 0, bare.stderr
    assert (guarded.code, guarded.stdout) == (bare.code, bare.stdout)
    compared = machine.run(machine.program("ways_of_torch", way, "compare"), True, **log(machine))
    if way != "profiler_out_of_memory":  # which leaves no block behind
        assert compared.code == 0 and compared.stdout == bare.stdout + "agrees\n", compared.stderr


COUNT = """
import run_file, torch
kept = [torch.empty(5000, device="cuda") for _ in range(7)]
file = run_file.own()
print(len(file.blocks), file.totals[0].allocated_bytes, {len(file.python(b.stack_id)) > 0 for b in file.blocks})
"""


@pytest.mark.parametrize(
    "option, says",
    [
        ({}, "7 143360 {True}"),
        ({"VRAMGUARD_TENSORS": "lines"}, "7 143360 {True}"),
        ({"VRAMGUARD_TENSORS": "off"}, "0 0 set()"),
        ({"VRAMGUARD_STACKS": "off"}, "7 143360 {False}"),
        ({"VRAMGUARD_STACKS": "native"}, "7 143360 {False}"),
        ({"VRAMGUARD_STACKS": "python"}, "7 143360 {True}"),
        ({"PYTORCH_CUDA_ALLOC_CONF": "backend:cudaMallocAsync"}, "0 0 set()"),
    ],
)
def test_options(machine, option, says):
    extra = {**log(machine), **option, "PYTHONPATH": str(machine.program("run_file")[1].parent)}
    result = machine.run(machine.code(COUNT), True, **extra)
    skip_what_is_lacking(result)
    assert result.stdout == says + "\n", result.stderr


def test_blocks_count_into_no_total_of_the_driver(machine):
    """One segment of 20 MiB and the two blocks in it, one of which begins where it does."""
    code = (
        "import run_file, torch\n"
        "kept = [torch.empty(3 << 20, dtype=torch.int8, device='cuda') for _ in range(2)]\n"
        "file = run_file.own()\n"
        "print(file.devices[0].live_bytes >> 20, file.totals[0].allocated_bytes >> 20)\n"
    )
    extra = {**log(machine), "PYTHONPATH": str(machine.program("run_file")[1].parent)}
    assert machine.run(machine.code(code), True, **extra).stdout == "20 6\n"
