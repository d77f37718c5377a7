"""VRAMGUARD_LIMIT: a large GPU is a small one, to the byte."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("limit_program.py")
PROGRAM = [sys.executable, str(SOURCE)]
# It cannot be imported here, where there is no driver.
WAYS = re.findall(r'^    "([\w-]+)": lambda', SOURCE.read_text(), re.M)
MIB = 1 << 20
SHARED = {"VRAMGUARD_LIMIT_SCOPE": "shared"}


def run(machine, *arguments, limit="64MiB", **extra):
    return machine.run([*PROGRAM, *arguments], guarded=True, VRAMGUARD_LIMIT=limit, **extra)


@pytest.mark.parametrize("scope", ["process", "shared"])
@pytest.mark.parametrize("name", WAYS)
def test_every_way_to_take_memory_is_limited(machine, name, scope):
    """What the limit refuses after the driver has given it would not fit beside the rest."""
    done = run(machine, "way", name, VRAMGUARD_LIMIT_SCOPE=scope, SIMGPU_DEVICES="172MiB")
    assert (done.code, done.own_stderr) == (0, "")


def test_all_ways_are_known():
    assert len(WAYS) == 17


def test_the_limit_is_shown(machine):
    done = run(machine, "told")
    assert done.code == 0, done.stderr
    limit = 64 * MIB
    for left, lines in ((64 * MIB, done.stdout.split("\n")[:6]), (54 * MIB, done.stdout.split("\n")[6:])):
        assert "\n".join(lines).strip() == (
            f"cuMemGetInfo_v2 {left} {limit}\n"
            f"cuMemGetInfo {left} {limit}\n"
            f"cuDeviceTotalMem_v2 {limit}\n"
            f"cuDeviceTotalMem {limit}\n"
            f"nvmlDeviceGetMemoryInfo {limit} {left} {limit - left}\n"
            f"nvmlDeviceGetMemoryInfo_v2 {limit} 0 {left} {limit - left}"
        )


@pytest.mark.parametrize("limit", ["1TiB", "100%", "1:1MiB", None])
def test_a_limit_that_is_none_shows_the_truth(machine, limit):
    """None at all, one of another device, one beyond the device's size."""
    bare = machine.run([*PROGRAM, "told"])
    done = run(machine, "told", limit=limit)
    assert bare.code == 0 and done.own == bare.own and done.guard_lines == []


def test_less_is_free_than_the_limit_leaves(machine):
    """Others hold the GPU: what they leave counts."""
    machine.neighbour("180MiB")
    done = run(machine, "show")
    free, total = map(int, re.search(r"cuMemGetInfo_v2 (\d+) (\d+)", done.stdout).groups())
    assert (free, total) == (12 * MIB, 64 * MIB)
    assert f"nvmlDeviceGetMemoryInfo {64 * MIB} {12 * MIB} {52 * MIB}" in done.stdout


def test_shares_and_single_devices(machine):
    devices = {"SIMGPU_DEVICES": "256MiB,512MiB"}
    done = run(machine, "show", limit="25%", **devices)
    assert f"cuDeviceTotalMem_v2 {64 * MIB}\n" in done.stdout
    done = run(machine, "show", limit="0:32MiB,1:25%", **devices)
    assert f"cuDeviceTotalMem_v2 {32 * MIB}\n" in done.stdout
    done = run(machine, "show", limit="0:32MiB,1:25%", CUDA_VISIBLE_DEVICES="1", **devices)
    assert f"cuDeviceTotalMem_v2 {32 * MIB}\n" in done.stdout
    # NVML numbers all devices: the limited one is its second.
    assert f"nvmlDeviceGetMemoryInfo {256 * MIB}" in done.stdout


def test_a_wrong_limit_is_told_and_not_used(machine):
    done = run(machine, "show", limit="64MiB,1:50%")
    assert done.code == 0 and f"cuDeviceTotalMem_v2 {256 * MIB}\n" in done.stdout
    assert done.guard_lines == [
        'vramguard: VRAMGUARD_LIMIT="64MiB,1:50%": no "GPU:" before the amount at 1 '
        "(SIZE or N%, or GPU:SIZE,GPU:N%,...); not used"
    ]


def test_switched_off_there_is_no_limit(machine):
    bare = machine.run([*PROGRAM, "told"])
    assert run(machine, "told", VRAMGUARD="off").own == bare.own


@pytest.mark.parametrize("scope", ["process", "shared"])
@pytest.mark.parametrize("seed", range(3))
def test_nothing_stays_charged(machine, seed, scope):
    done = run(machine, "drift", str(seed), VRAMGUARD_LIMIT_SCOPE=scope)
    assert (done.code, done.own_stderr) == (0, "")


# ---- the report ----


@pytest.fixture
def failed(machine, load_model):
    """The small model of 17 MiB under a limit of 8."""
    return machine.run(load_model, guarded=True, VRAMGUARD_LIMIT="8MiB")


def test_the_program_gets_its_own_error(machine, load_model, failed):
    assert failed.code == 1
    assert "CUDA out of memory. Tried to allocate" in failed.own_stderr
    assert "(cudaMalloc: out of memory (cudaErrorMemoryAllocation))" in failed.own_stderr


def test_the_report_names_the_limit(machine, failed):
    first = failed.guard_lines[0]
    assert re.fullmatch(
        r"vramguard: GPU 0 out of memory: run_model.py asked .+; .+ of the 8\.00 MiB that "
        r"VRAMGUARD_LIMIT allows is free",
        first,
    ), first
    text = " ".join(failed.guard_text.split())
    assert "why VRAMGUARD_LIMIT allows this process 8.00 MiB of this GPU" in text
    assert "do raise or unset VRAMGUARD_LIMIT" in text
    whole = " ".join(machine.vramguard("report").stdout.split())
    assert "(VRAMGUARD_LIMIT allows 8.00 MiB of it, of which" in whole


def test_a_failure_of_the_driver_is_not_the_limits(machine):
    machine.neighbour("180MiB")
    done = run(machine, "hold", "20")
    assert re.fullmatch(r"vramguard: .* of 256 MiB is free", done.guard_lines[0]), done.guard_lines[0]
    assert "raise or unset" not in done.guard_text


# ---- trees of processes ----


def test_each_process_has_its_own_account(machine):
    done = run(machine, "fork_beside", "40")
    assert done.stdout == "64 0 24\n64 0 24\n24\n"


def test_a_forked_tree_shares_its_account(machine):
    done = run(machine, "fork_before", "40", **SHARED)
    assert done.stdout == "64 0 24\n64 0 24\n64 0 24\n", done.stderr
    done = run(machine, "fork_beside", "40", **SHARED)
    assert done.stdout == "64 0 24\n24 2 24\n64\n", done.stderr


def test_exec_begins_anew(machine):
    for scope in ("process", "shared"):
        done = run(machine, "exec_again", "40", VRAMGUARD_LIMIT_SCOPE=scope)
        assert done.stdout == "64 0 24\n" * 2, done.stderr


def test_a_started_tree_shares_its_account(machine):
    """A shell starts two programs; another shell is another tree."""
    script = '"$@" hold_and_wait 40 <&3 & sleep 1; "$@" hold 40; exec 3<&-'
    command = ["sh", "-c", "exec 3<&0; " + script, "sh", *PROGRAM]
    first = machine.start(command, True, stdin=subprocess.PIPE, VRAMGUARD_LIMIT="64MiB", **SHARED)
    lines = [first.stdout.readline() for _ in range(2)]
    second = run(machine, "hold", "40", **SHARED)
    done = machine.finish(first)
    assert lines == ["64 0 24\n", "24 2 24\n"], done.stderr
    assert second.stdout == "64 0 24\n"


def racers(machine, count, **extra):
    """Processes of one shell, at the line."""
    script = 'for i in $(seq %d); do "$@" <&3 & done; wait' % count
    command = ["sh", "-c", "exec 3<&0; " + script, "sh", *PROGRAM, "race", "65536", "go"]
    return machine.start(command, True, stdin=subprocess.PIPE, **extra)


@pytest.mark.parametrize("count", [2, 6])
def test_processes_that_race_for_the_last_byte(machine, count):
    race = racers(machine, count, VRAMGUARD_LIMIT="8000001B", SIMGPU_CONTEXT="8MiB", **SHARED)
    assert [race.stdout.readline() for _ in range(count)] == ["ready\n"] * count
    (machine.folder / "go").touch()
    got = [int(race.stdout.readline()) for _ in range(count)]
    done = machine.finish(race)
    assert sum(got) == 8000001 // 65536 * 65536, (got, done.stderr)


def test_a_killed_process_is_charged_nothing(machine):
    for _ in range(5):
        script = '"$@" hold_and_wait 40 <&3 & read go; kill -9 $!; wait $!; "$@" hold 40'
        command = ["sh", "-c", "exec 3<&0; " + script, "sh", *PROGRAM]
        tree = machine.start(command, True, stdin=subprocess.PIPE, VRAMGUARD_LIMIT="64MiB", **SHARED)
        assert tree.stdout.readline() == "64 0 24\n"
        tree.stdin.write("go\n")
        tree.stdin.flush()
        assert machine.finish(tree).stdout == "64 0 24\n"


# ---- linked programs ----

LINKED = r"""
#include <dlfcn.h>
#include <stdio.h>
int cuInit(unsigned), cuCtxCreate_v2(void **, unsigned, int), cuDeviceTotalMem_v2(size_t *, int);
int cuMemGetInfo_v2(size_t *, size_t *), nvmlInit_v2(void);
int nvmlDeviceGetHandleByIndex_v2(unsigned, void **);
int nvmlDeviceGetMemoryInfo(void *, unsigned long long *);
int main(void)
{
    void *context, *device;
    size_t free_bytes, total;
    unsigned long long memory[3];
    int (*found)(void *, unsigned long long *);
    if (nvmlInit_v2() || nvmlDeviceGetHandleByIndex_v2(0, &device) ||
        nvmlDeviceGetMemoryInfo(device, memory))
        return 1;
    printf("%llu ", memory[0]);
    if (cuInit(0) || cuCtxCreate_v2(&context, 0, 0) || cuMemGetInfo_v2(&free_bytes, &total) ||
        nvmlDeviceGetMemoryInfo(device, memory))
        return 2;
    *(void **)&found = dlsym(RTLD_DEFAULT, "nvmlDeviceGetMemoryInfo");
    printf("%zu %llu %d", total, memory[0], found == nvmlDeviceGetMemoryInfo);
    return 0;
}
"""


def test_a_linked_program(machine):
    """NVML tells the truth before CUDA is initialised: no CUDA, no limit."""
    source, program = machine.folder / "linked.c", machine.folder / "linked"
    source.write_text(LINKED)
    libraries = [machine.simgpu / "libcuda.so.1", machine.simgpu / "libnvidia-ml.so.1"]
    subprocess.run(["gcc", source, *libraries, "-ldl", "-o", program], check=True)
    bare = machine.run([program])
    assert bare.stdout == f"{256 * MIB} {256 * MIB} {256 * MIB} 1"
    assert machine.run([program], guarded=True).own == bare.own
    limited = machine.run([program], guarded=True, VRAMGUARD_LIMIT="64MiB")
    assert limited.stdout == f"{256 * MIB} {64 * MIB} {64 * MIB} 1"


NVML_ONLY = """
import ctypes
nvml, handle, memory = ctypes.CDLL("libnvidia-ml.so.1"), ctypes.c_void_p(), (ctypes.c_uint64 * 3)()
assert nvml.nvmlInit_v2() == 0
assert nvml.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(handle)) == 0
assert nvml.nvmlDeviceGetMemoryInfo(handle, memory) == 0
print(*memory)
"""


def test_a_program_that_uses_nvml_alone_is_left_alone(machine):
    """Not even a wrong option is told, and nothing is recorded."""
    command = [sys.executable, "-c", NVML_ONLY]
    bare = machine.run(command)
    done = machine.run(command, guarded=True, VRAMGUARD_LIMIT="nonsense", VRAMGUARD_KEEP="x")
    assert bare.code == 0 and done.own == bare.own and done.guard_lines == []
    assert not machine.state.exists()
