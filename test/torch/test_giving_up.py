"""A failure is PyTorch's when PyTorch gives up, and not before: one report for each, none for what it survives
by itself, and its own limits are among the reasons."""

import re

import pytest
from conftest import REAL_GPU, embeds_its_runtime

pytestmark = pytest.mark.skipif(
    not REAL_GPU and embeds_its_runtime(), reason="NVIDIA's runtime is in this PyTorch's allocator"
)
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
    return machine.run(
        machine.program("giving_up", *arguments),
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


@pytest.mark.parametrize("settings", ["segments", "expandable"])
def test_an_amount_is_that_of_the_whole_request(machine, settings):
    """An expandable segment fails at a piece of 20 MiB."""
    code = "import torch\na = torch.empty(5, device='cuda')\ntorch.empty(3 << 30, dtype=torch.int8, device='cuda')\n"
    result = machine.run(
        machine.code(code), True, SIMGPU_DEVICES="2GiB", VRAMGUARD_POLICY="off", **SETTINGS[settings]
    )
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
    assert machine.run(machine.code(code), True, **extra).code == 1
    assert says in " ".join(machine.vramguard("report", str(path)).stdout.split())
