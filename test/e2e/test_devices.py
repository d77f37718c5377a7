"""Several GPUs, contexts that do not fit, pools: the report is about the right device."""

import sys
from pathlib import Path

import pytest
from conftest import MODEL, UUID_PROGRAM

HERE = str(Path(__file__).parent)
PRELUDE = f"import ctypes, sys; sys.path.insert(0, {HERE!r})\nfrom driver_calls import *\n"

TWO = dict(SIMGPU_DEVICES="256MiB,384MiB")

ASK_TOO_MUCH = PRELUDE + """
device = int(sys.argv[1])
call("cuInit", 0)
current_primary_context(device)
print(allocate(64 * MIB)[0], allocate(512 * MIB)[0])
"""

CONTEXT_DOES_NOT_FIT = PRELUDE + """
call("cuInit", 0)
context = ctypes.c_void_p()
print(result(sys.argv[1], *((ctypes.byref(context), 0, 0) if "Create" in sys.argv[1]
                            else (ctypes.byref(context), 0))))
"""

POOL_KEEPS = PRELUDE + """
call("cuInit", 0)
current_primary_context()
pool, address, stream = ctypes.c_void_p(), ctypes.c_uint64(), ctypes.c_void_p()
call("cuDeviceGetDefaultMemPool", ctypes.byref(pool), 0)
keep_all = ctypes.c_uint64(2**64 - 1)
call("cuMemPoolSetAttribute", pool, 4, ctypes.byref(keep_all))
call("cuMemAllocAsync", ctypes.byref(address), ctypes.c_size_t(150 * MIB), None)
call("cuMemFreeAsync", address, None)
call("cuStreamSynchronize", None)
print(allocate(150 * MIB)[0])
"""


def program(source, *arguments):
    return [sys.executable, "-c", source, *arguments]


@pytest.mark.parametrize("device, total", [(0, "256 MiB"), (1, "384 MiB")])
def test_report_is_about_the_current_device(machine, device, total):
    result = machine.run(program(ASK_TOO_MUCH, str(device)), guarded=True, **TWO)
    assert result.stdout == "0 2\n"
    first = result.guard_lines[0]
    assert first.startswith(f"vramguard: GPU {device} out of memory: python3 asked 512 MiB")
    assert first.endswith(f"of {total} is free")
    assert "64.0 MiB of this process: 1 live allocation" in result.guard_text


def test_report_that_a_program_writes_is_about_its_device(machine):
    source = PRELUDE + """
guard = ctypes.CDLL(None)
call("cuInit", 0)
print(guard.vramguard_write_report(1), flush=True)
current_primary_context(1)
allocate(64 * MIB)
print(guard.vramguard_write_report(1), flush=True)
"""
    lines = machine.run(program(source), guarded=True, **TWO).stdout.splitlines()
    assert lines[:2] == ["-19", "  64.0 MiB of this process on GPU 1: 1 live allocation, at the peak"]
    assert lines[-1] == "0"


@pytest.mark.parametrize("by", ["index", "uuid"])
def test_visible_devices_are_joined_with_nvml(machine, by):
    """CUDA's GPU 0 is NVML's 1: what others hold there is told, and what they hold elsewhere not."""
    visible = "1"
    if by == "uuid":
        visible = machine.run(program(UUID_PROGRAM), CUDA_VISIBLE_DEVICES="1", **TWO).stdout.strip()
        assert visible.startswith("GPU-")
    neighbours = []
    for device, size in (("0", "100MiB"), ("1", "120MiB")):
        command = [sys.executable, MODEL / "hold_memory.py", size]
        process = machine.start(command, stdin=-1, CUDA_VISIBLE_DEVICES=device, **TWO)
        assert process.stdout.readline().startswith("holding")
        neighbours.append(process)
    result = machine.run(program(ASK_TOO_MUCH, "0"), guarded=True, CUDA_VISIBLE_DEVICES=visible,
                         **TWO)
    assert result.guard_lines[0].endswith("of 384 MiB is free")
    assert f"pid {neighbours[1].pid}" in result.guard_text
    assert f"pid {neighbours[0].pid}" not in result.guard_text


def test_advice_names_a_gpu_with_room(machine):
    neighbour = machine.start([sys.executable, MODEL / "hold_memory.py", "170MiB"], stdin=-1, **TWO)
    assert neighbour.stdout.readline().startswith("holding")
    source = ASK_TOO_MUCH.replace("512", "100")
    result = machine.run(program(source, "0"), guarded=True, **TWO)
    assert "CUDA_VISIBLE_DEVICES=1" in result.guard_text


@pytest.mark.parametrize("name", ["cuDevicePrimaryCtxRetain", "cuCtxCreate_v2"])
def test_context_that_does_not_fit_is_reported(machine, name):
    """There is no context to ask then: NVML has the facts."""
    neighbour = machine.neighbour("216MiB")
    bare, guarded = machine.both(program(CONTEXT_DOES_NOT_FIT, name))
    assert bare.stdout == guarded.stdout == "2\n"
    assert bare.guard_lines == []
    assert guarded.guard_lines[0].startswith("vramguard: GPU 0 out of memory")
    assert "of 256 MiB" in guarded.guard_lines[0]
    assert f"pid {neighbour.pid}" in guarded.guard_text
    assert name in guarded.guard_text


def test_what_a_pool_keeps_is_told_and_trim_gives_it_back(machine):
    bare, guarded = machine.both(program(POOL_KEEPS))
    assert bare.stdout == guarded.stdout == "2\n"
    assert "kept in pools" in guarded.guard_text
    trimmed = machine.run(program(POOL_KEEPS), guarded=True, VRAMGUARD_POLICY="trim")
    assert trimmed.stdout == "0\n"
    assert trimmed.guard_lines == []


WATCHED = PRELUDE + """
call("cuInit", 0)
current_primary_context(1)
handle = ctypes.c_void_p()
arguments = {
    "cuStreamCreate": (ctypes.byref(handle), 0),
    "cuEventCreate": (ctypes.byref(handle), 0),
    "cuModuleLoadData": (ctypes.byref(handle), b"// .version 8.0"),
    "cuCtxSetLimit": (0, ctypes.c_size_t(1024)),
}
print(result(sys.argv[1], *arguments[sys.argv[1]]))
"""


@pytest.mark.parametrize("name", ["cuStreamCreate", "cuEventCreate", "cuModuleLoadData",
                                  "cuCtxSetLimit"])
def test_running_out_of_memory_anywhere_is_reported(machine, name):
    bare, guarded = machine.both(program(WATCHED, name), SIMGPU_FAIL=f"{name}:1=2", **TWO)
    assert bare.stdout == guarded.stdout == "2\n"
    assert guarded.own == bare.own
    assert guarded.guard_lines[0].startswith("vramguard: GPU 1 out of memory")
    assert name in guarded.guard_text
