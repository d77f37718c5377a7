"""The functions by which PyTorch tells of its blocks, under all names that it has had: PyTorch's own one is
called, with the same arguments, and what it tells is recorded."""

import importlib.util
import re

import pytest
from conftest import BUILD, ROOT

NAMES = BUILD / "test" / "e2e" / "torch_names"
TABLE = (ROOT / "src" / "hook" / "torch_table.h").read_text()
MEMORY = re.findall(r"^VG_TORCH\((\w+), MEMORY,", TABLE, re.MULTILINE)
OUT_OF_MEMORY = re.findall(r"^VG_TORCH\((\w+), OUT_OF_MEMORY,", TABLE, re.MULTILINE)


def run_file(path):
    where = ROOT / "test" / "torch" / "programs" / "run_file.py"
    specification = importlib.util.spec_from_file_location("run_file", where)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module.RunFile(path)


def run(machine, guarded, **extra):
    command = [NAMES / "program", NAMES / "libcaller.so"]
    return machine.run(command, guarded, LD_LIBRARY_PATH=str(NAMES), **extra)


@pytest.mark.parametrize("tensors", ["full", "lines", "off"])
def test_every_name(machine, tensors):
    assert len(MEMORY) >= 2 and len(OUT_OF_MEMORY) == len(MEMORY)
    path = machine.folder / "own.vgr"
    bare = run(machine, False)
    guarded = run(machine, True, VRAMGUARD_LOG=str(path), VRAMGUARD_TENSORS=tensors)
    assert bare.code == 0, bare.stderr
    assert len(bare.stdout.splitlines()) == 4 * len(MEMORY) + len(OUT_OF_MEMORY)
    assert (guarded.code, guarded.stdout, guarded.stderr) == (0, bare.stdout, bare.stderr)
    file = run_file(path)
    total = file.totals[3]
    if tensors == "off":
        assert (len(file.blocks), total.allocations) == (0, 0)
        return
    assert sorted((b.address, b.bytes, b.device) for b in file.blocks) == [
        (0x1000 + 16 * i, 512, 3) for i in range(len(MEMORY))
    ]
    assert (total.allocations, total.frees) == (2 * len(MEMORY), len(MEMORY))
    assert (total.peak_bytes, total.told_reserved_bytes) == (512 * len(MEMORY) + 1024, 2048)


def test_switched_off(machine):
    result = run(machine, True, VRAMGUARD="off")
    assert (result.code, result.stdout) == (0, run(machine, False).stdout)
    assert machine.records() == []
