"""Fixtures of the end-to-end tests: programs on a simulated GPU, bare and guarded.

Every test has its own simulated GPU, state directory and home, so tests see nothing of each
other or of the user, and may run side by side. Every process a test starts is gone when the test
ends.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = (ROOT / os.environ.get("BUILD", "build")).resolve()
MODEL = ROOT / "test" / "model"
TIMEOUT_S = 120

# Most of a wall-clock time says how busy the machine is. `make check-timing` has it to itself and
# sets this; elsewhere the tests only look at what happened.
TIMING = os.environ.get("VG_TEST_TIMING") == "1"

# A small device for a small model (tiny.safetensors: 46 tensors, 17 MiB).
DEVICE = "256MiB"
CONTEXT = "32MiB"

# What a shell starts in the background ignores SIGINT, and so would the programs.
signal.signal(signal.SIGINT, signal.default_int_handler)

UUID_PROGRAM = """
import ctypes, uuid
driver, raw = ctypes.CDLL("libcuda.so.1"), (ctypes.c_ubyte * 16)()
if driver.cuInit(0) == 0 and driver.cuDeviceGetUuid(raw, 0) == 0:
    print("GPU-" + str(uuid.UUID(bytes=bytes(raw))))
"""


def at_most(took, most):
    """Whether something took no longer than it may; always, where time is not looked at."""
    return not TIMING or took <= most


class Result:
    """What a finished program left: vramguard's lines and the program's own are kept apart."""

    def __init__(self, code, stdout, stderr):
        self.code = code
        self.stdout = stdout
        self.stderr = stderr
        self.guard_lines, self.own_stderr = split_stderr(stderr)

    @property
    def own(self):
        """What the program did, without vramguard: equal for a bare and a guarded run."""
        return self.code, self.stdout, self.own_stderr

    @property
    def guard_text(self):
        return "\n".join(self.guard_lines)


def split_stderr(text):
    """Return (vramguard's lines, the rest). Its blocks start with its name; what follows is
    indented or empty."""
    guard, own, inside = [], [], False
    for line in text.splitlines():
        if line.startswith("vramguard: "):
            inside = True
        elif not (inside and (line == "" or line.startswith("  "))):
            inside = False
        (guard if inside else own).append(line)
    return guard, "\n".join(own)


class Machine:
    """A simulated machine: run programs on it, bare or guarded."""

    def __init__(self, folder):
        self.folder = folder
        self.state = folder / "state"
        self.simgpu = BUILD / "simgpu"
        self.search_path = [self.simgpu]
        self.preload = BUILD / "libvramguard.so"
        # Report only: tests of what is tried before a failure say what is to be tried. None: the
        # default.
        self.policy = "off"
        # The name of its simulation: that of its folder, which nobody else has.
        self.simgpu_id = folder.name
        self._running = []

    def environment(self, guarded, extra):
        kept = ("PATH", "LANG", "LC_ALL", "USER", "ASAN_OPTIONS", "UBSAN_OPTIONS")
        environment = {name: os.environ[name] for name in kept if name in os.environ}
        environment.update(
            HOME=str(self.folder),
            XDG_STATE_HOME=str(self.state),
            TMPDIR=str(self.folder),
            LD_LIBRARY_PATH=":".join(map(str, self.search_path)),
            SIMGPU_DEVICES=DEVICE,
            SIMGPU_CONTEXT=CONTEXT,
            SIMGPU_ID=self.simgpu_id,
            PYTHONDONTWRITEBYTECODE="1",
            VRAMGUARD_POLICY=self.policy,
        )
        if guarded:
            environment["LD_PRELOAD"] = str(self.preload)
        environment.update(extra)
        return {name: value for name, value in environment.items() if value is not None}

    def start(self, command, guarded=False, stdin=subprocess.DEVNULL, pass_fds=(), **extra):
        """Start a command in its own process group. Further keyword arguments are environment
        variables; None removes one."""
        process = subprocess.Popen(
            [str(word) for word in command],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environment(guarded, extra),
            cwd=self.folder,
            text=True,
            errors="replace",
            start_new_session=True,
            pass_fds=pass_fds,
        )
        self._running.append(process)
        return process

    def finish(self, process, timeout_s=TIMEOUT_S):
        """Wait for a started command and return its Result."""
        stdout, stderr = process.communicate(timeout=timeout_s)
        self._running.remove(process)
        return Result(process.returncode, stdout, stderr)

    def run(self, command, guarded=False, timeout_s=TIMEOUT_S, **extra):
        return self.finish(self.start(command, guarded, **extra), timeout_s)

    def both(self, command, **extra):
        """Run a command bare, then guarded."""
        return self.run(command, **extra), self.run(command, guarded=True, **extra)

    def vramguard(self, *arguments, **extra):
        return self.run([BUILD / "vramguard", *arguments], **extra)

    def neighbour(self, size, guarded=False):
        """Start a process that holds memory; return it when it has the memory."""
        command = [sys.executable, MODEL / "hold_memory.py", size]
        process = self.start(command, guarded, stdin=subprocess.PIPE)
        line = process.stdout.readline()
        assert line.startswith("holding "), process.communicate()[1]
        return process

    def stop(self, process):
        """End a neighbour as its user would."""
        process.stdin.close()
        process.stdin = None
        return self.finish(process)

    def kill(self, process):
        """End a process without a chance to clean up; return its Result."""
        process.kill()
        return self.finish(process)

    def pids(self):
        """Those of the commands that have been started and not finished."""
        return {process.pid for process in self._running}

    def records(self):
        """The recorder files in the state directory."""
        folder = self.state / "vramguard"
        return sorted(path for path in folder.rglob("*") if path.is_file())

    def registry_file(self, **extra):
        """The guard's shared file of this machine's GPU 0."""
        uuid = self.run([sys.executable, "-c", UUID_PROGRAM], **extra).stdout.strip()
        assert uuid.startswith("GPU-")
        return Path("/dev/shm/vramguard-%d" % os.geteuid(), uuid + ".6")

    def close(self):
        for process in self._running:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.communicate()
        Path("/dev/shm/simgpu-" + self.simgpu_id).unlink(missing_ok=True)


@pytest.fixture(scope="session", autouse=True)
def built_tree():
    """The tests need a built tree: they fail, they do not skip, without one."""
    wanted = [
        "libvramguard.so",
        "vramguard",
        "simgpu/libcuda.so.1",
        "simgpu/libcudart.so.13",
        "simgpu/libnvidia-ml.so.1",
    ]
    missing = [name for name in wanted if not (BUILD / name).exists()]
    if missing:
        pytest.exit("%s lacks %s: run make all" % (BUILD, ", ".join(missing)), returncode=1)
    return BUILD


@pytest.fixture
def machine():
    # Not tmp_path: pytest keeps those, and reports are easier to read with short paths.
    folder = Path(tempfile.mkdtemp(prefix="vg-e2e-"))
    machine = Machine(folder)
    yield machine
    machine.close()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoint") / "tiny.safetensors"
    command = [sys.executable, MODEL / "make_checkpoint.py", "--config", "tiny", path]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return path


@pytest.fixture
def load_model(tiny_checkpoint):
    """The command that loads the small model."""
    return [sys.executable, MODEL / "run_model.py", tiny_checkpoint]


FIRST_LINE = re.compile(r"vramguard: GPU 0 out of memory: .+ asked (.+); (.+) of (.+) is free")


def report_of(result):
    """Return a run's report as text, checking that there is exactly one."""
    first_lines = [line for line in result.guard_lines if FIRST_LINE.fullmatch(line)]
    assert len(first_lines) == 1, result.stderr
    return result.guard_text
