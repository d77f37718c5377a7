"""What the report says of real PyTorch, and of models that transformers loads."""

import re
import subprocess

import pytest
from conftest import REAL_GPU
from test_basics import ALLOCATORS
from test_out_of_memory import TOO_LITTLE

# The GPU of those that need one of a known size.
ROOM = "2000MiB"
simulated = pytest.mark.skipif(REAL_GPU, reason="needs a GPU of a known size")


def parts(text):
    """A report's keys, each with its text on one line: {"why": ..., "PyTorch": ...}."""
    found = re.findall(r"^  (\w+) +(\S.*(?:\n {11,12}\S.*)*)", text, re.M)
    return {key: " ".join(text.split()) for key, text in found}


def mib(text):
    number, unit = text.split()
    return float(number) * {"MiB": 1, "GiB": 1024}[unit]


HELD = """
import torch
kept = [torch.empty(100 << 20, dtype=torch.uint8, device="cuda") for _ in range(6)]
try:
    torch.empty(1 << 50, dtype=torch.uint8, device="cuda")
except torch.cuda.OutOfMemoryError:
    print(torch.cuda.memory_reserved() >> 20, torch.cuda.memory_allocated() >> 20)
"""

TEXT = {
    "native": r"reserved (\S+ MiB) in 6 segments \(native allocator; expandable_segments off; "
    r"PYTORCH_CUDA_ALLOC_CONF not set\); allocated 600 MiB in 6 blocks, unused 0 B",
    "expandable_segments": r"reserved (\S+ \wiB) in \d+ pieces \(expandable segments; "
    r"PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True\); allocated 600 MiB in 6 blocks, unused 0 B",
    "cudaMallocAsync": r"allocated (\S+ MiB) in 6 pieces \(cudaMallocAsync; "
    # Since 2.14 this one empties its pool, too, and asks again.
    r"PYTORCH_CUDA_ALLOC_CONF=backend:cudaMallocAsync\)(?:; its flush gave back 0 B)?",
}


@pytest.mark.parametrize("allocator", ALLOCATORS)
def test_what_pytorch_holds_is_what_pytorch_says(machine, allocator):
    result = machine.run(machine.code(HELD), True, VRAMGUARD_POLICY="off", **ALLOCATORS[allocator])
    assert result.code == 0, result.stderr
    reserved, allocated = map(int, result.stdout.split())
    said = parts(machine.vramguard("report").stdout)["PyTorch"]
    found = re.fullmatch(TEXT[allocator], said)
    assert found, said
    assert mib(found.group(1)) == (allocated if allocator == "cudaMallocAsync" else reserved) == 600


def test_flagship_names_the_smaller_type_and_it_helps(machine, bert_large):
    machine.neighbour("--leave", TOO_LITTLE)
    result = machine.run(machine.program("run_bert", bert_large), True, VRAMGUARD_POLICY="off")
    assert ("or load model.safetensors with dtype=torch.float16, which takes 639 MiB instead of "
            "1.25 GiB") in parts(result.guard_text)["do"]
    code = LOAD.format(folder=str(bert_large), dtype="torch.float16", device_map="None")
    result = machine.run(machine.code(code), True, VRAMGUARD_POLICY="off")
    assert result.code == 0 and result.guard_lines == [], result.stderr


LOAD = """
import torch
from transformers import AutoModelForSequenceClassification
model = AutoModelForSequenceClassification.from_pretrained(
    {folder!r}, dtype={dtype}, device_map={device_map}).to("cuda")
"""


@simulated
def test_model_of_four_byte_numbers(machine, bert_large):
    """The whole GPU would do, but there is something on it already. (Once all is loaded the file is not
    mapped any more, and nothing is told of it.)"""
    code = 'import torch; kept = torch.empty(300 << 20, dtype=torch.uint8, device="cuda")\n'
    code += LOAD.format(folder=str(bert_large), dtype='"auto"', device_map="None")
    result = machine.run(machine.code(code), True, VRAMGUARD_POLICY="off", SIMGPU_DEVICES="1850MiB")
    assert result.code == 1
    why = parts(result.guard_text)["why"]
    assert why.startswith("model.safetensors: its 1.25 GiB of weights are loaded as 4-byte numbers"), why
    assert "which saves 639 MiB" in parts(result.guard_text)["do"]


@simulated
def test_two_byte_model_loaded_as_four(machine, bert_large):
    half = machine.folder / "half"
    code = LOAD.format(folder=str(bert_large), dtype="torch.float16", device_map='"cpu"')
    code = code.replace('.to("cuda")', "") + "model.save_pretrained(%r)\n" % str(half)
    assert machine.run(machine.code(code)).code == 0
    code = LOAD.format(folder=str(half), dtype="torch.float32", device_map='"cuda"')
    result = machine.run(machine.code(code), True, VRAMGUARD_POLICY="off", SIMGPU_DEVICES="1400MiB")
    assert result.code == 1
    reasons = re.findall(r"^  why +(.*)", result.guard_text, re.M)  # of each thread that loads
    assert {why[:65] for why in reasons} == {"model.safetensors: its weights are 639 MiB of 2-byte numbers, and"}


@simulated
def test_model_that_is_larger_than_the_gpu(machine, bert_large):
    code = LOAD.format(folder=str(bert_large), dtype='"auto"', device_map="None")
    result = machine.run(machine.code(code), True, VRAMGUARD_POLICY="off", SIMGPU_DEVICES="1200MiB")
    assert parts(result.guard_text)["why"].startswith("the weights in model.safetensors are 1.25 GiB, more than the ")
    assert "about 320 MiB (8 bits) or 160 MiB (4 bits)" in parts(result.guard_text)["do"]


FRAGMENTS = """
import torch
kept = [torch.empty(100 << 20, dtype=torch.uint8, device="cuda") for _ in range(12)]
del kept[::2]
torch.empty(1300 << 20, dtype=torch.uint8, device="cuda")
"""


@simulated
def test_cache_that_was_given_back_is_no_reason(machine):
    """PyTorch's flush gave back what no tensor used; what the tensors hold is the reason."""

    def run(**extra):
        result = machine.run_to_failure(machine.code(FRAGMENTS), SIMGPU_DEVICES=ROOM, **extra)
        return parts(result.guard_text)

    for found in (run(), run(PYTORCH_CUDA_ALLOC_CONF="expandable_segments:True")):
        assert found["why"].startswith("`kept` (list of 6, global of <string>) holds 600 MiB"), found
        assert "fragment" not in found["why"] and "expandable_segments" not in found["do"]


LEAK = """
import time, torch

def step(history):
    history.append(torch.empty(40 << 20, dtype=torch.uint8, device="cuda"))

def train():
    history = []
    while True:
        step(history)
        time.sleep(0.12)

train()
"""


@simulated
def test_line_that_keeps_more_with_each_step(machine):
    program = machine.folder / "train.py"
    program.write_text(LEAK)
    command = machine.code("") [:1] + [program]
    result = machine.run_to_failure(command, SIMGPU_DEVICES=ROOM)
    why = parts(result.guard_text)["why"]
    assert re.fullmatch(r"`history` \(list of 4\d, train\.py:10 train\) keeps more and more, by now "
                        r"1\.\d+ GiB of tensors on the GPU; 1\.\d+ GiB comes from train\.py:5 step\.", why), why
    assert "remove finished entries from `history`" in parts(result.guard_text)["do"]


HOLD = """
import torch
kept = torch.empty(1200 << 20, dtype=torch.uint8, device="cuda")
print("ready", flush=True)
input()
"""


@simulated
def test_neighbour_with_pytorch(machine):
    neighbour = machine.start(machine.code(HOLD), stdin=subprocess.PIPE, SIMGPU_DEVICES=ROOM)
    assert neighbour.stdout.readline() == "ready\n"
    code = 'import torch; torch.empty(600 << 20, dtype=torch.uint8, device="cuda")'
    result = machine.run(machine.code(code), True, VRAMGUARD_POLICY="off", SIMGPU_DEVICES=ROOM)
    found = parts(result.guard_text)
    assert "pid %d (" % neighbour.pid in found["why"]
    assert ("or have PyTorch there give back what it caches: torch.cuda.empty_cache() (under vramguard "
            "it does when asked by this process)") in found["do"]
