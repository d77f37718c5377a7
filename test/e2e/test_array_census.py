"""What a Python program without PyTorch is told of its arrays when it runs out of memory; the arrays
are classes of the same names as numba's (numba_arrays.py)."""

import json
import sys
from pathlib import Path

import pytest
from conftest import BUILD

PROGRAM = [sys.executable, str(Path(__file__).with_name("arrays_program.py"))]
LIBRARIES = BUILD / "test" / "e2e" / "own_cache"
CUPY = LIBRARIES / "cupy" / "cuda" / "memory.so"
MIB = 1 << 20


def arrays(machine, *arguments, **extra):
    """Of the only failure."""
    extra = {"VRAMGUARD_POLICY": "off", **extra}
    result = machine.run([*PROGRAM, *arguments], guarded=True, **extra)
    assert (result.code, result.own_stderr) == (0, "")
    (failure,) = json.loads(machine.vramguard("report", "--json").stdout)["failures"]
    return failure["arrays"]


def test_arrays_are_found(machine):
    found = arrays(machine, CUPY, 0)
    assert found["complete"] and found["numba"] == {"bytes": 60 * MIB, "blocks": 3}
    (history,) = found["variables"]
    assert (history["variable"], history["length"]) == ("history", 3)


def test_arrays_of_another_device_are_none(machine):
    assert arrays(machine, CUPY, 1) is None


def test_where_no_library_of_arrays_is_loaded_nothing_is_looked_for(machine):
    assert arrays(machine, LIBRARIES / "libplain.so", 0) is None


def test_who_wants_none_is_told_none(machine):
    for option in "lines", "off":
        assert arrays(machine, CUPY, 0, VRAMGUARD_TENSORS=option) is None
        for path in machine.records():
            path.unlink()


@pytest.mark.parametrize("part", ["host", "capturing"])
def test_where_no_array_is_the_reason_none_is_looked_for(machine, part):
    assert arrays(machine, CUPY, 0, part, SIMGPU_FAIL="cuMemHostAlloc:*") is None


def test_after_a_capture_they_are_looked_for(machine):
    assert arrays(machine, CUPY, 0, "captured")["complete"]


def test_an_injected_failure_has_no_arrays(machine):
    assert arrays(machine, CUPY, 0, VRAMGUARD_INJECT="1") is None


def test_below_pytorch_only_its_tensors_count(machine):
    """It tells of them itself, if it is one that tells."""
    (machine.folder / "cupy").mkdir()
    (machine.folder / "cupy" / "libc10_cuda.so").symlink_to(LIBRARIES / "libc10_cuda.so")
    assert arrays(machine, machine.folder / "cupy" / "libc10_cuda.so", 0, "below_pytorch") is None
