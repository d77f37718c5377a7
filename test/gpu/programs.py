"""The checks of scripts/gpu-check: each runs something bare and guarded and says what came of it."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter, namedtuple
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
REPORT = re.compile(r"^vramguard: GPU \d+ out of memory: .* asked .*$", re.MULTILINE)

# What a command did; `code` is None when its time was over.
Result = namedtuple("Result", "code out err")

# A line of the table. verdict: same, DIFFERS, FAILS or skipped; details: lines for below the table.
Row = namedtuple("Row", "check bare guarded verdict remarks details")


def skipped(check, reason):
    return Row(check, "-", "-", "skipped", reason, [])


class Machine:
    """The tree under test, the environment of its programs, and the time that is left."""

    def __init__(self, build, libraries, simulate, pythons, seconds):
        self.build, self.simulate, self.pythons = build, simulate, pythons
        self.libraries = libraries
        self.guard = Path(os.environ.get("GUARD", build / "libvramguard.so")).resolve()
        self.folder = Path(tempfile.mkdtemp(prefix="vg-gpu-check-"))
        self.deadline = time.monotonic() + seconds

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        Path("/dev/shm", "simgpu-" + self.folder.name).unlink(missing_ok=True)

    def environment(self, guarded, extra=None, libraries=()):
        """The caller's environment less our own options: nothing of the user's is written to."""
        values = {n: v for n, v in os.environ.items() if not n.startswith(("VRAMGUARD", "SIMGPU_"))}
        path = [*([self.build / "simgpu"] if self.simulate else []), *libraries, *self.libraries]
        path += filter(None, [values.get("LD_LIBRARY_PATH")])
        values["LD_LIBRARY_PATH"] = ":".join(map(str, path))
        values["XDG_STATE_HOME"] = str(self.folder / "state")
        values["PYTHONDONTWRITEBYTECODE"] = "1"
        if self.simulate:
            values["SIMGPU_ID"] = self.folder.name
            values["SIMGPU_QUIET"] = "1"
        if guarded:
            preload = [str(self.guard), *filter(None, [values.get("LD_PRELOAD")])]
            values["LD_PRELOAD"] = ":".join(preload)
        values.update(extra or {})
        return values

    def left(self):
        return self.deadline - time.monotonic()

    def run(self, command, guarded=False, seconds=60, extra=None, libraries=(), cwd=None):
        """Run a command to its end, or to the end of its time; all its processes end then."""
        seconds = max(1, min(seconds, self.left()))
        process = subprocess.Popen(
            [str(word) for word in command],
            env=self.environment(guarded, extra, libraries),
            cwd=cwd or self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        try:
            out, err = process.communicate(timeout=seconds)
            return Result(process.returncode, out, err)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            out, err = process.communicate()
            return Result(None, out, err + "\nno end after %d s" % seconds)


def ended(result):
    return "no end" if result.code is None else "exit %d" % result.code


def first_difference(bare, guarded):
    """The first line in which two outputs differ, as two lines of text."""
    one, other = bare.splitlines(), guarded.splitlines()
    for index in range(max(len(one), len(other))):
        a = one[index] if index < len(one) else "(end)"
        b = other[index] if index < len(other) else "(end)"
        if a != b:
            return ["bare:    " + a, "guarded: " + b]
    return []


# The behaviour suite: one program for each subject, one line for each check in its output.


def outcomes(result):
    """How often each (check, ok or FAIL or skip) is in a program's output, and the lines of those
    that failed."""
    found, failures = Counter(), []
    for line in result.out.splitlines():
        match = re.match(r"(ok|FAIL|skip) +(.*)", line)
        if match:
            kind, name = match.groups()
            found[name if kind == "ok" else name.split(":")[0], kind] += 1
            failures += [line] if kind == "FAIL" else []
    return found, failures


def behaviour_cell(result):
    found = outcomes(result)[0]
    counts = (sum(n for (_, k), n in found.items() if k == kind) for kind in ("ok", "FAIL", "skip"))
    cell = "/".join(map(str, counts))
    return cell if result.code is not None else cell + " no end"


def check_behaviour(machine):
    programs = sorted((machine.build / "test" / "simgpu" / "behaviour").glob("*"))
    programs = [p for p in programs if os.access(p, os.X_OK) and not p.name.startswith("simgpu_")]
    if not programs:
        yield skipped("behaviour", "not built: make behaviour")
    for program in programs:
        bare = machine.run([program])
        guarded = machine.run([program], guarded=True)
        (one, failures), (other, _) = outcomes(bare), outcomes(guarded)
        details, remarks = failures, ""
        if one != other or bare.code != guarded.code:
            verdict = "DIFFERS"
            remarks = "%s, %s" % (ended(bare), ended(guarded))
            details += ["bare only: %s %s" % (kind, name) for name, kind in one - other]
            details += ["guarded only: %s %s" % (kind, name) for name, kind in other - one]
            details += guarded.err.splitlines()[-5:]
        elif bare.code != 0 or not one:
            verdict = "FAILS"
            remarks = "%s; this GPU is not as the suite says" % ended(bare)
            details = details or (bare.out + bare.err).splitlines()[-5:]
        else:
            verdict = "same"
        cells = behaviour_cell(bare), behaviour_cell(guarded)
        yield Row("behaviour " + program.name, *cells, verdict, remarks, details)


# The transparency suite takes the driver from $BUILD/simgpu: on a real GPU it gets a tree in which
# the system's driver lies there.

NOT_ON_A_REAL_GPU = "not no_device and not through_the_runtime and not on_other_machines"


def driver_path():
    """The file of the driver that a program of this machine gets, or None."""
    code = """import ctypes
ctypes.CDLL("libcuda.so.1")
print(next(l.split()[-1] for l in open("/proc/self/maps") if "libcuda.so" in l))"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    return Path(done.stdout.strip()) if done.returncode == 0 and done.stdout.strip() else None


def real_tree(machine):
    """A build tree of links whose simgpu folder holds the machine's own driver only."""
    tree = machine.folder / "build"
    (tree / "simgpu").mkdir(parents=True)
    for entry in machine.build.iterdir():
        if entry.name not in ("simgpu", "clients-venv"):
            (tree / entry.name).symlink_to(entry)
    driver = driver_path()
    (tree / "simgpu" / "libcuda.so.1").symlink_to(driver)
    # The suite's programs get no other folder: what the driver and the guard open lies there too.
    for folder in (driver.parent, *machine.libraries):
        for library in folder.glob("lib*.so*"):
            link = tree / "simgpu" / library.name
            if library.name.startswith(("libnvidia-", "libunwind")) and not link.is_symlink():
                link.symlink_to(library)
    return tree


def check_transparency(machine):
    check = "transparency suite"
    if not any((machine.build / "test" / "transparency").glob("*.so")):
        return [skipped(check, "not built: make check-transparency")]
    extra, words = {"BUILD": str(machine.build)}, []
    if not machine.simulate:
        extra = {"BUILD": str(real_tree(machine)), "VG_REAL_GPU": "1"}
        words = [ROOT / "test" / "transparency", "-k", NOT_ON_A_REAL_GPU]
    result = machine.run([ROOT / "test" / "transparency" / "run", *words], False, 150, extra)
    last = (result.out.splitlines() or [""])[-1].strip("= ")
    if result.code == 1 and "no python3 with pytest" in result.err:
        return [skipped(check, "no python3 with pytest")]
    verdict = "same" if result.code == 0 else "DIFFERS"
    details = []
    if result.code != 0:
        details = (result.out + result.err).splitlines()[-20:]
    if result.code is None:
        last = "no end in its time"
    return [Row(check, "both", "both", verdict, last, details)]


# Real programs.

Program = namedtuple("Program", "check command extra wants_report libraries")


def without_guard_lines(text):
    """The program's own lines of stderr."""
    kept, inside = [], False
    for line in text.splitlines():
        inside = line.startswith("vramguard: ") or (inside and (not line or line.startswith("  ")))
        if not inside:
            kept.append(line)
    return "\n".join(kept)


def report_of(err):
    """What the guard's report says of the failed call: its first line and the called function."""
    found = REPORT.search(err)
    if not found:
        return None
    where = re.search(r"^  where (.*?)^  \w", err[found.end():], re.MULTILINE | re.DOTALL)
    called = re.findall(r"\bcu\w+", where.group(1)) if where else []
    asked = found.group(0).split("asked ")[1].split(";")[0]
    return "report: asked %s in %s" % (asked, called[-1] if called else "an unnamed call")


def check_program(machine, program):
    """Bare and guarded must agree in exit code and standard output. Free memory is a part of some
    messages, and others may use the GPU: what differs is tried once more."""
    for attempt in (1, 2):
        bare, guarded = (
            machine.run(program.command, guarded, 90, program.extra, program.libraries)
            for guarded in (False, True)
        )
        if bare[:2] == guarded[:2]:
            break
    report = report_of(guarded.err)
    details, remarks = [], report or ""
    if bare[:2] != guarded[:2]:
        verdict = "DIFFERS"
        details = first_difference(bare.out, guarded.out) + guarded.err.splitlines()[-5:]
    elif bare.code != 0:
        verdict = "FAILS"
        remarks = "fails bare"
        details = (bare.out + bare.err).splitlines()[-5:]
    elif program.wants_report and not report:
        verdict = "FAILS"
        remarks = "no report of the out-of-memory failure"
        details = guarded.err.splitlines()[-5:]
    else:
        verdict = "same"
        remarks += " (2nd try)" if attempt == 2 else ""
    return Row(program.check, ended(bare), ended(guarded), verdict, remarks, details)


def check_runtime(machine):
    """NVIDIA's runtime, dynamic and static: needs its compiler."""
    for kind in ("shared", "static"):
        check = "C program, %s libcudart" % kind
        if machine.simulate:
            yield skipped(check, "NVIDIA's runtime works with NVIDIA's driver only")
            continue
        nvcc = shutil.which("nvcc") or shutil.which("/usr/local/cuda/bin/nvcc")
        if not nvcc:
            yield skipped(check, "no nvcc")
            continue
        binary = machine.folder / ("runtime_" + kind)
        command = [nvcc, "-cudart", kind, "-o", binary, HERE / "runtime.cu"]
        made = machine.run(command, False, 120)
        if made.code != 0:
            yield skipped(check, "nvcc: " + (made.err.splitlines() or [ended(made)])[-1])
            continue
        beside = Path(nvcc).resolve().parents[1] / "lib64"
        yield check_program(machine, Program(check, [binary], {}, True, [beside]))


def python_with(machine, module):
    """The first Python that has the module, by a look-up that does not import it."""
    code = "import sys, importlib.util; sys.exit(importlib.util.find_spec(%r) is None)" % module
    for python in machine.pythons:
        if shutil.which(python) and machine.run([python, "-c", code], False, 30).code == 0:
            return python
    return None


# Program (use_*.py), title, further environment, whether the deliberate failure reaches the driver for
# sure, and whether it brings NVIDIA's runtime.
FRAMEWORKS = [
    ("torch", "PyTorch", {}, True, True),
    ("torch", "PyTorch, expandable segments",
     {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"}, True, True),
    ("torch", "PyTorch, cudaMallocAsync",
     {"PYTORCH_CUDA_ALLOC_CONF": "backend:cudaMallocAsync"}, True, True),
    ("graphs", "PyTorch, CUDA graphs", {}, True, True),
    ("triton", "Triton", {}, True, True),
    ("cupy", "CuPy", {}, True, True),
    ("numba", "numba", {}, True, False),
    ("jax", "JAX", {}, False, True),
]  # fmt: skip
MODULES = {"graphs": "torch"}  # where it is not the program's name


def check_frameworks(machine):
    for program, title, extra, wants_report, own_runtime in FRAMEWORKS:
        module = MODULES.get(program, program)
        if machine.simulate and own_runtime:
            yield skipped(title, "it brings NVIDIA's runtime, which works with NVIDIA's driver only")
            continue
        python = python_with(machine, module)
        if python is None:
            yield skipped(title, "no Python has the module %s (--python)" % module)
            continue
        command = [python, HERE / ("use_%s.py" % program)]
        yield check_program(machine, Program(title, command, extra, wants_report, []))


def check_demo(machine):
    title = "scripts/demo" + ("" if machine.simulate else " --real")
    if machine.build != ROOT / "build":
        return [skipped(title, "it uses build/, not " + str(machine.build))]
    command = [ROOT / "scripts" / "demo", "--no-build"] + ([] if machine.simulate else ["--real"])
    result = machine.run(command, False, 150)
    lines = (result.out + result.err).splitlines()
    if "needs a working GPU" in result.err and "libcudart" in result.err:
        return [skipped(title, lines[-1])]
    if result.code == 0:
        return [Row(title, "both", "both", "same", "all of it happened as told", [])]
    return [Row(title, "both", "both", "FAILS", ended(result), lines[-5:])]


def check_torch(machine):
    """The suite of test/torch. Takes longer than all others together: run on demand."""
    title = "PyTorch, a model load"
    python = python_with(machine, "transformers")
    if python is None or machine.run([python, "-c", "import torch, accelerate"], False, 120).code:
        return [skipped(title, "no Python has torch, transformers and accelerate (--python)")]
    extra = {"BUILD": str(machine.build), "TORCH_PYTHON": python}
    if not machine.simulate:
        extra["VG_REAL_GPU"] = "1"
    result = machine.run([ROOT / "test" / "torch" / "run"], False, machine.left(), extra)
    last = (result.out.splitlines() or [""])[-1].strip("= ")
    if result.code == 1 and "no python3 with pytest" in result.err:
        return [skipped(title, "no python3 with pytest")]
    details = [] if result.code == 0 else (result.out + result.err).splitlines()[-20:]
    verdict = "same" if result.code == 0 else "DIFFERS"
    last = "no end in its time" if result.code is None else last
    return [Row(title, "both", "both", verdict, last, details)]


# Those that run on demand only.
LONG = ["torch"]

CHECKS = {
    "behaviour": check_behaviour,
    "transparency": check_transparency,
    "runtime": check_runtime,
    "frameworks": check_frameworks,
    "demo": check_demo,
    "torch": check_torch,
}
