"""What does not fit goes to host memory when the user asks for it, loudly and within bounds, and
the program works on as if it were on the GPU."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import MODEL

PROGRAM = Path(__file__).with_name("spill_program.py")
FIRST = re.compile(
    r"vramguard: GPU 0: (.+) \((\w+) at (.+)\) did not fit and went to host memory \(spill\): "
    r"the GPU reaches it over the bus, roughly 10 to 50 times slower than its own memory; "
    r"at most (.+) may go there \(VRAMGUARD_SPILL_CAP\)"
)
LAST = re.compile(
    r"vramguard: up to (.+) of this program's GPU memory were in host memory "
    r"\((\d+) allocations?\); what used them was slow"
)


def spill(machine, *command, **extra):
    extra = {"VRAMGUARD_POLICY": "spill", **extra}
    return machine.run([sys.executable, *command], guarded=True, **extra)


def part(machine, name, **extra):
    """Run one part of the program, which checks everything itself."""
    result = spill(machine, PROGRAM, name, **extra)
    assert (result.code, result.own_stderr) == (0, ""), result.stderr
    assert result.stdout.endswith("end of %s\n" % name)
    return result


def lines_that_match(pattern, result):
    return [match for match in map(pattern.fullmatch, result.guard_lines) if match]


@pytest.mark.parametrize(
    "name",
    ["attributes", "copies", "boxes", "array_copies", "memsets", "pitch", "virtual", "frees",
     "contexts", "runtime"],
)
def test_spilled_memory_is_used_like_device_memory(machine, name):
    result = part(machine, name)
    assert len(lines_that_match(FIRST, result)) == 1
    assert len(lines_that_match(LAST, result)) == 1
    assert "out of memory" not in result.guard_text


def test_memory_in_use_at_the_end_is_in_the_report(machine):
    result = part(machine, "boxes")
    assert re.search(
        r"Spilled +4.00 MiB of GPU memory in host memory, 1 allocation, of a cap of", result.stdout
    )


@pytest.mark.parametrize("name", ["attributes", "virtual", "contexts", "pitch", "runtime"])
def test_memory_that_is_gone_is_not(machine, name):
    assert "Spilled" not in part(machine, name).stdout


@pytest.mark.parametrize("name", ["ipc", "shareable", "special_virtual", "others", "managed"])
def test_what_cannot_be_spilled_fails_as_it_would(machine, name):
    result = part(machine, name, SIMGPU_FAIL="cuMemAllocManaged:*")
    assert " out of memory: " in result.guard_text
    assert "spill: " in result.guard_text  # the timeline says why not


def test_refused_export_of_spilled_memory_is_explained(machine):
    assert (
        "vramguard: cuIpcGetMemHandle failed with CUDA error 1: the memory was spilled to the "
        "host, and such memory cannot be shared with other processes"
    ) in part(machine, "ipc").guard_lines


def test_cap_is_exact(machine):
    result = part(machine, "cap", VRAMGUARD_SPILL_CAP="20MiB")
    text = " ".join(report_of_first(result).split())
    assert "spill: beyond VRAMGUARD_SPILL_CAP: 16.0 MiB of 20.0 MiB spilled already" in text
    spilled = "Spilled 16.0 MiB of GPU memory in host memory, 2 allocations, of a cap of 20.0 MiB"
    whole = machine.vramguard("report", "--failure", "1").stdout
    assert spilled in " ".join(whole.split())
    assert LAST.fullmatch(result.guard_lines[-1]).groups() == ("20.0 MiB", "4")


def report_of_first(result):
    lines = result.guard_lines
    start = next(i for i, line in enumerate(lines) if " out of memory: " in line)
    return "\n".join(lines[start:])


@pytest.mark.parametrize(
    "name, rule",
    [
        ("refused", "cuMemHostAlloc:1"),
        ("refused", "cuMemHostAlloc:1=801"),
        ("refused", "cuMemHostGetDevicePointer:1=801"),
        ("refused_virtual", "cuMemCreate:1-2"),
        ("refused_virtual", "cuMemCreate:2=801"),
        ("refused_virtual", "cuMemGetAllocationGranularity:1"),
    ],
)
def test_driver_that_refuses_leaves_no_trace(machine, name, rule):
    result = part(machine, name, SIMGPU_FAIL=rule, VRAMGUARD_SPILL_CAP="4MiB")
    assert len([line for line in result.guard_lines if " out of memory: " in line]) == 1


def test_driver_without_host_memory_for_mappings(machine):
    result = spill(machine, PROGRAM, "refused_virtual", SIMGPU_FAIL="cuDeviceGetAttribute:*=1")
    assert result.code == 1 and "nothing was lost" in result.own_stderr
    assert "this GPU does not map host memory" in " ".join(result.guard_text.split())


def test_without_spill_in_the_policy_nothing_is_spilled(machine):
    result = spill(machine, PROGRAM, "pitch", VRAMGUARD_POLICY="trim")
    assert result.code == 1
    assert "host memory (spill)" not in result.guard_text


@pytest.fixture(scope="module")
def bert_checkpoint(tmp_path_factory):
    """bert-large in half precision: 391 tensors, 640 MiB, a sparse file."""
    path = tmp_path_factory.mktemp("checkpoint") / "bert.safetensors"
    command = [sys.executable, MODEL / "make_checkpoint.py", "--dtype", "F16", path]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    yield path
    path.unlink()


def test_model_loads_on_a_gpu_that_is_too_small(machine, bert_checkpoint):
    command = [MODEL / "run_model.py", bert_checkpoint]
    bare = machine.run([sys.executable, *command], SIMGPU_DEVICES="512MiB")
    assert bare.code == 1 and "CUDA out of memory" in bare.own_stderr
    whole = machine.run([sys.executable, *command], SIMGPU_DEVICES="4GiB")
    result = spill(machine, *command, SIMGPU_DEVICES="512MiB", VRAMGUARD_POLICY="trim,spill")
    assert result.own == whole.own and whole.code == 0  # verified, checksum and all
    size, function, place, cap = lines_that_match(FIRST, result)[0].groups()
    assert function == "cuMemAlloc_v2"
    assert place.startswith("run_model.py:") and "cudaMalloc" in place
    assert int(LAST.fullmatch(result.guard_lines[-1]).group(2)) > 30
    listed = machine.vramguard("list").stdout
    assert re.search(r"exit 0, spilled \d+ MiB", listed), listed


def test_report_of_a_killed_program_shows_what_was_spilled(machine):
    script = (
        "import sys; sys.path.insert(0, %r)\n"
        "import os, signal\n"
        "from cuda_runtime import Runtime\n"
        "runtime = Runtime()\n"
        "for _ in range(6): runtime.malloc(64 << 20)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n" % str(MODEL)
    )
    assert spill(machine, "-c", script).code == -9
    report = " ".join(machine.vramguard("report").stdout.split())
    assert "192 MiB on GPU 0 (SimGPU) when it was killed" in report
    assert (
        "192 MiB pinned host memory, 192 MiB of it in place of GPU memory (spilled), when it was "
        "killed" in report
    )
    assert "killed, 192 MiB live, spilled 192 MiB" in machine.vramguard("list").stdout


def test_wrong_cap_is_one_line(machine):
    result = part(machine, "pitch", VRAMGUARD_SPILL_CAP="5GB of it")
    assert result.guard_lines[0] == (
        'vramguard: VRAMGUARD_SPILL_CAP="5GB of it": not a size, for example 8GiB (SIZE, or N% of '
        "the host's memory); using the default \"25%\""
    )
