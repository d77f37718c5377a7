"""Fixtures of the PyTorch tests: real PyTorch (scripts/install-torch), bare and guarded.

On the simulated GPU by default, with our libcudart in place of NVIDIA's, which refuses it; with
VG_REAL_GPU=1 on this machine's GPU, with everything as it is installed. Tests take memory with a
neighbour that leaves a given amount, so that they do not depend on the size of the GPU.
"""

import fcntl
import functools
import importlib.util
import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILD = (ROOT / os.environ.get("BUILD", "build")).resolve()
VENV = BUILD / "torch-venv"
PROGRAMS = HERE / "programs"
REAL_GPU = os.environ.get("VG_REAL_GPU") == "1"
TORCH_PYTHON = os.environ.get("TORCH_PYTHON", str(VENV / "bin" / "python"))
# Where the allocator has NVIDIA's runtime in it, the environment with one that is built from PyTorch's source.
SIMULATED = Path(TORCH_PYTHON).parents[1] / "simulated"
if not REAL_GPU and (SIMULATED / "installed").exists():
    TORCH_PYTHON = str(SIMULATED / "bin" / "python")
DEVICE = "11.17GiB"  # a Tesla K80's half
CONTEXT = "300MiB"
MIB = 1 << 20
GIB = 1 << 30


def _load_end_to_end():
    specification = importlib.util.spec_from_file_location(
        "end_to_end", ROOT / "test" / "e2e" / "conftest.py"
    )
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


end_to_end = _load_end_to_end()
TIMEOUT_S = 180
VERSION = [int(part) for part in os.environ.get("TORCH_VERSION", "99.0").split(".")]
# It measures and looks at nothing else.
collect_ignore = [] if end_to_end.TIMING else ["test_numbers.py"]


class Machine(end_to_end.Machine):
    """A machine with one GPU and PyTorch."""

    def environment(self, guarded, extra):
        # PyTorch takes the one of its own major version.
        preload = [] if REAL_GPU else [self.simgpu / ("libcudart.so." + n) for n in ("13", "12", "11.0")]
        values = super().environment(False, {})
        values.update(
            SIMGPU_DEVICES=DEVICE,
            SIMGPU_CONTEXT=CONTEXT,
            SIMGPU_ID="torch-" + self.folder.name,
            SIMGPU_QUIET="1",
            HF_HUB_OFFLINE="1",
            TRANSFORMERS_VERBOSITY="error",
            HF_HUB_DISABLE_PROGRESS_BARS="1",
            TQDM_DISABLE="1",
            VRAMGUARD_POLICY=None,  # the default
        )
        if REAL_GPU:
            values["LD_LIBRARY_PATH"] = os.environ.get("LD_LIBRARY_PATH")
            values["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES", "0")
        if guarded:
            preload.insert(0, self.preload)
        values["LD_PRELOAD"] = ":".join(map(str, preload)) or None
        values.update(extra)
        return {name: value for name, value in values.items() if value is not None}

    def program(self, name, *arguments):
        """The command of a program of this folder."""
        return [TORCH_PYTHON, PROGRAMS / (name + ".py"), *map(str, arguments)]

    def code(self, text):
        return [TORCH_PYTHON, "-c", text]

    def finish(self, process, timeout_s=TIMEOUT_S):
        return super().finish(process, timeout_s)

    def run(self, command, guarded=False, timeout_s=TIMEOUT_S, **extra):
        return super().run(command, guarded, timeout_s, **extra)

    def run_to_failure(self, command, **extra):
        """A guarded run that ends in a failure, told with its census. A busy machine may not let the
        census come in the time that it has: then once more."""
        for _ in range(3):
            result = self.run(command, True, VRAMGUARD_POLICY="off", **extra)
            report = self.vramguard("report", "--json")
            assert report.code == 0, report.stderr
            if any(failure["census"] for failure in json.loads(report.stdout)["failures"]):
                break
        return result

    def neighbour(self, *arguments, guarded=False):
        """Start a process that holds memory, such as all but so much ("--leave", "1GiB"); return it
        when it has the memory."""
        command = [TORCH_PYTHON, end_to_end.MODEL / "hold_memory.py", *arguments]
        process = self.start(command, guarded, stdin=subprocess.PIPE)
        line = process.stdout.readline()
        assert line.startswith("holding "), process.communicate()[1]
        return process

    def close(self):
        super().close()
        Path("/dev/shm/simgpu-torch-" + self.folder.name).unlink(missing_ok=True)


def other_python(name):
    """The Python of another environment of scripts/install-torch, or that of NAME_PYTHON, and the mark of tests
    that need it."""
    venv = BUILD / (name + "-venv")
    given = os.environ.get(name.upper() + "_PYTHON")
    skipped = venv / "skipped"
    why = skipped.read_text().strip() if skipped.exists() else ""
    reason = why or "not installed: scripts/install-torch " + name
    mark = pytest.mark.skipif(not given and not (venv / "installed").exists(), reason=name + ": " + reason)
    return Path(given or venv / "bin" / "python"), mark


def torch_library(name):
    """A library of the PyTorch under test."""
    folder = Path(TORCH_PYTHON).parents[1]
    (found,) = folder.glob("lib/python3*/site-packages/torch/lib/" + name)
    return found


@functools.cache
def embeds_its_runtime():
    """NVIDIA's runtime is in this PyTorch's allocator, and refuses a simulated GPU (1.13)."""
    text = subprocess.run(["readelf", "-d", torch_library("libc10_cuda.so")], check=True, capture_output=True)
    return b"libcudart" not in text.stdout


def why_embedded():
    """Why there is no other allocator library for it (scripts/simulated-torch)."""
    skipped = SIMULATED.with_suffix(".skipped")
    return skipped.read_text().strip() if skipped.exists() else "scripts/simulated-torch builds another"


EMBEDDED = "NVIDIA's runtime is in this PyTorch's allocator, and refuses a simulated GPU: " + why_embedded()


def needs_cuda():
    """The mark of tests whose programs use the GPU."""
    return pytest.mark.skipif(not REAL_GPU and embeds_its_runtime(), reason=EMBEDDED)


def skip_without_cuda():
    """The same in a test that has begun."""
    if not REAL_GPU and embeds_its_runtime():
        pytest.skip(EMBEDDED)


def skip_what_is_lacking(result):
    """A program found that this PyTorch lacks what the test is about."""
    option = re.search(r"Unrecognized CachingAllocator option: (\w+)", result.stderr)
    if option:
        pytest.skip("this PyTorch has no %s in PYTORCH_CUDA_ALLOC_CONF" % option[1])
    told = re.search(r"^this PyTorch has no .+", result.stderr, re.MULTILINE)
    if told:
        pytest.skip(told[0])


def plain(text):
    """PyTorch's output less what differs from run to run: process ids and the times of warnings."""
    text = re.sub(r"\b[Pp]rocess \d+", "process PID", text)
    return re.sub(r"^\[W\S+ \S+ ", "[W ", text, flags=re.MULTILINE)


def guard_lines(result, pattern):
    return [line for line in result.guard_lines if re.search(pattern, line)]


@pytest.fixture(scope="session", autouse=True)
def built_tree():
    missing = [n for n in ("libvramguard.so", "vramguard") if not (BUILD / n).exists()]
    if missing:
        pytest.exit("%s lacks %s: run make all" % (BUILD, ", ".join(missing)), returncode=1)
    yield BUILD


@pytest.fixture
def machine():
    folder = Path(tempfile.mkdtemp(prefix="vg-torch-"))
    machine = Machine(folder)
    yield machine
    machine.close()
    shutil.rmtree(folder, ignore_errors=True)


CENSUS_PROBE = BUILD / "test" / "torch" / "census_probe.so"


class CensusMachine(Machine):
    """One whose programs can take a census (programs/census_probe.py)."""

    def environment(self, guarded, extra):
        return super().environment(guarded, {"CENSUS_PROBE": str(CENSUS_PROBE), **extra})


@pytest.fixture(scope="module")
def census_machine():
    assert CENSUS_PROBE.exists(), "make check-torch builds it"
    folder = Path(tempfile.mkdtemp(prefix="vg-census-"))
    machine = CensusMachine(folder)
    yield machine
    machine.close()
    shutil.rmtree(folder, ignore_errors=True)


def _model(name):
    """The folder of a saved model; made once and kept in the built tree."""
    folder = BUILD / "torch-models" / name
    folder.parent.mkdir(exist_ok=True)
    with open(folder.parent / (name + ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run side by side
        _make_model(name, folder)
    return folder


def _make_model(name, folder):
    if not (folder / "complete").exists():
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
        command = [TORCH_PYTHON, PROGRAMS / "make_model.py", name, folder]
        subprocess.run([str(w) for w in command], check=True, env=environment, timeout=TIMEOUT_S)


@pytest.fixture(scope="session")
def bert_large():
    """1.25 GiB of weights."""
    return _model("bert-large-uncased")


@pytest.fixture(scope="session")
def bert_tiny():
    return _model("bert-tiny")
