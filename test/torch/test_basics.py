"""What programs do with PyTorch first, bare and guarded, with each of its allocators."""

import re

import pytest
from conftest import REAL_GPU, TORCH_PYTHON, end_to_end, guard_lines, plain

ALLOCATORS = {
    "native": {},
    "expandable_segments": {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"},
    "cudaMallocAsync": {"PYTORCH_CUDA_ALLOC_CONF": "backend:cudaMallocAsync"},
}

NATIVE = """\
-- device
True 0 True
True True
torch.Size([3, 5]) cuda:0
-- copies
torch.float32 cuda True
torch.float16 cuda True
torch.bfloat16 cuda True
torch.int64 cuda True
torch.uint8 cuda True
torch.bool cuda True
pinned True True
device to device True
view True
saved True
-- module
{'cuda'}
True
-- cache
allocated 0 KiB, reserved 0 MiB, peak 30720 KiB
allocated 53248 KiB, reserved 72 MiB, peak 53248 KiB
allocated 0 KiB, reserved 72 MiB, peak 53248 KiB
allocated 0 KiB, reserved 0 MiB, peak 53248 KiB
given back True
retries 0 failures 0
-- streams and events
True True True True
-- errors
OutOfMemoryError CUDA out of memory True
AcceleratorError CUDA error: invalid device ordinal
works on True
"""


@pytest.mark.parametrize("allocator", ALLOCATORS)
def test_basics(machine, allocator):
    bare, guarded = machine.both(machine.program("basics"), **ALLOCATORS[allocator])
    assert bare.code == 0, bare.stderr
    assert (bare.code, bare.stdout, plain(bare.own_stderr)) == (
        guarded.code,
        guarded.stdout,
        plain(guarded.own_stderr),
    )
    if allocator == "native":
        assert bare.stdout == NATIVE
    asked = re.findall(r"GPU 0 out of memory: .* asked (.*); ", guarded.guard_text)
    assert asked == ["1048576.00 GiB"], guarded.stderr
    assert guarded.guard_text.count("\n  more ") == 1
    assert len(machine.records()) == 1


def test_nothing_is_written_without_a_failure(machine):
    code = "import torch; t = torch.ones(1 << 20).to('cuda'); print(t.cpu().sum().item())"
    bare, guarded = machine.both(machine.code(code))
    assert bare.own == guarded.own == (0, "1048576.0\n", "")
    assert guarded.guard_lines == []


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_multiprocessing(machine, method):
    bare, guarded = machine.both(machine.program("share", method))
    assert bare.own == guarded.own, guarded.stderr
    assert bare.own == (
        0,
        "the child got ('cuda', 549755289600)\nwritten by the child {7}\n"
        "the child's own cuda True\nexit code of the child 0\n",
        "",
    )
    assert guarded.guard_lines == []


def test_graph(machine):
    """While a graph is captured nothing is waited for and nothing freed."""
    machine.neighbour("--leave", "3GiB")
    bare, guarded = machine.both(machine.program("graph"))
    assert bare.code == 0 and bare.stdout == (
        "replayed True\nOutOfMemoryError CUDA out of memory\nworks on True\n"
    ), bare.stderr
    assert (guarded.code, guarded.stdout) == (bare.code, bare.stdout), guarded.stderr
    assert plain(guarded.own_stderr) == plain(bare.own_stderr)
    assert len(guard_lines(guarded, " asked 256 MiB; ")) == 1
    assert not guard_lines(guarded, "waiting|got ")


FRACTION = """
import sys
import torch
torch.cuda.set_per_process_memory_fraction(0.01)
try:
    torch.empty(2 << 30, dtype=torch.uint8, device="cuda")
except torch.cuda.OutOfMemoryError as error:
    print(error)
    sys.exit(3)
"""


def test_limit_of_pytorch_itself(machine):
    """It fails without asking the driver."""
    bare, guarded = machine.both(machine.code(FRACTION))
    assert "MiB allowed" in bare.stdout or "GiB allowed" in bare.stdout, bare.stderr
    assert bare.own == guarded.own
    text = " ".join(guarded.guard_text.split())
    headline = next(line for line in guarded.guard_lines if "asked" in line)
    assert headline.startswith("vramguard: GPU 0 refused by PyTorch's own limit: "), headline
    assert "out of memory" not in text
    assert headline in machine.vramguard("report").stdout
    assert "refused by PyTorch's own limit: asked 2.00 GiB" in machine.vramguard("list").stdout
    assert "why PyTorch's own limit: set_per_process_memory_fraction" in text


@pytest.mark.skipif(REAL_GPU, reason="simulates a GPU")
def test_run_simulates_without_more(machine):
    """`vramguard run --simulate` alone: PyTorch's own runtime, which its libraries name, gives way."""
    program = "import torch; print(torch.ones(5, device='cuda').shape, torch.cuda.mem_get_info()[1])"
    command = ["run", "--simulate", "2GiB", "--", TORCH_PYTHON, "-c", program]
    extra = dict(LD_PRELOAD=None, LD_LIBRARY_PATH=None, SIMGPU_DEVICES=None)
    result = machine.vramguard(*command, **extra)
    assert result.code == 0, result.stderr
    assert result.stdout == "torch.Size([5]) %d\n" % (2 << 30)
    assert len(machine.records()) == 1


@pytest.mark.skipif(REAL_GPU, reason="simulates a GPU")
@pytest.mark.parametrize("inside", [False, True])
def test_torchrun_records_each_rank_and_reports_once(machine, inside):
    """In front of torchrun, or of each of its ranks."""
    program = machine.folder / "rank.py"
    program.write_text(
        "import torch\n"
        "print(torch.ones(5, device='cuda').shape)\n"
        "try:\n"
        "    torch.ones(3 << 30, device='cuda')\n"
        "except torch.OutOfMemoryError:\n"
        "    pass\n"
    )
    simulate = ["run", "--simulate", "4GiB", "--"]
    torchrun = [TORCH_PYTHON, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    tool = str(end_to_end.BUILD / "vramguard")
    if inside:
        command = [*torchrun, "--no-python", tool, *simulate, TORCH_PYTHON, str(program)]
    else:
        command = [tool, *simulate, *torchrun, str(program)]
    result = machine.run(command, LD_PRELOAD=None, LD_LIBRARY_PATH=None, SIMGPU_DEVICES=None)
    assert result.code == 0, result.stderr
    assert result.stdout.count("torch.Size([5])") == 2
    assert len(machine.records()) == 2
    assert "nothing is recorded" not in result.stderr
    assert result.stderr.count("\n  why ") == 1, result.stderr
    (others,) = re.findall(r"\(rank (.) of 2\).*; the report of rank (.) says why", result.stderr)
    assert set(others) == {"0", "1"}
