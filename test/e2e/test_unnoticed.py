"""Where nothing is wrong, nobody can tell that the guard is there."""

import sys
from pathlib import Path

import pytest
from conftest import MODEL

MODES = """
import sys
sys.path.insert(0, {here!r})
import ctypes
from driver_calls import *
call("cuInit", 0)
current_primary_context()
stream, mode = ctypes.c_void_p(), ctypes.c_int()
call("cuStreamCreate", ctypes.byref(stream), 1)
call("cuStreamBeginCapture_v2", stream, 2)
for value in (1, 0, 2, 1, 1):
    mode.value = value
    call("cuThreadExchangeStreamCaptureMode", ctypes.byref(mode))
    print(mode.value)
"""


def test_enough_memory_gives_the_same_output(machine, load_model):
    bare, guarded = machine.both(load_model)
    assert bare.code == 0
    assert guarded.own == bare.own
    assert guarded.guard_lines == []


@pytest.mark.parametrize("value", ["off", "native", "python", "full"])
def test_stacks_option_changes_nothing_for_the_program(machine, load_model, value):
    bare = machine.run(load_model)
    guarded = machine.run(load_model, guarded=True, VRAMGUARD_STACKS=value)
    assert guarded.own == bare.own
    assert guarded.guard_lines == []


def test_off_is_silent_and_inert(machine, load_model):
    neighbour = machine.neighbour("180MiB")
    bare, guarded = machine.both(load_model, VRAMGUARD="off")
    assert neighbour.poll() is None
    assert bare.code == 1
    assert guarded.own == bare.own
    assert guarded.guard_lines == []
    assert not machine.state.exists()


def files_below(folder):
    return sorted(str(path) for path in folder.rglob("*"))


@pytest.mark.parametrize(
    "command",
    [
        ["/bin/true"],
        ["sh", "-c", "exit 3"],
        [sys.executable, "-c", "import ctypes; print(ctypes.CDLL(None).getpid() > 0)"],
    ],
    ids=["true", "sh", "python"],
)
def test_program_without_cuda_creates_nothing(machine, command):
    bare = machine.run(command)
    before = files_below(machine.folder)
    # Not even a wrong option is worth a line in a program that has nothing to do with us.
    guarded = machine.run(command, guarded=True, VRAMGUARD_STACKS="wrong")
    assert guarded.own == bare.own
    assert guarded.guard_lines == []
    assert files_below(machine.folder) == before


def test_program_that_only_asks_for_devices_works(machine):
    ask = [sys.executable, MODEL / "cuda_runtime.py"]
    bare, guarded = machine.both(ask)
    assert bare.code == 0
    assert guarded.own == bare.own


def test_machine_without_a_driver_gives_the_same_error(machine):
    machine.search_path = [machine.folder / "empty"]
    machine.search_path[0].mkdir()
    runtime = machine.search_path[0] / "libcudart.so.13"
    runtime.symlink_to(machine.simgpu / "libcudart.so.13")
    (machine.search_path[0] / "libcuda.so.1").write_text("not a library")
    ask = [sys.executable, MODEL / "cuda_runtime.py"]
    bare, guarded = machine.both(ask)
    assert bare.code == 1
    assert guarded.own == bare.own
    assert guarded.guard_lines == []


def test_modes_of_captures_are_the_programs(machine):
    bare, guarded = machine.both([sys.executable, "-c", MODES.format(here=str(Path(__file__).parent))])
    assert bare.stdout == "0\n1\n0\n2\n1\n"
    assert guarded.own == bare.own
    assert guarded.guard_lines == []
