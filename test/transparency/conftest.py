"""Runs programs bare and guarded on a simulated GPU and compares what they print.

Each test has a simulated GPU and a state directory of its own. GUARD names another library than the
built one: to see these tests fail.
"""

import difflib
import os
import re
import shutil
import subprocess
import tempfile
import uuid
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = (ROOT / os.environ.get("BUILD", "build")).resolve()
GUARD = Path(os.environ.get("GUARD", BUILD / "libvramguard.so")).resolve()
PROGRAMS = BUILD / "test" / "transparency"
SIMGPU = BUILD / "simgpu"
TIMEOUT_S = 60


def as_bare(text):
    """A function of the guard stands for the driver's, or the C library's, of the same name. The
    text of dlerror may name another object as the one that looked: glibc takes it from the caller
    of the last look-up, which is the guard when it had to look behind itself. Before glibc 2.34 the two
    functions are in a library of their own."""
    text = re.sub(r"(?<=, dlerror )/\S+(?=: undefined symbol: )", "OBJECT", text)
    text = re.sub(r"\b(libvramguard\.so|libdl\.so\.2):(dlv?sym)\b", r"libc.so.6:\2", text)
    text = re.sub(r"\blibvramguard\.so:(nvml\w+)", r"libnvidia-ml.so.1:\1", text)
    return re.sub(r"\blibvramguard\.so:(cu\w+)(?=[\s,]|$)", r"libcuda.so.1:\1", text)


def without_guard_lines(text):
    """The program's own lines of stderr: vramguard's blocks start with its name, what follows is
    indented or empty."""
    kept, inside = [], False
    for line in text.splitlines():
        if line.startswith("vramguard: "):
            inside = True
        elif not (inside and (line == "" or line.startswith("  "))):
            inside = False
        if not inside:
            kept.append(line)
    return "\n".join(kept)


class Result:
    """What a program did: exit code (negative: the signal), stdout, stderr."""

    def __init__(self, done, stands_for=()):
        self.code, self.stdout, self.stderr = done.returncode, done.stdout, done.stderr
        self.stands_for = stands_for

    @property
    def own(self):
        text = "exit code %d\n%s\n" % (self.code, as_bare(self.stdout))
        for function in self.stands_for:
            text = text.replace(function, "libcuda.so.1:" + function.split(":")[1])
        return text + without_guard_lines(self.stderr)

    @property
    def wrapped(self):
        """How many answers were a function of the guard."""
        return len(re.findall(r"\blibvramguard\.so:cu\w+(?=[\s,]|$)", self.stdout))


class Machine:
    """A simulated machine; programs run on it bare or guarded."""

    def __init__(self, folder):
        self.folder = folder
        self.state = folder / "state"
        self.search_path = [SIMGPU, PROGRAMS]
        self.before = []  # preloaded before the guard, and without it
        self.after = []
        self.stands_for = []  # functions behind the guard that its own stand for: "LIBRARY:NAME"

    def environment(self, guarded, extra):
        preload = [*self.before, *([GUARD] if guarded else []), *self.after]
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "XDG_STATE_HOME": str(self.state),
            "LD_LIBRARY_PATH": ":".join(map(str, self.search_path)),
            "SIMGPU_DEVICES": "64MiB",
            "SIMGPU_CONTEXT": "8MiB",
            "SIMGPU_QUIET": "1",
            # One for each run: what a run leaves behind is no difference for the next.
            "SIMGPU_ID": "transparency-" + uuid.uuid4().hex[:12],
        }
        if preload:
            environment["LD_PRELOAD"] = ":".join(map(str, preload))
        environment.update({name: str(value) for name, value in extra.items()})
        return environment

    def run(self, command, guarded, **extra):
        done = subprocess.run(
            [str(word) for word in command],
            env=self.environment(guarded, extra),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT_S,
        )
        return Result(done, self.stands_for)

    def same(self, command, **extra):
        """Run a command bare and guarded; fail unless both do the same. Returns both results."""
        bare = self.run(command, False, **extra)
        guarded = self.run(command, True, **extra)
        assert bare.code != 97, bare.stderr
        if bare.own != guarded.own:
            lines = difflib.unified_diff(
                bare.own.splitlines(), guarded.own.splitlines(), "bare", "guarded", "", "", 1, ""
            )
            pytest.fail("\n".join(list(lines)[:60]) + "\n" + guarded.stderr[-2000:], pytrace=False)
        return bare, guarded


@pytest.fixture
def machine():
    folder = Path(tempfile.mkdtemp(prefix="vg-transparency-"))
    yield Machine(folder)
    shutil.rmtree(folder, ignore_errors=True)


def exported(library):
    """The names that a library defines for others."""
    output = subprocess.run(
        ["nm", "-D", "--defined-only", str(library)], check=True, capture_output=True, text=True
    ).stdout
    return sorted({line.split()[-1].split("@")[0] for line in output.splitlines()})


@pytest.fixture(scope="session")
def driver_names():
    """Every name a program may ask a driver for, and some that no driver has."""
    names = exported(SIMGPU / "libcuda.so.1")
    bases = {re.sub(r"(_v\d+)?(_pt[sd][sz])?$", "", name) for name in names}
    odd = ["cu", "cuMem", "cuNoSuchFunction", "cuMemAlloc_v3", "cuMemAlloc_v2_ptds", "cumemalloc"]
    odd += ["CUMEMALLOC", " cuMemAlloc", "cuMemAlloc ", "x" * 900, "cu" + "x" * 62, "malloc", ""]
    return sorted(set(names) | bases) + odd
