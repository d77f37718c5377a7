"""Recorded Python frames against what Python itself says, on every interpreter of the machine, and
on those that VG_TEST_PYTHONS names (paths with ':' between them)."""

import glob
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import BUILD, MODEL, report_of

PROGRAM = Path(__file__).with_name("stacks_program.py")
PYTHON_FRAMES = 64  # record/format.h
KNOWN = range(8, 16)  # unwind/python_layout.c


def version_of(python):
    """(minor version, text), or None for what is no CPython with ctypes."""
    code = (
        "import ctypes, platform, sys, sysconfig; print(sys.version_info[1], "
        "platform.python_implementation(), "
        "'t' if sysconfig.get_config_var('Py_GIL_DISABLED') else '-', "
        "platform.python_version(), sys.version_info[0])"
    )
    result = subprocess.run([python, "-c", code], stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL, universal_newlines=True)
    words = result.stdout.split()
    if result.returncode or words[1] != "CPython" or words[4] != "3":
        return None
    return int(words[0]), words[3] + words[2].strip("-")


def interpreters():
    names = [sys.executable, shutil.which("python3") or ""]
    for pattern in ("/usr/bin/python3*", "/usr/local/bin/python3*",
                    "~/.pyenv/versions/*/bin/python3"):
        names += sorted(glob.glob(os.path.expanduser(pattern)))
    names += filter(None, os.environ.get("VG_TEST_PYTHONS", "").split(":"))
    found = {}
    for name in names:
        if not name or not re.fullmatch(r"python3(\.\d+t?)?", os.path.basename(name)):
            continue
        # A launcher in a shell script stands for an interpreter that is found, too.
        with open(name, "rb") as file:
            if file.read(4) != b"\x7fELF":
                continue
        version = version_of(name)
        if version:
            found.setdefault(os.path.realpath(name), version)
    return found


INTERPRETERS = interpreters()
READABLE = {path: version for path, version in INTERPRETERS.items() if version[0] in KNOWN}
OTHERS = {path: version for path, version in INTERPRETERS.items() if version[0] not in KNOWN}


def each(found):
    return pytest.mark.parametrize(
        "python", [pytest.param(path, id=version[1]) for path, version in sorted(found.items())]
    )


def test_interpreters_are_found():
    for path, version in sorted(INTERPRETERS.items()):
        print("CPython %s: %s" % (version[1], path))
    assert READABLE


class Runs:
    """A run of the program: what Python said and what was recorded, by process."""

    def __init__(self, machine, python, mode, **extra):
        extra.setdefault("SIMGPU_DEVICES", "4GiB")
        self.machine = machine
        self.result = machine.run([python, PROGRAM, machine.folder, mode], guarded=True,
                                  PYTHONIOENCODING="utf-8", PYTHONUTF8="1", **extra)
        assert self.result.own == (0, "", ""), self.result.stderr
        assert self.result.guard_lines == []

    def pids(self):
        return [int(path.stem) for path in self.machine.folder.glob("*.json")]

    def expected(self, pid):
        lines = (self.machine.folder / ("%d.json" % pid)).read_text().splitlines()
        return {address: [tuple(frame) for frame in frames] for address, frames in
                map(json.loads, lines)}

    def recorded(self, pid):
        """{address: (truncated, frames)}; a native frame is None."""
        (path,) = [path for path in self.machine.records() if path.stem.endswith("-%d" % pid)]
        result = subprocess.run([str(BUILD / "test/e2e/show_stacks"), str(path)],
                                stdout=subprocess.PIPE, check=True)
        stacks = {}
        for line in result.stdout.decode().splitlines():
            address, truncated, frames = line.split(" ", 2)
            stacks[int(address, 16)] = (truncated == "1", [parse(f) for f in frames.split("|")])
        return stacks


def parse(text):
    if text in ("*", ""):
        return None
    file, line, name = text.split(":")
    return file, int(line), name.rpartition(".")[2]


def python_frames(frames):
    return [frame for frame in frames if frame]


def compare(runs, pid):
    """Every allocation has the frames that Python saw. Returns how many were compared."""
    expected, recorded = runs.expected(pid), runs.recorded(pid)
    for address, frames in expected.items():
        truncated, merged = recorded[address]
        assert python_frames(merged) == frames[:PYTHON_FRAMES]
        assert truncated or len(frames) <= PYTHON_FRAMES
    return len(expected)


@each(READABLE)
@pytest.mark.parametrize("stacks", ["full", "python"])
def test_one_thread(machine, python, stacks):
    runs = Runs(machine, python, "once", VRAMGUARD_STACKS=stacks)
    (pid,) = runs.pids()
    assert compare(runs, pid) > 200


@each(READABLE)
def test_threads(machine, python):
    runs = Runs(machine, python, "threads")
    (pid,) = runs.pids()
    assert compare(runs, pid) > 4 * 20 * 200


@each(READABLE)
def test_first_calls_of_many_threads(machine, python):
    """None comes too early to have its frames: each waits for nobody, and finds the interpreter itself."""
    for _ in range(5):
        runs = Runs(machine, python, "first")
    for pid in runs.pids():
        assert compare(runs, pid) == 80


@each(READABLE)
def test_collector(machine, python):
    """Finalisers that the collector calls, in any thread and in the midst of anything."""
    runs = Runs(machine, python, "collected")
    (pid,) = runs.pids()
    assert compare(runs, pid) > 4 * 200
    names = {frames[1][2] for frames in runs.expected(pid).values()}
    assert {"__del__", "watch", "produce", "fail"} <= names, names


@each(READABLE)
@pytest.mark.parametrize("mode", ["fork", "fork_threads"])
def test_fork(machine, python, mode):
    runs = Runs(machine, python, mode)
    assert len(runs.pids()) == 2
    for pid in runs.pids():
        assert compare(runs, pid) > 200


@each(READABLE)
def test_deep_recursion_is_cut_and_said(machine, python):
    runs = Runs(machine, python, "deep")
    (pid,) = runs.pids()
    assert compare(runs, pid) == 7
    said = sum(truncated for truncated, _ in runs.recorded(pid).values())
    assert said >= 5  # depths 62 (with take, deep, main, <module>) and more


@each(READABLE)
def test_daemon_threads_at_exit(machine, python):
    for _ in range(5):
        runs = Runs(machine, python, "exit")
    for pid in runs.pids():
        assert compare(runs, pid) == 50


LOOP = "_PyEval_EvalFrameDefault"


def loop_has_a_name(machine):
    """A compiler that knows from a profile what is rarely run may move most of the interpreter's loop
    into a part without a symbol (GCC 16). Where Python's frames stand among native ones is not known
    then; they come after them."""
    return LOOP in machine.vramguard("report", "--all-frames").stdout


@each(READABLE)
def test_native_and_python_frames_are_in_call_order(machine, python):
    code = "import ctypes; ctypes.CDLL('libcudart.so.13').cudaMalloc(ctypes.byref(" \
           "ctypes.c_void_p()), ctypes.c_size_t(1 << 50))"
    machine.run([python, "-c", code], guarded=True)
    if not loop_has_a_name(machine):
        pytest.skip("the loop of CPython %s has no symbol" % READABLE[python][1])
    for path in machine.records():
        path.unlink()
    runs = Runs(machine, python, "once")
    (pid,) = runs.pids()
    seen = 0
    for _, merged in runs.recorded(pid).values():
        names = [frame and frame[2] for frame in merged]
        if "take" in names:  # called through ctypes: native code is innermost
            assert names[0] is None
        if "middle" in names and "through_c" in names:
            # take < <lambda> < map in C < middle < map or partial in C < through_c
            inner, outer = names.index("<lambda>"), names.index("middle")
            assert None in names[inner + 1 : outer], names
            assert None in names[outer + 1 : names.index("through_c")], names
            seen += 1
    assert seen == 3


@each(READABLE)
@pytest.mark.parametrize("stacks", ["native", "off"])
def test_without_python_frames(machine, python, stacks):
    runs = Runs(machine, python, "once", VRAMGUARD_STACKS=stacks)
    (pid,) = runs.pids()
    for _, merged in runs.recorded(pid).values():
        assert not python_frames(merged)


@each(OTHERS)
def test_other_versions_have_native_stacks_and_one_line(machine, python):
    code = "import ctypes; ctypes.CDLL('libcudart.so.13').cudaMalloc(ctypes.byref(" \
           "ctypes.c_void_p()), 512)"
    result = machine.run([python, "-c", code], guarded=True)
    assert result.code == 0
    assert len(result.guard_lines) == 1
    assert "without Python frames" in result.guard_lines[0]


def line_of(name, text):
    lines = (MODEL / name).read_text().splitlines()
    (number,) = [i for i, line in enumerate(lines, 1) if text in line]
    return number


@each(READABLE)
def test_the_report_names_the_lines_of_the_program(machine, python, tiny_checkpoint):
    command = [python, MODEL / "run_model.py", tiny_checkpoint]
    result = machine.run(command, guarded=True, SIMGPU_DEVICES="48MiB")
    assert result.code == 1
    allocate = "run_model.py:%d allocate" % line_of("run_model.py", "_runtime.malloc(")
    malloc = "cuda_runtime.py:%d malloc" % line_of("cuda_runtime.py", "library.cudaMalloc(")
    to_device = "run_model.py:%d to_device" % line_of("run_model.py", "= self.allocate(size")
    where = " ".join(report_of(result).split())
    assert "%s > %s > %s > libffi" % (to_device, allocate, malloc) in where
    assert "_PyEval" not in where and "libpython" not in where
    folded = machine.vramguard("report").stdout
    assert re.search(r"#\d+ +%s\n +#\d+ +%s\n" % (re.escape(allocate), re.escape(to_device)),
                     folded)
    assert LOOP not in folded
    assert "--all-frames" in folded
    full = machine.vramguard("report", "--all-frames").stdout
    assert LOOP in full or READABLE[python][0] >= 14
    assert "libvramguard" not in full
    # Code objects have qualified names from 3.11 on.
    qualified = allocate.replace("allocate", "Device.allocate")
    assert (qualified if READABLE[python][0] >= 11 else allocate) in full
