"""Injected failures: the program gets the driver's code, the driver is not asked, and the report
says who wanted it."""

import re
import sys
from pathlib import Path

import pytest

HERE = str(Path(__file__).parent)

# Allocates in each way there is; prints the codes and whether the output was touched.
EVERY_WAY = """
import ctypes, sys
sys.path.insert(0, {here!r})
from driver_calls import *
from driver_types import AllocationProp, Array2D, Array3D

MARK = 0x1234567812345678
call("cuInit", 0)
current_primary_context()
pool = ctypes.c_void_p()
call("cuDeviceGetDefaultMemPool", ctypes.byref(pool), 0)
size, u64 = ctypes.c_size_t, ctypes.c_uint64
properties = AllocationProp(type=1)
properties.location.type, properties.location.id = 1, 0
array = Array3D(ctypes.c_size_t)(width=64, height=64, depth=1, format=1, channels=1)
flat = Array2D(ctypes.c_size_t)(width=64, height=64, format=1, channels=1)
pitch = size(MARK)

def ways(out):
    yield "cuMemAlloc_v2", out, size(MIB)
    yield "cuMemAllocPitch_v2", out, ctypes.byref(pitch), size(1024), size(1024), 4
    yield "cuMemAllocManaged", out, size(MIB), 1
    yield "cuMemAllocAsync", out, size(MIB), None
    yield "cuMemAllocFromPoolAsync", out, size(MIB), pool, None
    yield "cuMemCreate", out, size(2 * MIB), ctypes.byref(properties), u64(0)
    yield "cuArray3DCreate_v2", out, ctypes.byref(array)
    yield "cuArrayCreate_v2", out, ctypes.byref(flat)
    yield "cuMipmappedArrayCreate", out, ctypes.byref(array), 1

out = u64(MARK)
for way in ways(ctypes.byref(out)):
    code = result(*way)
    print(way[0], code, "untouched" if out.value == MARK == pitch.value or
          code == 0 and out.value != MARK else "TOUCHED")
    out.value = pitch.value = MARK
"""

# Allocates `count` times the sizes given in MiB, frees what it got; prints a code a line.
LOOP = """
import sys
sys.path.insert(0, {here!r})
from driver_calls import *
call("cuInit", 0)
current_primary_context()
for word in sys.argv[1:]:
    code, address = allocate(int(word))
    print(code)
    if code == 0:
        call("cuMemFree_v2", address)
"""


def loop(*sizes):
    return [sys.executable, "-c", LOOP.format(here=HERE), *map(str, sizes)]


def codes(result):
    assert result.code == 0, result.stderr
    return [int(line) for line in result.stdout.split()]


def reported(result):
    """The numbers of the allocations that reports in full or in part are about."""
    return [int(number) for number in re.findall(r"allocation number (\d+)", result.guard_text)]


def test_every_way_to_allocate_can_be_made_to_fail(machine):
    program = [sys.executable, "-c", EVERY_WAY.format(here=HERE)]
    plain = machine.run(program, guarded=True)
    assert [line.split()[1] for line in plain.stdout.splitlines()] == ["0"] * 9, plain.stderr
    for number in range(1, 10):
        result = machine.run(program, guarded=True, VRAMGUARD_INJECT=str(number))
        lines = [line.split() for line in result.stdout.splitlines()]
        wanted = ["2" if n == number else "0" for n in range(1, 10)]
        assert [line[1] for line in lines] == wanted
        assert {line[2] for line in lines} == {"untouched"}
        assert lines[number - 1][0] in result.guard_text
        assert reported(result) == [number]


def test_the_driver_is_not_asked(machine):
    # The first call that reaches the driver fails there: were the injected one made, it would be it.
    settings = {"SIMGPU_FAIL": "cuMemAlloc:1=999", "VRAMGUARD_INJECT": "1"}
    assert codes(machine.run(loop(1, 1, 1), guarded=True, **settings)) == [2, 999, 0]


def test_the_report_says_so(machine):
    result = machine.run(loop(1 << 20, 1 << 20), guarded=True, VRAMGUARD_INJECT="2")
    assert codes(result) == [0, 2]
    assert result.guard_lines[0].startswith(
        "vramguard: GPU 0 out of memory, injected: python3 asked 1.00 MiB; "
    )
    why = re.search(r"\n  why +(.*?)\n  do ", result.guard_text, re.DOTALL).group(1)
    assert 'injected by VRAMGUARD_INJECT="2"' in why
    assert "unset VRAMGUARD_INJECT" in result.guard_text
    # The recorded run says the same.
    later = machine.vramguard("report")
    assert result.guard_lines[0] in later.stdout.splitlines()
    assert 'VRAMGUARD_INJECT="2"' in later.stdout


def test_rules(machine):
    def run(rule, *sizes):
        return codes(machine.run(loop(*sizes), guarded=True, VRAMGUARD_INJECT=rule))

    assert run("2", 1, 1, 1) == [0, 2, 0]
    assert run("2+", 1, 1, 1) == [0, 2, 2]
    assert run("2-3", 1, 1, 1, 1) == [0, 2, 2, 0]
    assert run(">1KiB", 1024, 1025, 1) == [0, 2, 0]
    assert run("1,4,>4096B", 1, 1, 1, 1, 5000, 1) == [2, 0, 0, 2, 2, 0]
    assert run("100%", 1, 1) == [2, 2]


def test_a_share_is_the_same_in_each_run(machine):
    sizes = [512] * 60
    first, second = (
        codes(machine.run(loop(*sizes), guarded=True, VRAMGUARD_INJECT="30%:7")) for _ in "ab"
    )
    other = codes(machine.run(loop(*sizes), guarded=True, VRAMGUARD_INJECT="30%:8"))
    assert first == second != other
    assert 5 < first.count(2) < 35


def test_calls_that_cannot_succeed_are_not_counted(machine):
    # Nothing asked for: the driver's own error, bare and guarded.
    assert codes(machine.run(loop(0, 1), guarded=True, VRAMGUARD_INJECT="1")) == [1, 2]


def test_nothing_is_tried_for_an_injected_failure(machine):
    result = machine.run(
        loop(1), guarded=True, VRAMGUARD_INJECT="1", VRAMGUARD_POLICY="trim"
    )
    assert codes(result) == [2]
    assert "tried" not in result.guard_text


def test_a_real_failure_counts_once_however_often_it_is_repeated(machine):
    # The first call fails in the driver, "again" repeats it: the second allocation is number 2.
    result = machine.run(
        loop(1, 1, 1),
        guarded=True,
        VRAMGUARD_INJECT="2",
        VRAMGUARD_POLICY="trim",
        SIMGPU_FAIL="cuMemAlloc:1-2",
    )
    assert codes(result) == [2, 2, 0]
    assert reported(result) == [2]  # of another cause than the first report's, so told in full
    told = [line for line in result.guard_lines if line.startswith("vramguard: ")]
    assert len(told) == 2 and "refused" in told[0] and "out of memory, injected" in told[1]


@pytest.mark.parametrize("text", ["0", "x", "1,,2", "200%", ">much"])
def test_what_is_no_rule_is_said_and_not_used(machine, text):
    result = machine.run(loop(1, 1), guarded=True, VRAMGUARD_INJECT=text)
    assert codes(result) == [0, 0]
    assert len(result.guard_lines) == 1
    why = '">much": not a size, for example 8GiB' if text == ">much" else "no rule"
    assert 'VRAMGUARD_INJECT="%s": %s' % (text, why) in result.guard_lines[0]
    assert "not used" in result.guard_lines[0]


FORKED = """
import os, sys
sys.path.insert(0, {here!r})
from driver_calls import *
if os.fork() == 0:
    call("cuInit", 0)
    current_primary_context()
    print("child", *(allocate(1)[0] for _ in range(3)), flush=True)
    os._exit(0)
os.wait()
call("cuInit", 0)
current_primary_context()
print("parent", *(allocate(1)[0] for _ in range(3)))
"""


def test_each_process_counts_its_own(machine):
    program = [sys.executable, "-c", FORKED.format(here=HERE)]
    result = machine.run(program, guarded=True, VRAMGUARD_INJECT="2")
    assert result.stdout == "child 0 2 0\nparent 0 2 0\n", result.stderr
