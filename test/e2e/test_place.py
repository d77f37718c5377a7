"""`vramguard run --gpu auto`: which GPU, what is reserved, and what is said."""

import re
import sys
import time

from conftest import BUILD

# Prints how much its GPU 0 has, takes so many MiB of it, and keeps them for a while. A third argument
# is how long it takes before it uses CUDA.
PROGRAM = r"""
import ctypes, sys, time
time.sleep(float(sys.argv[3]) if len(sys.argv) > 3 else 0)
driver, context = ctypes.CDLL("libcuda.so.1"), ctypes.c_void_p()
assert driver.cuInit(0) == 0
assert driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0) == 0
assert driver.cuCtxSetCurrent(context) == 0
free, total, address = ctypes.c_size_t(), ctypes.c_size_t(), ctypes.c_uint64()
driver.cuMemGetInfo_v2(ctypes.byref(free), ctypes.byref(total))
result = driver.cuMemAlloc_v2(ctypes.byref(address), ctypes.c_size_t(int(sys.argv[1]) << 20))
print(total.value >> 20, result, flush=True)
time.sleep(float(sys.argv[2]))
"""

CHOSEN = re.compile(
    r"vramguard: GPU (\d) of (\d) \(SimGPU, (GPU-[0-9a-f-]{36})\) has the most free memory: "
    r"([0-9.]+ [MG]iB); CUDA_VISIBLE_DEVICES=\3"
)


def start(machine, *arguments, devices="128MiB,256MiB", **extra):
    command = [BUILD / "vramguard", "run", "--gpu", "auto", "--", sys.executable, "-c", PROGRAM]
    return machine.start([*command, *map(str, arguments)], SIMGPU_DEVICES=devices, **extra)


def chosen(result):
    lines = [line for line in result.stderr.splitlines() if CHOSEN.fullmatch(line)]
    assert len(lines) == 1, result.stderr
    return int(CHOSEN.fullmatch(lines[0]).group(1))


def test_the_gpu_with_the_most_free_memory(machine):
    result = machine.finish(start(machine, 1, 0))
    assert (result.code, result.stdout) == (0, "256 0\n")
    assert chosen(result) == 1


def test_what_others_hold_counts(machine):
    neighbour = machine.start(
        [sys.executable, "-c", PROGRAM, "180", "30"],
        SIMGPU_DEVICES="128MiB,256MiB",
        CUDA_VISIBLE_DEVICES="1",
    )
    assert neighbour.stdout.readline() == "256 0\n"
    result = machine.finish(start(machine, 1, 0))
    assert result.stdout == "128 0\n"
    assert chosen(result) == 0
    machine.kill(neighbour)


def test_several_at_once_spread_out(machine):
    programs = [start(machine, 1, 0, 1, devices="256MiB,256MiB,256MiB") for _ in range(3)]
    results = [machine.finish(program) for program in programs]
    assert sorted(map(chosen, results)) == [0, 1, 2]


def test_one_that_has_not_begun_counts_as_one_more(machine):
    """The larger GPU is expected to be shared; a promise alone would leave it the larger one."""
    first = start(machine, 1, 0, 2, devices="3GiB,4GiB")
    assert " GPU 1 of 2 " in first.stderr.readline()
    second = machine.finish(start(machine, 1, 0, devices="3GiB,4GiB"))
    assert second.stdout == "3072 0\n" and chosen(second) == 0
    assert machine.finish(first).code == 0


def test_only_visible_gpus(machine):
    both = machine.finish(start(machine, 1, 0, CUDA_VISIBLE_DEVICES="0,1"))
    assert both.stdout == "256 0\n"
    result = machine.finish(start(machine, 1, 0, CUDA_VISIBLE_DEVICES="0"))
    assert result.stdout == "128 0\n"
    assert "GPU 0 of 1" in result.stderr


def test_no_gpu_is_one_line(machine):
    result = machine.finish(start(machine, 1, 0, CUDA_VISIBLE_DEVICES=""))
    assert result.code == 125
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1 and "CUDA shows no GPU here" in result.stderr


def test_a_need_is_reserved_until_the_end(machine):
    """The second program needs more than the first one's promise leaves on the larger GPU."""
    first = start(machine, 1, 2, VRAMGUARD_NEED="150MiB")
    assert first.stdout.readline() == "256 0\n"
    second = machine.finish(start(machine, 1, 0, VRAMGUARD_NEED="90MiB"))
    assert second.stdout == "128 0\n"
    assert chosen(second) == 0
    assert machine.finish(first).code == 0


def test_a_killed_program_holds_no_promise(machine):
    first = start(machine, 1, 60, VRAMGUARD_NEED="200MiB")
    assert first.stdout.readline() == "256 0\n"
    machine.kill(first)
    result = machine.finish(start(machine, 1, 0))
    assert result.stdout == "256 0\n"


def test_a_need_that_fits_nowhere_now_is_said(machine):
    neighbour = machine.start([sys.executable, "-c", PROGRAM, "180", "2"], SIMGPU_DEVICES="256MiB")
    assert neighbour.stdout.readline() == "256 0\n"
    begun = time.monotonic()
    result = machine.finish(start(machine, 1, 0, devices="256MiB", VRAMGUARD_NEED="200MiB"))
    assert result.code == 0 and time.monotonic() - begun > 1
    assert "no GPU has 200 MiB free now (VRAMGUARD_NEED): the program waits for it" in result.stderr
    machine.finish(neighbour)


def test_wrong_values_are_one_line(machine):
    result = machine.vramguard("run", "--gpu", "most", "--", "true")
    assert result.code == 2
    said = 'only "auto"; to choose GPU 0: CUDA_VISIBLE_DEVICES=0\n'
    assert result.stderr == 'vramguard run: --gpu="most": ' + said
