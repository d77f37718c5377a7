"""What refuses memory though the GPU has it is named: the host, MPS, another library; and a GPU is
named as it can be typed."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from actors import Actor, flat

HERE = Path(__file__).parent
PROGRAM = [sys.executable, str(HERE / "outer_program.py")]
FAIL = {"SIMGPU_FAIL": "cuMemAlloc:*,cuMemHostAlloc:*"}


def section(result, name):
    """The words of the section `why` or `do` of the only report."""
    text = re.search(rf"\n  {name} +(.*?)\n  (?! )", result.guard_text, re.DOTALL)
    assert text, result.stderr
    return flat(text.group(1))


def run(machine, *arguments, **extra):
    bare, guarded = machine.both([*PROGRAM, *arguments], **{**FAIL, **extra})
    assert guarded.own == bare.own and guarded.stdout == "2\n"
    return guarded


def test_a_limit_of_mps(machine):
    guarded = run(machine, "alloc", "40", CUDA_MPS_PINNED_DEVICE_MEM_LIMIT="1=1G,0=64M")
    assert "CUDA_MPS_PINNED_DEVICE_MEM_LIMIT=1=1G,0=64M allows this process 64.0 MiB" in section(
        guarded, "why"
    )


@pytest.mark.parametrize("text", ["0=200M", "1=1M", "0=64"])
def test_a_limit_of_mps_that_is_not_met(machine, text):
    guarded = run(machine, "alloc", "40", CUDA_MPS_PINNED_DEVICE_MEM_LIMIT=text)
    assert "allows this process" not in section(guarded, "why")


def test_address_space(machine):
    """Much more than the program needs, and less than it asks for."""
    limit = f"ulimit -v {64 << 20}; exec \"$@\""
    command = ["bash", "-c", limit, "-", *PROGRAM, "alloc", str(128 << 10)]
    guarded = machine.run(command, guarded=True, SIMGPU_DEVICES="256GiB", **FAIL)
    assert guarded.stdout == "2\n", guarded.stderr
    assert "`ulimit -v` allows the process 64.00 GiB" in section(guarded, "why")


def test_host_memory_blames_no_neighbour(machine):
    neighbour = machine.neighbour("100MiB")
    guarded = run(machine, "host", str(1 << 20), VRAMGUARD_POLICY="trim,wait=1s")
    why, do = section(guarded, "why"), section(guarded, "do")
    assert "takes memory of the host, not of the GPU" in why
    assert re.search(r"leaves|available\.", why)
    assert str(neighbour.pid) not in why + do and "wait" not in do
    assert "tried" not in guarded.guard_text


def test_addresses_are_no_memory(machine):
    neighbour = machine.neighbour("100MiB")
    guarded = run(machine, "reserve", "64", SIMGPU_FAIL="cuMemAddressReserve:*", VRAMGUARD_POLICY="trim,wait=1s")
    why, do = section(guarded, "why"), section(guarded, "do")
    assert "takes addresses and no memory of the GPU" in why
    assert str(neighbour.pid) not in why + do and "free some that are reserved" in do
    assert "tried" not in guarded.guard_text


def test_another_library_may_have_refused(machine, tmp_path):
    source = tmp_path / "refuse.c"
    source.write_text(
        "int cuMemAlloc_v2(unsigned long long *p, unsigned long n) { return 2; }\n"
        "void *dlvsym(void *, const char *, const char *);\n"
        "int strcmp(const char *, const char *);\n"
        "void *dlsym(void *h, const char *n) {\n"
        "    static void *(*next)(void *, const char *);\n"
        '    if (!next) next = dlvsym((void *)-1L, "dlsym", "GLIBC_2.34");\n'
        '    if (!strcmp(n, "cuMemAlloc_v2")) return (void *)cuMemAlloc_v2;\n'
        "    return next(h, n);\n"
        "}\n"
    )
    library = tmp_path / "librefuse.so"
    subprocess.run(["cc", "-w", "-shared", "-fPIC", source, "-o", library], check=True)
    guarded = machine.run(
        [*PROGRAM, "alloc", "40"], guarded=True, LD_PRELOAD=f"{machine.preload}:{library}"
    )
    assert guarded.stdout == "2\n", guarded.stderr
    assert "librefuse.so, which is preloaded too" in section(guarded, "why")


@pytest.mark.parametrize("visible", ["2", "2,0", "2,1,0", "2,0,1", None])
def test_the_free_gpu_can_be_typed(machine, visible):
    machine.settings = {"SIMGPU_DEVICES": "200MiB,300MiB,200MiB"}
    first = 2 if visible else 0
    holders = [Actor(machine, gpu=gpu, guarded=False) for gpu in {first, 0}]
    for holder in holders:
        holder.holding(100)
    guarded = run(machine, "alloc", "120", CUDA_VISIBLE_DEVICES=visible, SIMGPU_FAIL=None,
                  **machine.settings)
    value = re.search(r"CUDA_VISIBLE_DEVICES=([\w-]+)", section(guarded, "do")).group(1)
    then = machine.run([*PROGRAM, "alloc", "240"], CUDA_VISIBLE_DEVICES=value, **machine.settings)
    assert then.stdout == "0\n", guarded.stderr
    for holder in holders:
        holder.end()
