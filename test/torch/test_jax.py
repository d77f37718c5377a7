"""`vramguard run --simulate` with the real JAX and its plugin for GPUs: it finds the simulated GPUs and holds arrays there
without anything being set. It is in an environment of its own: JAX_PYTHON, or that of scripts/install-torch jax."""

import json
import re

import pytest
from conftest import MIB, PROGRAMS, other_python

PYTHON, pytestmark = other_python("jax")
# As a user's shell has it.
NOTHING_SET = dict(LD_PRELOAD=None, LD_LIBRARY_PATH=None, SIMGPU_DEVICES=None, SIMGPU_QUIET=None)
PLATFORM = {"XLA_PYTHON_CLIENT_ALLOCATOR": "platform"}


def run(machine, devices, *words, **extra):
    """Guarded it prints what it prints alone. Returns the guarded run."""
    command = ["run", "--simulate", devices, "--", PYTHON, PROGRAMS / "jax_arrays.py", *words]
    bare = machine.vramguard(*command, **NOTHING_SET, **extra, VRAMGUARD="off")
    guarded = machine.vramguard(*command, **NOTHING_SET, **extra)
    assert bare.code == guarded.code == 0, bare.stderr + guarded.stderr
    assert bare.stdout == guarded.stdout
    return guarded


def report(machine):
    return " ".join(machine.vramguard("report").stdout.split())


def key(text, name):
    """What stands under this key of the first screen, on one line."""
    (found,) = re.findall(r"^  %s +(\S.*(?:\n {11,12}\S.*)*)" % name, text, re.M)
    return " ".join(found.split())


def test_arrays_on_two_gpus(machine):
    """Its pool is shown as what it is. Nobody complains, and nobody speaks of NVIDIA's runtime."""
    result = run(machine, "1GiB,512MiB", "there", XLA_PYTHON_CLIENT_MEM_FRACTION=".25")
    total = sum(range(1 << 20))
    lines = ["gpu %d %d %d" % (index, 4 * MIB, total) for index in (0, 1)]
    assert result.stdout.splitlines() == lines
    assert result.stderr == ""
    told = report(machine)
    for index, size in enumerate(("256 MiB", "128 MiB")):
        assert "JAX held %s of GPU %d at the peak in 1 piece" % (size, index) in told, told
    assert "XLA_PYTHON_CLIENT_MEM_FRACTION sets how large the pool may become" in told


def test_its_pool_runs_out(machine):
    """No call of the driver fails: the report after the run says whose pool it was."""
    result = run(machine, "1GiB", "fill", "100", XLA_PYTHON_CLIENT_MEM_FRACTION=".5")
    assert re.fullmatch(r"RESOURCE_EXHAUSTED after \d\n", result.stdout)
    assert result.guard_lines == []
    told = report(machine)
    assert "JAX held 512 MiB of GPU 0 at the peak in 1 piece" in told and "a pool of its own" in told, told
    assert "JAX says RESOURCE_EXHAUSTED then" in told


def test_a_pool_that_does_not_fit(machine):
    result = run(machine, "1GiB", "there", XLA_PYTHON_CLIENT_MEM_FRACTION=".95")
    assert key(result.guard_text, "do").startswith("XLA_PYTHON_CLIENT_PREALLOCATE=false")
    assert "XLA_PYTHON_CLIENT_MEM_FRACTION=.50" in key(result.guard_text, "do")
    assert "wait: skipped: this library asks for less by itself" in " ".join(result.guard_text.split())


def test_the_gpu_runs_out_without_a_pool(machine):
    for _ in range(3):  # a busy machine may not give the census the time that it has
        result = run(machine, "1GiB", "fill", "100", **PLATFORM)
        (failure,) = json.loads(machine.vramguard("report", "--json").stdout)["failures"]
        if failure["arrays"]:
            break
    assert result.stdout == "RESOURCE_EXHAUSTED after 7\n"
    assert "`kept` (list of 7, jax_arrays.py:" in key(result.guard_text, "why")
    assert "jax.device_get(x)" in key(result.guard_text, "do")
    assert "jax_arrays.py" in key(result.guard_text, "where")
    assert "torch" not in result.guard_text.replace(str(PROGRAMS), "")
    assert failure["arrays"]["jax"]["bytes"] >= 700 * MIB


def test_what_cannot_work_is_said_once(machine):
    """cuDNN has NVIDIA's runtime in it, which refuses a simulated driver; JAX goes on without."""
    result = run(machine, "1GiB", "compiled", XLA_PYTHON_CLIENT_PREALLOCATE="false")
    assert result.stdout == "(64,)\n"
    lines = [line for line in result.stderr.splitlines() if line.startswith("simgpu: ")]
    assert len(lines) == 1 and "has NVIDIA's own CUDA runtime in it" in lines[0], result.stderr
