"""The names that this PyTorch has for its two functions are in hook/torch_table.h."""

import re
import subprocess

from conftest import ROOT, torch_library

TABLE = (ROOT / "src" / "hook" / "torch_table.h").read_text()
NAMES = re.compile(r"_ZN3c10\d+report(?:MemoryUsage|OutOfMemory)ToProfiler\w+")


def symbols(library, option):
    command = ["nm", "-D", option, torch_library(library)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return set(NAMES.findall(text))


def test_all_of_them_are_known():
    called = symbols("libc10_cuda.so", "--undefined-only")
    assert len(called) == 2
    assert called == symbols("libc10.so", "--defined-only")
    assert called <= set(NAMES.findall(TABLE))
