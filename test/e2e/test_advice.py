"""Advice for programs of PyTorch and Hugging Face: what is measured of a run that produces the cause."""

import json
import re
import struct
import sys
from pathlib import Path

import pytest
from conftest import DEVICE, MODEL, ROOT, report_of
from test_python_trim import Neighbour, take

PROGRAM = Path(__file__).with_name("advice_program.py")
CONTEXT_MIB = 32


def answers(result):
    """The report's "why" and "do", each on one line."""
    text = report_of(result)
    why, rest = text.split("\n  why ")[1].split("\n  do ")
    return " ".join(why.split()), " ".join(rest.split("\n  run ")[0].split())


def free(mib):
    """A device that leaves so much to a program that has a context."""
    return "%dMiB" % (CONTEXT_MIB + mib)


def checkpoint(folder, name, dtype, sizes):
    """A .safetensors file of tensors of these sizes in MiB; zeros, which take no space."""
    header, end = {"__metadata__": {"format": "pt"}}, 0
    for number, mib in enumerate(sizes):
        shape = [(mib << 20) // {"F32": 4, "F16": 2}[dtype]]
        header["layer.%d" % number] = {
            "dtype": dtype, "shape": shape, "data_offsets": [end, end + (mib << 20)]
        }
        end += mib << 20
    text = json.dumps(header).encode()
    path = folder / name
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)
    return path


@pytest.fixture
def wide(machine):
    return checkpoint(machine.folder, "wide.safetensors", "F32", [2] * 40)


@pytest.fixture
def half(machine):
    return checkpoint(machine.folder, "half.safetensors", "F16", [2] * 20)


def load(path, *arguments):
    return [sys.executable, MODEL / "run_model.py", path, *arguments]


def test_model_of_four_byte_numbers(machine, wide):
    """It is loaded, and the rest of the GPU is too little for what comes next."""
    why, do = answers(machine.run(load(wide, "--extra", "64MiB"), True, SIMGPU_DEVICES=free(100)))
    assert why == (
        "wide.safetensors: its 80.0 MiB of weights are loaded as 4-byte numbers, and this process "
        "can have 100 MiB; as 2-byte numbers they take 40.0 MiB."
    )
    assert do.startswith("load it with dtype=torch.float16 or torch.bfloat16 (torch_dtype in older")
    assert "which saves 40.0 MiB" in do


def test_model_that_is_larger_than_the_gpu(machine, wide):
    why, do = answers(machine.run(load(wide), True, SIMGPU_DEVICES=free(30)))
    assert re.match(r"the weights in wide\.safetensors are 80\.0 MiB, more than the \S+ MiB that one", why), why
    assert do.startswith('device_map="auto" spreads them over GPUs and host memory')
    assert "about 20.0 MiB (8 bits) or 10.0 MiB (4 bits)" in do and "dtype" not in do


def test_model_that_only_its_halves_fit(machine, wide):
    why, do = answers(machine.run(load(wide), True, SIMGPU_DEVICES=free(60)))
    assert why.startswith("the weights in wide.safetensors are 80.0 MiB, more than the 60.0 MiB that one")
    assert do.startswith("dtype=torch.float16 makes them 40.0 MiB (torch_dtype in older transformers); ")



def test_neighbour_and_a_model_of_four_byte_numbers(machine, wide):
    machine.neighbour("120MiB")
    why, do = answers(machine.run(load(wide), True, SIMGPU_DEVICES=DEVICE))
    assert "hold_memory.py" in why and "without it this would fit" in why
    assert "or load wide.safetensors with dtype=torch.float16, which takes 40.0 MiB instead of 80.0" in do


@pytest.mark.parametrize("guarded", [True, False], ids=["guarded", "unguarded"])
def test_neighbour_with_pytorch(machine, guarded):
    neighbour = Neighbour(machine, "idle", guarded=guarded, VRAMGUARD_POLICY="off").await_ready()
    code, _, result = take(machine, VRAMGUARD_POLICY="off")
    assert code == 2
    why, do = answers(result)
    assert "pid %d (" % neighbour.process.pid in why
    assert "or have PyTorch there give back what it caches: torch.cuda.empty_cache()" in do
    assert ("(under vramguard it does when asked by this process)" in do) == (not guarded)
    neighbour.end()


def test_neighbour_of_python_without_pytorch(machine):
    machine.neighbour("160MiB")
    _, do = answers(machine.run([sys.executable, PROGRAM, "burst"], True))
    assert "PyTorch" not in do


def test_two_byte_model_loaded_as_four(machine, half):
    command = [sys.executable, PROGRAM, "widened", half]
    why, do = answers(machine.run(command, True, SIMGPU_DEVICES=free(60)))
    assert why == (
        "half.safetensors: its weights are 40.0 MiB of 2-byte numbers, and this process holds 60.0 "
        "MiB and asks for more, as if they were loaded as 4-byte numbers."
    )
    assert "which saves 40.0 MiB" in do


def test_same_model_with_two_bytes_is_no_cause(machine, half):
    why, _ = answers(machine.run(load(half, "--extra", "64MiB"), True, SIMGPU_DEVICES=free(60)))
    assert "safetensors" not in why, why


def test_place_that_keeps_more_with_each_step(machine):
    result = machine.run([sys.executable, PROGRAM, "growing"], True, SIMGPU_DEVICES=free(100))
    why, do = answers(result)
    line = 1 + PROGRAM.read_text().splitlines().index("    history.append(runtime.malloc(4 * MIB))")
    runtime = (MODEL / "cuda_runtime.py").read_text().splitlines()
    (line_of_malloc,) = [i for i, text in enumerate(runtime, 1) if "library.cudaMalloc(" in text]
    assert re.match(r"one place has taken more and more and kept it: 100 MiB in 25 pieces over "
                    r"[3-9]\.\d s, evenly until now: ", why), why
    assert why.split(": ")[-1] == "advice_program.py:%d step > cuda_runtime.py:%d malloc." % (
        line, line_of_malloc)
    assert "torch" not in do and "free there what the step before took" in do


def test_burst_is_no_growth(machine):
    why, do = answers(machine.run([sys.executable, PROGRAM, "burst"], True, SIMGPU_DEVICES=free(100)))
    assert "this process itself" in why and ".detach()" not in do


def test_what_advice_tells_to_set_is_in_the_table_of_settings():
    """All of it, so that nothing is advised that is set (base/setting_table.h); and all advice goes through the
    filter that looks."""
    view = ROOT / "src" / "view"
    names = set(re.findall(r"^VG_SETTING\((\w+),", (ROOT / "src/base/setting_table.h").read_text(), re.M))
    advised, in_causes = set(), {"VRAMGUARD_INJECT", "CUDA_MPS_PINNED_DEVICE_MEM_LIMIT"}
    for path in [*view.glob("advice*.c"), *view.glob("*_table.h")]:
        for text in re.findall(r'"((?:[^"\\]|\\.)*)"', path.read_text()):
            advised |= set(re.findall(r"\b([A-Z][A-Z0-9]*_[A-Z0-9_]+)=", text))
            advised |= set(re.findall(r"\badd \S+ to ([A-Z]+_[A-Z_]+)\b", text))
    assert advised - in_causes and advised - in_causes <= names, advised - names
    asks = {path.name for path in view.glob("*.c") if re.search(r"->advice\(", path.read_text())}
    assert asks == {"advice_waste.c", "advice_filter.c"}  # the former: of a row, in the advice of another


def test_memory_of_graphs_is_named_where_it_is_most(machine):
    """What CUDA graphs allocate by themselves is no allocation of the program's that could be listed."""
    program = [sys.executable, PROGRAM.with_name("graph_program.py")]
    result = machine.run([*program, "4", "40", "0"], True, VRAMGUARD_POLICY="off", SIMGPU_DEVICES=free(200))
    why, do = answers(result)
    assert why.startswith("allocations that CUDA graphs of this process have made by themselves hold 160 MiB"), why
    assert "cudaFreeAsync" in do
    result = machine.run([*program, "1", "40", "110"], True, VRAMGUARD_POLICY="off", SIMGPU_DEVICES=free(200))
    why, do = answers(result)
    assert "graphs" not in why, why
