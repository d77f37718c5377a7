"""A notebook whose kernel is guarded by the kernelspec of README.md: the report is in the failing cell's
error output, and names cells by the numbers that people see."""

import json
from pathlib import Path

import pytest
from conftest import e2e
from test_monitors import VENVS, reason_for_absence

PYTHON = VENVS / "tools" / "bin" / "python"
TORCH = VENVS.parent / "torch-venv"
NOTEBOOK = """
import json, sys, nbclient, nbformat
notebook = nbformat.v4.new_notebook()
notebook.cells = [nbformat.v4.new_code_cell(source) for source in json.loads(sys.argv[1])]
nbclient.NotebookClient(notebook, kernel_name="guarded", allow_errors=True).execute()
print(json.dumps([[output.get("text", "") for output in cell.outputs if output.get("name") == "stderr"]
                  for cell in notebook.cells]))
"""
DEFINITIONS = """\
import ctypes
cuda, context = ctypes.LOADER("libcuda.so.1"), ctypes.c_void_p()
cuda.cuInit(0); cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0); cuda.cuCtxSetCurrent(context)
def allocate(size):
    assert cuda.cuMemAlloc_v2(ctypes.byref(ctypes.c_uint64()), ctypes.c_size_t(size)) == 0
"""
MODEL = """\
import torch
def forward(weight):
    return torch.sigmoid(weight * 2)
"""
LOOP = """\
weight, history = torch.ones(4 << 20, device="cuda", requires_grad=True), []
while True:
    history.append(forward(weight).sum())
"""


@pytest.fixture
def notebook(machine):
    """Runs cells; returns what each has on its stderr."""
    if not (VENVS / "ipykernel.installed").exists():
        pytest.skip("no ipykernel: " + reason_for_absence("ipykernel"))
    kernel = machine.folder / "jupyter" / "kernels" / "guarded"
    kernel.mkdir(parents=True)
    guard = [str(e2e.BUILD / "vramguard"), "run", "--"]
    start = [str(PYTHON), "-m", "ipykernel_launcher", "-f", "{connection_file}"]

    def run(*cells, all_of_jupyter=False, **extra):
        specification = {"argv": start, "display_name": "guarded", "language": "python"}
        command = [PYTHON, "-c", NOTEBOOK, json.dumps(cells)]
        if all_of_jupyter:
            command = guard + command
        else:
            specification["argv"] = guard + start
        (kernel / "kernel.json").write_text(json.dumps(specification))
        result = machine.run(command, SIMGPU_QUIET="1", JUPYTER_PATH=str(machine.folder / "jupyter"), **extra)
        assert result.code == 0, result.stderr
        return ["".join(texts) for texts in json.loads(result.stdout)]

    return run


# A call through CDLL gives the GIL up: for half a second a thread waits for it, which a busy machine may
# let pass (make check-timing).
@pytest.mark.parametrize("loader", ["PyDLL", "CDLL"] if e2e.TIMING else ["PyDLL"])
def test_cells_are_named(machine, notebook, loader):
    definitions = DEFINITIONS.replace("LOADER", loader)
    texts = notebook("first = 1", definitions, "allocate(1 << 20)\nallocate(1 << 30)")
    assert texts[:2] == ["", ""]
    assert "vramguard: GPU 0 out of memory: the notebook asked 1.00 GiB" in texts[2], texts
    where = " ".join(texts[2].split())
    assert "where <cell 3>:2 > <cell 2>:5 allocate > cuMemAlloc_v2" in where
    assert "<cell 3>:1 <module>" in where and "ipykernel" not in where
    later = machine.vramguard("report")
    assert "<cell 2>:5 allocate" in later.stdout and later.stderr == ""


def test_all_of_jupyter_under_one_command(machine, notebook):
    """`vramguard run -- jupyter lab`: the server starts the kernels, which are guarded, whatever their spec."""
    definitions = DEFINITIONS.replace("LOADER", "PyDLL")
    texts = notebook(definitions, "allocate(1 << 30)", all_of_jupyter=True)
    assert "vramguard: GPU 0 out of memory: the notebook asked 1.00 GiB" in texts[1], texts
    assert "<cell 2>:1" in texts[1]


@pytest.mark.skipif(not (TORCH / "installed").exists(), reason="no PyTorch: scripts/install-torch")
def test_a_variable_of_a_cell_is_named(machine, notebook):
    (packages,) = TORCH.glob("lib/python*/site-packages")
    if packages.parent.name != "python%d.%d" % version_of(PYTHON):
        pytest.skip("PyTorch is installed for another Python: " + packages.parent.name)
    preload = ":".join(str(machine.simgpu / ("libcudart.so.%d" % major)) for major in (12, 13))
    for _ in range(3):  # a busy machine may cut the look for variables short, which takes a second at most
        texts = notebook(MODEL, LOOP, PYTHONPATH=str(packages), LD_PRELOAD=preload, VRAMGUARD_POLICY=None,
                         SIMGPU_DEVICES="1GiB")  # fmt: skip
        text = " ".join(texts[1].split())
        if "global of <cell 2>)" in text:
            break
    assert "why `history` (list of" in text and "global of <cell 2>)" in text, texts
    assert "<cell 1>:3 forward" in text


def version_of(python):
    configuration = (Path(python).parents[1] / "pyvenv.cfg").read_text()
    version = next(line for line in configuration.splitlines() if line.startswith("version"))
    return tuple(map(int, version.split("=")[1].split(".")[:2]))
