"""Whose CUDA runtime PyTorch calls on the simulated GPU: ours. Where its allocator has NVIDIA's in it, libraries
stand in that scripts/simulated-torch has built from PyTorch's source."""

import re
import subprocess
from pathlib import Path

import pytest
from conftest import BUILD, REAL_GPU, SIMULATED, TORCH_PYTHON, needs_cuda, torch_library

pytestmark = [needs_cuda(), pytest.mark.skipif(REAL_GPU, reason="about the simulated GPU")]
built = pytest.mark.skipif(Path(TORCH_PYTHON).parents[1] != SIMULATED, reason="this PyTorch runs here as it is")

USES_GPU = "import torch; torch.ones(3, device='cuda').cpu()"
MAPPED = USES_GPU + """
print(*sorted({line.split()[5] for line in open("/proc/self/maps") if "cudart" in line or "c10_cuda" in line}), sep="\\n")
"""
BOUND = re.compile(r"binding file (\S+) \[\d+\] to (\S+) \[\d+\]: normal symbol `(?:__)?cuda[A-Z]")
ASKS = USES_GPU + """
begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
stream = torch.cuda.Stream()
with torch.cuda.stream(stream):
    begin.record()
    end.record()
stream.synchronize()
torch.cuda.current_stream().wait_event(end)
print(end.query(), begin.elapsed_time(end) >= 0, torch.cuda.is_current_stream_capturing(), torch.cuda.mem_get_info()[1])
"""
SHARES = USES_GPU + "; torch.ones(3, device='cuda').storage()._share_cuda_()"
TELLS = "has NVIDIA's own CUDA runtime in it, which works with a real GPU only"


def test_every_call_of_a_runtime_is_bound_to_ours(machine):
    bindings = dict(LD_DEBUG="bindings", LD_DEBUG_OUTPUT=str(machine.folder / "bound"), LD_BIND_NOW="1")
    result = machine.run(machine.code(USES_GPU), **bindings)
    assert result.code == 0, result.stderr
    (file,) = machine.folder.glob("bound.*")
    with open(file, errors="replace") as lines:
        pairs = {match.groups() for match in map(BOUND.search, lines) if match}
    callers = {Path(caller).name for caller, _ in pairs}
    assert "libc10_cuda.so" in callers and len(callers) > 2
    assert {Path(runtime).parent for _, runtime in pairs if Path(runtime).name.startswith("libcudart")} == {machine.simgpu}
    others = {pair for pair in pairs if Path(pair[1]).parent != machine.simgpu}
    assert not {caller for caller, _ in others if Path(caller).name == "libc10_cuda.so"}, others


@built
def test_the_allocator_library_is_the_one_that_was_built(machine):
    result = machine.run(machine.code(MAPPED))
    assert result.code == 0, result.stderr
    folder = torch_library("libc10_cuda.so").parent.resolve()
    assert str(folder).startswith(str(SIMULATED.resolve()))
    mapped = [Path(line) for line in result.stdout.splitlines()]
    assert {path for path in mapped if path.name == "libc10_cuda.so"} == {folder / "libc10_cuda.so"}
    runtimes = {path for path in mapped if path.name != "libc10_cuda.so"}
    ours = {machine.simgpu / ("libcudart.so." + version) for version in ("11.0", "12", "13")}
    (name_only,) = runtimes - ours
    assert name_only.parent == folder
    symbols = subprocess.run(["nm", "-D", "--defined-only", name_only], check=True, capture_output=True, text=True)
    assert {line.split()[1] for line in symbols.stdout.splitlines()} <= {"A"}  # the version's name, and no code


def symbols_of_c10(library, option):
    command = ["nm", "-D", option, library]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return {tuple(line.split()[-2:]) for line in lines if "3c10" in line}


@built
@pytest.mark.parametrize("option", ["--defined-only", "--undefined-only"])
def test_it_has_the_names_of_the_wheels(option):
    ours = torch_library("libc10_cuda.so")
    wheels = SIMULATED.parent / ours.relative_to(SIMULATED)
    names = symbols_of_c10(ours, option)
    assert len(names) > 10 and names == symbols_of_c10(wheels, option)


def test_what_torch_cuda_asks_is_answered(machine):
    result = machine.run(machine.code(ASKS), SIMGPU_QUIET="0", SIMGPU_DEVICES="1GiB")
    assert (result.code, result.stdout) == (0, "True True False %d\n" % (1 << 30)), result.stderr
    assert TELLS not in result.stderr and "CUDA warning" not in result.stderr


@built
def test_torch_has_all_that_the_wheel_has():
    wheels = str(SIMULATED.parent / "bin" / "python")
    runtime = {"LD_LIBRARY_PATH": str(BUILD / "simgpu")}
    names = [
        subprocess.run([python, "-c", "import torch; print(sorted(dir(torch._C)))"], check=True, capture_output=True, env=runtime)
        for python in (TORCH_PYTHON, wheels)
    ]
    assert names[0].stdout == names[1].stdout and len(names[0].stdout) > 1000


@built
def test_what_else_has_nvidias_runtime_in_it_is_refused(machine):
    """As cuBLAS is: nobody answers for a driver that is none. In 1.13 this is what shares tensors between processes."""
    result = machine.run(machine.code(SHARES), SIMGPU_QUIET="0")
    assert result.stderr.count(TELLS) == 1
