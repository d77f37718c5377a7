"""However a program is started, its lines are told the same way."""

import json
import subprocess
import zipfile

import pytest
from conftest import TORCH_PYTHON

PROGRAM = """\
import torch

kept = []


def keep(count):
    kept.append(torch.empty(count, dtype=torch.uint8, device="cuda"))


def main():
    while True:
        keep(20 << 20)


main()
"""
KEEP = 7
MAIN = 12
TEXT = 'kept.append(torch.empty(count, dtype=torch.uint8, device="cuda"))'

TRACED = """
import runpy, sys

def trace(frame, event, argument):
    return trace

sys.settrace(trace)
runpy.run_path("leak.py", run_name="__main__")
"""

WAYS = {
    "script": ["leak.py"],
    "module": ["-m", "leak"],
    "profiled": ["-m", "cProfile", "-o", "profile", "leak.py"],
    "traced": ["-c", TRACED],
    "torchrun": ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "1", "leak.py"],
    "accelerate": ["-m", "accelerate.commands.accelerate_cli", "launch", "--num_processes", "1",
                   "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no",
                   "leak.py"],
    "compiled": ["leak.pyc"],
    "zipped": ["leak.zip"],
}


@pytest.fixture
def program(machine):
    """The program in its folder, once more compiled, and in an archive."""
    source = machine.folder / "leak.py"
    source.write_text(PROGRAM)
    # By the Python that runs it: this one may be another version.
    compile_it = "import py_compile; py_compile.compile('leak.py', 'leak.pyc')"
    subprocess.run([TORCH_PYTHON, "-c", compile_it], cwd=machine.folder, check=True)
    with zipfile.ZipFile(machine.folder / "leak.zip", "w") as archive:
        archive.write(source, "__main__.py")
    return machine


def failure_of(machine, way):
    machine.run([TORCH_PYTHON, *WAYS[way]], guarded=True, SIMGPU_DEVICES="1GiB",
                VRAMGUARD_POLICY="off")
    runs = [json.loads(machine.vramguard("report", "--json", path).stdout)
            for path in machine.records()]
    (failure,) = [failure for run in runs for failure in run["failures"]]
    return failure


@pytest.mark.parametrize("way", WAYS)
def test_the_line_is_the_programs(program, way):
    failure = failure_of(program, way)
    (site,) = failure["device"]["blocks"]["sites"]
    assert (site["line"]["line"], site["line"]["function"]) == (KEEP, "keep")
    # In what is given to -c there is a line of another file of the program: the one that runs it.
    caller = (8, "<module>") if way == "traced" else (MAIN, "main")
    assert (site["caller"]["line"], site["caller"]["function"]) == caller
    assert site["live_bytes"] == site["live_count"] * (20 << 20) > 500 << 20
    assert failure["line"] == site["line"]
    # What is in an archive cannot be read there by a look at a file.
    assert site["line"]["text"] == (None if way == "zipped" else TEXT)
    name = "leak.zip/__main__.py" if way == "zipped" else "leak.py"
    assert site["line"]["path"].endswith(name)
    assert "%s:%d" % (name.split("/")[-1], KEEP) in site["label"]
