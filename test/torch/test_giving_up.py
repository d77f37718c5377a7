"""A failure is PyTorch's when PyTorch gives up, and not before: one report for each, none for what it survives
by itself, and its own limits are among the reasons."""

import re
from pathlib import Path

import pytest
from conftest import needs_cuda, skip_what_is_lacking

pytestmark = needs_cuda()
FAILURES = 12
EXPANDABLE = {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"}
SETTINGS = {
    "segments": {},
    "lines": {"VRAMGUARD_TENSORS": "lines"},
    "expandable": EXPANDABLE,
    "split": {"PYTORCH_CUDA_ALLOC_CONF": "max_split_size_mb:32"},
    "collected": {"PYTORCH_CUDA_ALLOC_CONF": "garbage_collection_threshold:0.6"},
}


def run(machine, *arguments, **extra):
    return run_command(machine, machine.program("giving_up", *arguments), **extra)


def run_code(machine, code, **extra):
    """`code` finds the modules beside the programs."""
    path = "import sys; sys.path.insert(0, %r)\n" % str(Path(__file__).parent / "programs")
    return run_command(machine, machine.code(path + code), **extra)


def run_command(machine, command, **extra):
    return machine.run(
        command,
        True,
        VRAMGUARD_LOG=str(machine.folder / "own.vgr"),
        VRAMGUARD_POLICY="trim",
        SIMGPU_DEVICES="2GiB",
        **extra,
    )


def headlines(result):
    return [line for line in result.guard_lines if re.match("vramguard: GPU 0 (out of memory|refused)", line)]


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("fraction", [(), (0.5,)], ids=["driver", "fraction"])
def test_one_failure_for_each_time_that_pytorch_gives_up(machine, settings, fraction):
    for seed in (1, 2):
        result = run(machine, seed, FAILURES, *fraction, **SETTINGS[settings])
        skip_what_is_lacking(result)
        assert result.code == 0, result.stderr
        gave_up, recorded = result.stdout.splitlines()
        assert gave_up.startswith("gave up %d %d" % (FAILURES, FAILURES))
        assert recorded == "recorded %d %d" % (FAILURES, FAILURES), result.stderr


@pytest.mark.parametrize("tensors", ["full", "lines"])
def test_pytorchs_own_limit_is_told(machine, tensors):
    result = run(machine, 3, 1, 0.3, VRAMGUARD_TENSORS=tensors)
    (headline,) = headlines(result)
    assert headline.startswith("vramguard: GPU 0 refused by PyTorch's own limit: "), headline
    text = " ".join(result.stderr.split())
    assert "set_per_process_memory_fraction" in text and "giving_up.py" in text


def test_a_failure_that_pytorch_survives_is_none(machine):
    """What it has cached comes free when it empties its cache and asks again."""
    code = (
        "import torch\n"
        "a = [torch.empty(200 << 20, dtype=torch.int8, device='cuda') for _ in range(7)]\n"
        "del a\n"
        "b = torch.empty(900 << 20, dtype=torch.int8, device='cuda')\n"
        "print(torch.cuda.memory_stats()['num_alloc_retries'])\n"
    )
    result = machine.run(machine.code(code), True, SIMGPU_DEVICES="2GiB")
    assert (result.stdout, result.guard_lines) == ("1\n", [])


def test_a_third_attempt_is_the_same_failure(machine):
    """With max_split_size_mb PyTorch first frees blocks that are large enough and asks again, then all that it has
    cached, and asks once more. What is tried at the second attempt is not tried at the third."""
    code = (
        "import torch, run_file\n"
        "a = torch.empty(200 << 20, dtype=torch.int8, device='cuda'); del a\n"
        "b = torch.empty(5, device='cuda')\n"
        "try: torch.empty(150 << 20, dtype=torch.int8, device='cuda')\n"
        "except torch.cuda.OutOfMemoryError: print('gave up')\n"
        "file = run_file.own()\n"
        "print(file.start.failure_count, file.devices[0].failed_count)\n"
    )
    result = run_code(machine, code, SIMGPU_FAIL="cuMemAlloc:3+", **SETTINGS["split"])
    assert result.stdout == "gave up\n1 3\n", result.stdout + result.stderr
    assert len(headlines(result)) == 1
    report = " ".join(machine.vramguard("report", str(machine.folder / "own.vgr")).stdout.split())
    assert report.count("enough is free, so the call was repeated") == 1, report
    assert report.count("PyTorch emptied its cache and asked again") == 2, report


# As 1.13 is: told where PyTorch gives up, with its mutex held and without the GIL.
WITHOUT_OBSERVERS = (
    "import threading, torch\n"
    "torch._C.__dict__.pop('_cuda_attach_out_of_memory_observer', None)\n"
    "make = {'dtype': torch.int8, 'device': 'cuda'}\n"
)


@pytest.mark.parametrize("thread", ["main", "other"])
def test_variables_without_observers(machine, thread):
    code = (
        "kept = []\n"
        "def fail():\n"
        "    while True: kept.append(torch.empty(100 << 20, **make))\n"
    )
    code += "fail()\n" if thread == "main" else "threading.Thread(target=fail).start()\n"
    result = machine.run_to_failure(machine.code(WITHOUT_OBSERVERS + code), SIMGPU_DEVICES="2GiB")
    assert len(headlines(result)) == 1, result.stderr
    holders = result.guard_text.split("Which variables hold them\n")[1]
    assert re.match(r" +1\.66 GiB +17x  `kept` \(list of 17\b", holders), result.stderr


def test_the_gil_is_not_waited_for_long_without_observers(machine):
    """The main thread has it and waits for the mutex, to read the statistics. Then there is no census."""
    code = (
        "def fail():\n"
        "    try: torch.empty(1 << 40, **make)\n"
        "    except torch.cuda.OutOfMemoryError: print('gave up')\n"
        "torch.empty(5, **make)\n"
        "thread = threading.Thread(target=fail)\n"
        "thread.start()\n"
        "while thread.is_alive(): torch._C._cuda_memoryStats(0)\n"
    )
    result = machine.run(machine.code(WITHOUT_OBSERVERS + code), True, VRAMGUARD_POLICY="off")
    assert (result.code, result.stdout) == (0, "gave up\n"), result.stderr
    assert len(headlines(result)) == 1, result.stderr
    assert "What they are" not in result.guard_text


def test_workers_of_a_pool_fail_as_one(machine):
    """One report, which leads to the line of the program where the main thread is, in the report made later, too."""
    result = run_command(machine, machine.program("worker_pool"))
    assert result.code == 1
    assert len(headlines(result)) == 1, result.stderr
    later = machine.vramguard("report", str(machine.folder / "own.vgr")).stdout
    for text in (result.guard_text, later):
        where = text.split("\n  where ")[1].split("\n\n")[0]
        assert re.match(r" +worker_pool\.py:\d+ (load|<listcomp>) \(main thread\) > ", where), text
        assert "_bootstrap" not in where, text


@pytest.mark.parametrize("settings", ["segments", "expandable"])
def test_an_amount_is_that_of_the_whole_request(machine, settings):
    """An expandable segment fails at a piece of 20 MiB."""
    code = "import torch\na = torch.empty(5, device='cuda')\ntorch.empty(3 << 30, dtype=torch.int8, device='cuda')\n"
    result = machine.run(
        machine.code(code), True, SIMGPU_DEVICES="2GiB", VRAMGUARD_POLICY="off", **SETTINGS[settings]
    )
    skip_what_is_lacking(result)
    assert len(headlines(result)) == 1
    assert "asked 3.00 GiB" in headlines(result)[0]


def test_a_program_that_ends_with_it(machine):
    """The failure of a thread that does nothing more is told once, before its exception."""
    code = (
        "import threading, torch\n"
        "a = torch.empty(5, device='cuda')\n"
        "def fail(): torch.empty(1 << 40, dtype=torch.int8, device='cuda')\n"
        "t = threading.Thread(target=fail); t.start(); t.join()\n"
    )
    result = machine.run(machine.code(code), True, VRAMGUARD_POLICY="off")
    assert len(headlines(result)) == 1
    assert result.stderr.index("vramguard: ") < result.stderr.index("OutOfMemoryError")


@pytest.mark.parametrize(
    "extra, says",
    [
        ({}, "allocated 1000 MiB in 5 blocks, unused 0 B"),
        ({"VRAMGUARD_TENSORS": "off"}, "its tensors are not recorded: VRAMGUARD_TENSORS=off"),
        ({"PYTORCH_CUDA_ALLOC_CONF": "backend:cudaMallocAsync"}, "allocated 1000 MiB in 5 pieces (cudaMallocAsync"),
    ],
    ids=["told", "off", "async"],
)
def test_what_is_known_of_pytorchs_memory(machine, extra, says):
    code = (
        "import torch\n"
        "kept = [torch.empty(200 << 20, dtype=torch.int8, device='cuda') for _ in range(5)]\n"
        "torch.empty(900 << 20, dtype=torch.int8, device='cuda')\n"
    )
    path = machine.folder / "own.vgr"
    extra = {"VRAMGUARD_LOG": str(path), "VRAMGUARD_POLICY": "off", "SIMGPU_DEVICES": "2GiB", **extra}
    result = machine.run(machine.code(code), True, **extra)
    skip_what_is_lacking(result)
    assert result.code == 1
    assert says in " ".join(machine.vramguard("report", str(path)).stdout.split())
