"""An allocator plugged into PyTorch: its calls are the driver's, and the report says so."""

import re

import pytest
from conftest import BUILD, REAL_GPU, needs_cuda, skip_what_is_lacking

PLUG_IN = BUILD / "test" / "torch" / "plug_in.so"
SMALL = {"SIMGPU_DEVICES": "1GiB", "VRAMGUARD_POLICY": "off"}
pytestmark = [needs_cuda(), pytest.mark.skipif(REAL_GPU, reason="needs a GPU of a known size")]


def first_report(result):
    """The first report as one line of words."""
    return " ".join(result.guard_text.split("\n\n")[0].split())


def test_report_names_the_plug_in_and_the_line(machine):
    command = machine.program("plugged", PLUG_IN)
    bare, guarded = machine.run(command, **SMALL), machine.run(command, True, **SMALL)
    skip_what_is_lacking(bare)
    assert (bare.code, bare.stdout) == (guarded.code, guarded.stdout) == (0, bare.stdout)
    report = first_report(guarded)
    assert re.search(r"one place holds all of its 675 MiB: plugged\.py:\d+ <module> .* plugged\.py:\d+ step", report)
    assert "PyTorch allocates through plug_in.so, which was plugged into it" in report
    assert "PYTORCH_CUDA_ALLOC_CONF" not in report


def test_pytorchs_own_allocator_is_no_plug_in(machine):
    result = machine.run(machine.program("plugged"), True, **SMALL)
    assert result.code == 1 and "OutOfMemoryError" in result.stderr
    assert "plug" not in re.sub(r"plugged\.py|plugged", "", first_report(result))
